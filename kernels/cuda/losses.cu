#include "cuda/registry.h"
#include "cuda/softmax.cuh"

#define ROWS(T, WARP, CACHED)              \
    TFLBP_KERNEL(softmax<T, WARP, CACHED>) \
    TFLBP_KERNEL(softmax_cross_entropy<T, WARP, CACHED>)
#define ALL(T)                               \
    ROWS(T, true, true)                      \
    ROWS(T, false, true)                     \
    ROWS(T, false, false)                    \
    TFLBP_KERNEL(softmax_backward<T, true>)  \
    TFLBP_KERNEL(softmax_backward<T, false>) \
    TFLBP_KERNEL(scaled_total<T>)

TFLBP_EACH_FLOAT(ALL)
TFLBP_KERNEL(label_share<float>)
TFLBP_KERNEL(label_share<double>)
