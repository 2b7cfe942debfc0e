// The gradients of a fully connected layer, out = relu(x w + b), on all threads.
#pragma once

#include "cpu/gemm.h"

namespace tflbp {

// m rows, k features in, n features out; all arrays without gaps, but w as it is stored. Then dw is stored
// like w, without gaps. dx = h w^T, dw = x^T h, db = column sums of h, where h = g * (out > 0), or g when
// `out` is null. A gradient that is not wanted is null. masked: room for m * masked_stride(n) elements,
// needed only when `out` is given and dx or dw is wanted. False when out of memory.
template <class T>
struct LinearBackward {
    int64_t m, n, k;
    const T *g, *x;
    Operand<T> w;
    const T* out;
    T* masked;
    T *dx, *dw, *db;
};
template <class T>
bool linear_backward(const LinearBackward<T>& args);

template <class T>
int64_t masked_stride(int64_t n);

// One pass over some rows of g: masked = g * (out > 0), and sums[j] += column j of that. Either may be
// absent.
template <class T>
struct MaskArgs {
    int64_t rows, n;
    const T *g, *out;  // out null: nothing is masked
    T* masked;         // null: only sums
    int64_t ldmasked;
    double* sums;  // null: no sums
};
struct LinearTable {
    void (*mask_f32)(const MaskArgs<float>&);
    void (*mask_f64)(const MaskArgs<double>&);
};
TFLBP_DECLARE_TABLE(LinearTable, linear_table)

}  // namespace tflbp
