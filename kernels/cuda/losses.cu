#include "cuda/registry.h"
#include "cuda/softmax.cuh"

#define ROWS(T, WARP, CACHED, KERNEL) \
    KERNEL(softmax<T, WARP, CACHED>)  \
    KERNEL(softmax_cross_entropy<T, WARP, CACHED>)
#define ALL(T, KERNEL)                 \
    ROWS(T, true, true, KERNEL)        \
    ROWS(T, false, true, KERNEL)       \
    ROWS(T, false, false, KERNEL)      \
    KERNEL(softmax_backward<T, true>)  \
    KERNEL(softmax_backward<T, false>) \
    KERNEL(scaled_total<T>)

TFLBP_EACH_FLOAT(ALL)
TFLBP_KERNEL(label_share<float>)
TFLBP_SELDOM(label_share<double>)
