// Softmax, cross-entropies: the table of functions, one per float type and instruction set (see kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

template <class T>
struct CrossEntropy {
    const T* logits;        // (rows, classes)
    const int64_t* labels;  // (rows): in [0, classes), or -1: the row counts for nothing
    const T* weight;        // (classes), or null
    double weight_sum;      // of `weight`, or `classes`
    int64_t rows, classes;
    double smoothing;  // label smoothing
    double scale;      // multiplies the gradient: 1 / count for a mean
    T* grad;           // (rows, classes), or null; may be the logits
    double* loss;      // (rows), not scaled
};

template <class T>
struct LossTable {
    void (*cross_entropy)(const CrossEntropy<T>&);
    void (*sigmoid_cross_entropy)(const T* logits, const T* labels, T* loss, T* grad, int64_t n);
    void (*softmax)(const T* x, T* out, int64_t rows, int64_t classes, bool log);
    void (*softmax_backward)(const T* g, const T* out, T* dx, int64_t rows, int64_t classes, bool log);
};

TFLBP_DECLARE_TABLE(LossTable<float>, loss_f32)
TFLBP_DECLARE_TABLE(LossTable<double>, loss_f64)

}  // namespace tflbp
