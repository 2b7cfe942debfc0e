#include "cuda/activation.cuh"
#include "cuda/random.cuh"
#include "cuda/registry.h"

#define ACTIVATION(T, KIND)           \
    TFLBP_KERNEL(activation<T, KIND>) \
    TFLBP_KERNEL(activation_backward<T, KIND>)
#define ALL(T)                      \
    ACTIVATION(T, 0)                \
    ACTIVATION(T, 1)                \
    ACTIVATION(T, 2)                \
    ACTIVATION(T, 3)                \
    ACTIVATION(T, 4)                \
    TFLBP_KERNEL(random_uniform<T>) \
    TFLBP_KERNEL(random_normal<T>)  \
    TFLBP_KERNEL(dropout<T>)

TFLBP_EACH_FLOAT(ALL)
TFLBP_KERNEL(random_words)
