#include "tflbp/cache.h"

#include <cstdio>

#if defined(__unix__)
#include <unistd.h>
#endif

namespace tflbp {
namespace {

// sysconf's third level is the sum over all chips of the machine on some systems; the kernel's own figure is
// one core's.
int64_t last_level() {
    int64_t bytes = 0;
    if (std::FILE* file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r")) {
        long long n = 0;
        char unit = 0;
        if (std::fscanf(file, "%lld%c", &n, &unit) == 2)
            bytes = n << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
        std::fclose(file);
    }
    return bytes;
}

CacheSizes read_sizes() {
    CacheSizes s{512 << 10, 32 << 20};
#ifdef _SC_LEVEL2_CACHE_SIZE  // 0 in some virtual machines and on musl
    if (const long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE); l2 > 0) s.l2 = l2;
#endif
    if (const int64_t l3 = last_level(); l3 >= 4 << 20 && l3 <= 256 << 20) s.l3 = l3;
    return s;
}

}  // namespace

const CacheSizes& cache_sizes() {
    static const CacheSizes sizes = read_sizes();
    return sizes;
}

bool writes_past_cache(int64_t moved) { return moved >= cache_sizes().l3; }

}  // namespace tflbp
