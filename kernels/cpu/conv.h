// Convolution (cross-correlation) as a matrix product whose left operand is never written down: channels
// last, a row of a window is one run of memory, and the micro-kernel jumps from run to run.
//
// conv.cpp pads the images and shares them out; gemm_conv.h (once per instruction set) multiplies.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cpu/gemm.h"

namespace tflbp {

constexpr int kConvAxes = 3;  // fewer are led by axes of length 1

// x (batch, *in, channels), w (*window, channels, filters), out (batch, *out, filters).
struct ConvShape {
    int64_t batch, channels, filters;
    int64_t in[kConvAxes], window[kConvAxes], stride[kConvAxes], dilation[kConvAxes], out[kConvAxes];
    int64_t low[kConvAxes], high[kConvAxes];  // zeros around x; not negative
};

// The same, cut into runs; one padded image at a time.
struct ConvPlan {
    int64_t filters;
    int64_t run;                   // elements side by side in both x and w
    int64_t runs;                  // of a window
    const int64_t* run_at;         // where they start in an image
    int64_t line, step;            // positions along the last axis, and from one to the next in x
    int64_t lines;                 // of the output
    const int64_t* line_at;        // where their first window starts
    const int64_t* out_line_at;    // and their results: line * filters apart
    const int64_t* filter_run_at;  // i * run: where the runs start among the rows of w
};

template <class T>
struct ConvFunctions {
    int64_t (*panels)(const ConvPlan&);  // elements that pack writes
    void (*pack)(const ConvPlan&, const T* w, T* panels);
    // lines [begin, end) of one image
    void (*forward)(const ConvPlan&, const CacheSizes&, const T* image, const T* panels, T* out,
                    int64_t begin, int64_t end);
    // runs [begin, end) of dw = (or +=, `add`) one image's
    void (*weights)(const ConvPlan&, const T* image, const T* g, T* dw, bool add, int64_t begin, int64_t end);
};

struct ConvTable {
    ConvFunctions<float> f32;
    ConvFunctions<double> f64;
};
TFLBP_DECLARE_TABLE(ConvTable, conv_table)

// On all threads; false when out of memory. The bits do not depend on the number of threads.
template <class T>
bool conv_forward(const ConvShape&, const T* x, const T* w, T* out);
template <class T>  // reads g in place, a vector of filters at a time: needs as many filters as lanes
bool conv_weight_grad(const ConvShape&, const T* x, const T* g, T* dw);

}  // namespace tflbp
