// Batch normalisation: the table of functions, one per float type and instruction set (see kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// x is (outer, channels, inner): inner is 1 when channels come last.
struct NormShape {
    int64_t outer, channels, inner;
};

template <class T>
struct NormForward {
    NormShape shape;
    const T *x, *weight, *bias;  // weight, bias: (channels) or null
    double eps;
    T *out, *mean, *var, *inv_std;
    void* work;  // norm_workspace(shape) bytes
    // Both null, or: out = max(out, 0), NaN stays NaN, and before that it was (x - mean) * scale + offset.
    T *scale, *offset;
};

template <class T>
struct NormBackward {
    NormShape shape;
    const T *g, *x, *weight, *mean, *inv_std;
    T *dx, *dweight, *dbias;
    void* work;
    const T *scale, *offset;  // of a forward with ReLU: the gradients are those of g * (out > 0); else null
};

template <class T>
struct NormTable {
    size_t (*workspace)(const NormShape&);
    void (*forward)(const NormForward<T>&);
    void (*backward)(const NormBackward<T>&);
};

TFLBP_DECLARE_TABLE(NormTable<float>, norm_f32)
TFLBP_DECLARE_TABLE(NormTable<double>, norm_f64)

}  // namespace tflbp
