#include "cuda/depthwise.cuh"
#include "cuda/registry.h"

#define ALL(T, KERNEL)         \
    KERNEL(depthwise<T>)       \
    KERNEL(depthwise_input<T>) \
    KERNEL(depthwise_weight<T>)

TFLBP_EACH_FLOAT(ALL)
