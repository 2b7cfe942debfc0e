#include "cuda/attention.cuh"
#include "cuda/registry.h"

#define WIDTH(T, W, KERNEL)                 \
    KERNEL(attention<T, W>)                 \
    KERNEL(attention_backward<T, W, false>) \
    KERNEL(attention_backward<T, W, true>)
#define ALL(T, KERNEL)        \
    WIDTH(T, 2, KERNEL)       \
    WIDTH(T, 4, KERNEL)       \
    WIDTH(T, 8, TFLBP_SELDOM) \
    KERNEL(attention_share<T>)

ALL(float, TFLBP_KERNEL)
ALL(float16, TFLBP_KERNEL)
ALL(bfloat16, TFLBP_KERNEL)
ALL(double, TFLBP_SELDOM)
