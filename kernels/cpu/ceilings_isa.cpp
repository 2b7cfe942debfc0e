// Multiply-adds at the rate of the machine: twelve independent chains, so that none waits for its own result,
// in registers of the widest kind of this level.
#include "simd.h"
#include "tflbp/ceilings.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

#ifdef __GNUC__
constexpr int kChains = 12;

volatile double sink;  // the result is used

template <class T>
int64_t multiply_adds(int64_t rounds) {
    typedef T Vector __attribute__((vector_size(kVectorBytes)));
    Vector a[kChains], x = (T)1.0000001 - Vector{}, y = (T)1e-9 - Vector{};
    for (int i = 0; i < kChains; ++i) a[i] = (T)i - Vector{};
    for (int64_t k = 0; k < rounds; ++k) {
#if defined(__x86_64__) || defined(__i386__)
        asm("" : "+v"(x), "+v"(y));  // not known, so nothing is computed beforehand
#elif defined(__aarch64__)
        asm("" : "+w"(x), "+w"(y));
#endif
        for (int i = 0; i < kChains; ++i) a[i] = a[i] * x + y;
    }
    T total = 0;
    for (int i = 0; i < kChains; ++i) total += a[i][0];
    sink = (double)total;
    return rounds * kChains * 2 * (int64_t)(kVectorBytes / sizeof(T));
}
#else
template <class T>
int64_t multiply_adds(int64_t) {
    return 0;  // not measured
}
#endif

}  // namespace

extern const CeilingsTable ceilings = {multiply_adds<float>, multiply_adds<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
