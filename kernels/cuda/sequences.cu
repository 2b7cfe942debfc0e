#include "cuda/ctc.cuh"
#include "cuda/recurrent.cuh"
#include "cuda/registry.h"

#define ALL(T, KERNEL)            \
    KERNEL(recurrent<T>)          \
    KERNEL(recurrent_backward<T>) \
    KERNEL(ctc<T>)                \
    KERNEL(ctc_gradient<T>)

ALL(float, TFLBP_KERNEL)
ALL(double, TFLBP_SELDOM)
