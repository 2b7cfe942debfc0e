// Pooling over windows, channels last: the table of functions (see kernels.h).
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

constexpr int kPoolAxes = 3;      // fewer are led by axes of length 1
constexpr int kMostPlaces = 255;  // elements of a window, so that an index is one byte

struct PoolShape {
    int64_t batch, channels;
    int64_t in[kPoolAxes], out[kPoolAxes], window[kPoolAxes], stride[kPoolAxes], low[kPoolAxes];
};

template <class T>
struct PoolTable {
    // Every window holds an element of the input. index: the first place of its window with the maximum; or
    // null.
    void (*max_forward)(const PoolShape&, const T* x, T* out, uint8_t* index);
    void (*max_input_grad)(const PoolShape&, const T* g, const uint8_t* index, T* dx);
    void (*avg_forward)(const PoolShape&, const T* x, T* out);
    void (*avg_input_grad)(const PoolShape&, const T* g, T* dx);
};
TFLBP_DECLARE_TABLE(PoolTable<float>, pool_f32)
TFLBP_DECLARE_TABLE(PoolTable<double>, pool_f64)

}  // namespace tflbp
