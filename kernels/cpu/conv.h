// Convolution (cross-correlation) as a matrix product whose left operand is never written down: channels
// last, a row of a window is one run of memory, and the micro-kernel jumps from run to run. Bias and ReLU are
// applied while a tile is in registers; backward, an image's cotangent is masked, summed into the bias
// gradient and padded in one pass, and both products read it from the second-level cache.
//
// conv.cpp prepares the images and shares them out; gemm_conv.h (once per instruction set) multiplies, and
// depthwise_isa.cpp where every channel has a filter of its own.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cpu/gemm.h"

namespace tflbp {

constexpr int kConvAxes = 3;  // fewer are led by axes of length 1

// x (batch, *in, channels), w (*window, channels / groups, filters), out (batch, *out, filters).
struct ConvShape {
    int64_t batch, channels, filters;
    int64_t in[kConvAxes], window[kConvAxes], stride[kConvAxes], dilation[kConvAxes], out[kConvAxes];
    int64_t low[kConvAxes], high[kConvAxes];  // zeros around x; not negative
    int64_t groups = 1;                       // which divide channels and filters

    bool depthwise() const { return groups > 1 && groups == channels && groups == filters; }
};

// The same, cut into runs; one padded image and one group at a time.
struct ConvPlan {
    int64_t filters;               // of a group; of all where depthwise
    int64_t all;                   // filters of all groups: between positions of out, and rows of w
    int64_t run;                   // elements side by side in both x and w; rows of w
    int64_t runs;                  // of a window
    const int64_t* run_at;         // where they start in an image
    int64_t line, step;            // positions along the last axis, and from one to the next in x
    int64_t lines;                 // of the output
    const int64_t* line_at;        // where their first window starts
    const int64_t* out_line_at;    // and their results: line * filters apart
    const int64_t* filter_run_at;  // i * run: where the runs start among the rows of w
    // The runs of a line that are not all zeros around x: so many of run_at and filter_run_at, from there on.
    const int64_t *line_first, *line_count;
};

template <class T>
struct ConvFunctions {
    int64_t (*panels)(const ConvPlan&);  // elements that pack writes
    void (*pack)(const ConvPlan&, const T* w, T* panels);
    // lines [begin, end) of one image
    void (*forward)(const ConvPlan&, const CacheSizes&, const T* image, const T* panels, const T* bias,
                    bool relu, T* out, int64_t begin, int64_t end);
    // runs [begin, end) of dw = (or +=, `add`) one image's; with fewer filters than lanes, a vector is read
    // at the last position of g as well
    void (*weights)(const ConvPlan&, const T* image, const T* g, T* dw, bool add, int64_t begin, int64_t end);
};

struct ConvTable {
    ConvFunctions<float> f32;
    ConvFunctions<double> f64;
};
TFLBP_DECLARE_TABLE(ConvTable, conv_table)
TFLBP_DECLARE_TABLE(ConvTable, depthwise_table)

// out = relu(x * w + bias) on all threads; bias may be null. False when out of memory. The bits do not depend
// on the number of threads.
template <class T>
bool conv_forward(const ConvShape&, const T* x, const T* w, const T* bias, bool relu, T* out);

// The gradients of that, those wanted (not null), of h = g * (out > 0), or of g when `out` is null. dw needs
// x, dx needs w.
template <class T>
struct ConvBackward {
    ConvShape shape;
    const T *g, *x, *w, *out;
    T *dx, *dw, *db;
};
template <class T>
bool conv_backward(const ConvBackward<T>&);
bool has_input_grad(const ConvShape&);  // whether conv_backward can give dx: stride 1, nothing cropped

}  // namespace tflbp
