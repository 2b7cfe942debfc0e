// The activation mask and the bias gradient in one pass: see linear.h.
//
// Limit: reads g and out once, writes masked once; at 128 features this is 1 to 2 % of the two products it
// serves. A NaN in `out` masks like a negative number, and what is masked is multiplied by zero, not
// replaced: exactly g * (out > 0). Sums are kept in double, so a float32 bias gradient is right to its last
// place.
#include "cpu/linear.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T, bool masks, bool stores>
inline T masked_value(const MaskArgs<T>& a, int64_t row, int64_t j) {
    const int64_t at = row * a.n + j;
    const T v = masks ? a.g[at] * (a.out[at] > T(0) ? T(1) : T(0)) : a.g[at];
    if (stores) a.masked[row * a.ldmasked + j] = v;
    return v;
}

template <class T, bool masks, bool stores, bool sums>
void mask_rows(const MaskArgs<T>& args) {
    const MaskArgs<T> a = args;  // a copy: the stores below cannot change it
    int64_t i = 0;
    for (; i + 4 <= a.rows; i += 4) {  // four rows per visit of the sums
#pragma omp simd
        for (int64_t j = 0; j < a.n; j++) {
            const double u =
                double(masked_value<T, masks, stores>(a, i, j)) + masked_value<T, masks, stores>(a, i + 1, j);
            const double v = double(masked_value<T, masks, stores>(a, i + 2, j)) +
                             masked_value<T, masks, stores>(a, i + 3, j);
            if (sums) a.sums[j] += u + v;
        }
    }
    for (; i < a.rows; i++) {
#pragma omp simd
        for (int64_t j = 0; j < a.n; j++) {
            const T v = masked_value<T, masks, stores>(a, i, j);
            if (sums) a.sums[j] += v;
        }
    }
}

template <class T>
void mask(const MaskArgs<T>& a) {
    if (!a.out) return mask_rows<T, false, false, true>(a);
    if (!a.masked) return mask_rows<T, true, false, true>(a);
    if (!a.sums) return mask_rows<T, true, true, false>(a);
    mask_rows<T, true, true, true>(a);
}

}  // namespace

extern const LinearTable linear_table = {mask<float>, mask<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
