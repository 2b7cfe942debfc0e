#include "cpu/linear.h"

#include <algorithm>

#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kScratchSlot = 2;

void mask(const MaskArgs<float>& a) { TFLBP_DISPATCH(linear_table).mask_f32(a); }
void mask(const MaskArgs<double>& a) { TFLBP_DISPATCH(linear_table).mask_f64(a); }

// Masks g and sums its columns by pieces of rows. The cut depends on the shape alone and the pieces are added
// in order, so the sums do not depend on the threads; in float64 the error grows with the rows of a piece
// plus the pieces.
template <class T>
bool mask_and_sum(const LinearBackward<T>& a, T* masked) {
    const int64_t rows = std::max<int64_t>(64, 16384 / std::max<int64_t>(a.n, 1)) / 4 * 4;
    const int64_t pieces = (a.m + rows - 1) / rows;
    double* sums = nullptr;
    if (a.db) {
        sums = scratch_of<double>(kScratchSlot, std::max<int64_t>(pieces, 1) * a.n);
        if (!sums && a.n > 0) return false;
        std::fill(sums, sums + std::max<int64_t>(pieces, 1) * a.n, 0.0);
    }
    const auto piece = [&](int64_t i) {
        const int64_t begin = i * rows, ld = masked_stride<T>(a.n);
        mask(MaskArgs<T>{std::min(rows, a.m - begin), a.n, a.g + begin * a.n,
                         a.out ? a.out + begin * a.n : nullptr, masked ? masked + begin * ld : nullptr, ld,
                         sums ? sums + i * a.n : nullptr});
    };
    if (a.m * a.n < kSerialBelow)
        for (int64_t i = 0; i < pieces; i++) piece(i);
    else
        parallel_for(pieces, piece);
    if (a.db) {
        for (int64_t i = 1; i < pieces; i++)
            for (int64_t j = 0; j < a.n; j++) sums[j] += sums[i * a.n + j];
        for (int64_t j = 0; j < a.n; j++) a.db[j] = T(sums[j]);
    }
    return true;
}

}  // namespace

// An odd number of cache lines, so that the rows read side by side do not fall into one cache set.
template <class T>
int64_t masked_stride(int64_t n) {
    constexpr int64_t line = 64 / int64_t(sizeof(T));
    return n < 4 * line ? n : ((n + line - 1) / line | 1) * line;
}

template <class T>
bool linear_backward(const LinearBackward<T>& a) {
    const bool products = a.dx || a.dw;
    T* masked = a.out && products ? a.masked : nullptr;
    if ((masked || a.db) && !mask_and_sum(a, masked)) return false;
    const T* h = masked ? masked : a.g;
    const int64_t ldh = masked ? masked_stride<T>(a.n) : a.n;
    if (a.dw) {
        const GemmArgs<T> rows{a.k, a.n, a.m, {a.x, a.k, true}, {h, ldh, false}, a.dw, a.n, nullptr, false};
        const GemmArgs<T> turned{a.n, a.k, a.m, {h, ldh, true}, {a.x, a.k, false}, a.dw, a.k, nullptr, false};
        if (!gemm(a.w.trans ? turned : rows)) return false;
    }
    const Operand<T> w{a.w.p, a.w.ld, !a.w.trans};
    if (a.dx && !gemm(GemmArgs<T>{a.m, a.k, a.n, {h, ldh, false}, w, a.dx, a.k, nullptr, false}))
        return false;
    return true;
}

template int64_t masked_stride<float>(int64_t);
template int64_t masked_stride<double>(int64_t);
template bool linear_backward<float>(const LinearBackward<float>&);
template bool linear_backward<double>(const LinearBackward<double>&);

}  // namespace tflbp
