#include "tflbp/isa.h"

#include <atomic>
#include <cstring>
#include <initializer_list>

namespace tflbp {
namespace {

bool cpu_has(Isa level) {
#ifdef TFLBP_X86_LEVELS
    __builtin_cpu_init();
    // x86-64-v3 and v4 as the psABI defines them; the members not asked for come with these on every CPU
    // made.
    if (level == Isa::avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (level == Isa::avx512)
        return cpu_has(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return level == Isa::baseline;
}

std::atomic<Isa> current{cpu_has(Isa::avx512) ? Isa::avx512 : cpu_has(Isa::avx2) ? Isa::avx2 : Isa::baseline};

}  // namespace

Isa isa() { return current.load(std::memory_order_relaxed); }

bool isa_supported(Isa level) { return cpu_has(level); }

const char* isa_name(Isa level) {
    return level == Isa::avx512 ? "avx512" : level == Isa::avx2 ? "avx2" : "baseline";
}

bool set_isa(const char* name) {
    for (Isa level : {Isa::baseline, Isa::avx2, Isa::avx512})
        if (std::strcmp(name, isa_name(level)) == 0 && cpu_has(level)) {
            current.store(level, std::memory_order_relaxed);
            return true;
        }
    return false;
}

}  // namespace tflbp
