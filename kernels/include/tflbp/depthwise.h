// Convolution with one filter per channel, channels last: the table of functions (see kernels.h).
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

constexpr int kDepthwiseAxes = 3;  // fewer are led by axes of length 1

// x (batch, *in, channels) with its padding, w (*window, channels), out (batch, *out, channels).
struct DepthwiseShape {
    int64_t batch, channels;
    int64_t in[kDepthwiseAxes], window[kDepthwiseAxes], stride[kDepthwiseAxes], dilation[kDepthwiseAxes],
        out[kDepthwiseAxes];

    int64_t places() const { return window[0] * window[1] * window[2]; }
};

template <class T>
struct DepthwiseTable {
    void (*forward)(const DepthwiseShape&, const T* x, const T* w, T* out);
    void (*weights)(const DepthwiseShape&, const T* x, const T* g, T* dw, double* work);  // batch * dw's size
};
TFLBP_DECLARE_TABLE(DepthwiseTable<float>, depthwise_f32)
TFLBP_DECLARE_TABLE(DepthwiseTable<double>, depthwise_f64)

}  // namespace tflbp
