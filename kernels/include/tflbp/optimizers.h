// Optimiser steps, sums of squares: the table of functions, one per float type and instruction set (see
// kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

constexpr int64_t kSegment = 16384;  // elements; a list of arrays is cut into pieces of at most this many

struct SgdRule {
    double lr, momentum, weight_decay, scale;
    bool nesterov;
};
struct AdamRule {
    double lr, alpha, beta1, beta2, eps, weight_decay, scale;  // alpha: lr with the bias corrections
};

struct RmspropRule {
    double lr, rho, momentum, eps, weight_decay, scale;
};
struct LionRule {
    double lr, beta1, beta2, weight_decay, scale;
};

template <class T>
struct OptimizerTable {
    // One piece: n <= kSegment. v may be null (no momentum), vhat may be null (no AMSGrad).
    void (*sgd)(const SgdRule&, T* p, const T* g, T* v, int64_t n);
    void (*adam)(const AdamRule&, T* p, const T* g, T* m, T* v, T* vhat, int64_t n);
    // mean: of the gradient, or null (not centred); v: null without momentum
    void (*rmsprop)(const RmspropRule&, T* p, const T* g, T* square, T* mean, T* v, int64_t n);
    void (*lion)(const LionRule&, T* p, const T* g, T* m, int64_t n);
    double (*sum_of_squares)(const T* x, int64_t n);
};

TFLBP_DECLARE_TABLE(OptimizerTable<float>, optimizer_f32)
TFLBP_DECLARE_TABLE(OptimizerTable<double>, optimizer_f64)

}  // namespace tflbp
