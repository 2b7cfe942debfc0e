#include "cuda/optimizer.cuh"
#include "cuda/registry.h"

#define OFTEN(T, KERNEL)    \
    KERNEL(sgd<T>)          \
    KERNEL(sgd_momentum<T>) \
    KERNEL(adam<T, false>)
#define REST(T, KERNEL)              \
    KERNEL(adam<T, true>)            \
    KERNEL(rmsprop<T, false, false>) \
    KERNEL(rmsprop<T, true, false>)  \
    KERNEL(rmsprop<T, false, true>)  \
    KERNEL(rmsprop<T, true, true>)   \
    KERNEL(lion<T>)
#define SQUARES(T, KERNEL) TFLBP_KERNEL(squares<T>)

// Parameters in 16 bits have float masters, as a rule.
TFLBP_EACH_FLOAT(SQUARES)
OFTEN(float, TFLBP_KERNEL)
OFTEN(double, TFLBP_KERNEL)
OFTEN(float16, TFLBP_SELDOM)
OFTEN(bfloat16, TFLBP_SELDOM)
REST(float, TFLBP_KERNEL)
REST(double, TFLBP_SELDOM)
REST(float16, TFLBP_SELDOM)
REST(bfloat16, TFLBP_SELDOM)
TFLBP_KERNEL(squares_total<double>)
TFLBP_KERNEL(begin_step)
TFLBP_KERNEL(clip_scale)
TFLBP_KERNEL(scale_step)
TFLBP_KERNEL(set_words)
TFLBP_KERNEL(next_step)
