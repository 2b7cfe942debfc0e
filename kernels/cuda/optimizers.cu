#include "cuda/optimizer.cuh"
#include "cuda/registry.h"

#define ALL(T)                             \
    TFLBP_KERNEL(sgd<T>)                   \
    TFLBP_KERNEL(sgd_momentum<T>)          \
    TFLBP_KERNEL(adam<T, false>)           \
    TFLBP_KERNEL(adam<T, true>)            \
    TFLBP_KERNEL(rmsprop<T, false, false>) \
    TFLBP_KERNEL(rmsprop<T, true, false>)  \
    TFLBP_KERNEL(rmsprop<T, false, true>)  \
    TFLBP_KERNEL(rmsprop<T, true, true>)   \
    TFLBP_KERNEL(lion<T>)                  \
    TFLBP_KERNEL(squares<T>)

TFLBP_EACH_FLOAT(ALL)
TFLBP_KERNEL(squares_total<double>)
TFLBP_KERNEL(next_step)
