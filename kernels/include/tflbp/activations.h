// Activations and their derivatives: the table of functions, one per float type and instruction set (see
// kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

enum Activation {
    kRelu,
    kTanh,
    kSigmoid,
    kSoftplus,
    kLogSigmoid,
    kSilu,
    kGelu,
    kGeluTanh,
    kMish,
    kErf,
    kActivations
};

template <class T>
struct ActivationTable {
    void (*forward[kActivations])(const T* x, T* out, int64_t n);
    // kept: the result of relu, tanh and sigmoid, else x
    void (*backward[kActivations])(const T* g, const T* kept, T* dx, int64_t n);
};

TFLBP_DECLARE_TABLE(ActivationTable<float>, activation_f32)
TFLBP_DECLARE_TABLE(ActivationTable<double>, activation_f64)

}  // namespace tflbp
