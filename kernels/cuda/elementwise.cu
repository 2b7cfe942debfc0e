#include "cuda/activation.cuh"
#include "cuda/random.cuh"
#include "cuda/registry.h"

#define ACTIVATION(T, KIND, KERNEL) \
    KERNEL(activation<T, KIND>)     \
    KERNEL(activation_backward<T, KIND>)
#define ALL(T, KERNEL)        \
    ACTIVATION(T, 0, KERNEL)  \
    ACTIVATION(T, 1, KERNEL)  \
    ACTIVATION(T, 2, KERNEL)  \
    ACTIVATION(T, 3, KERNEL)  \
    ACTIVATION(T, 4, KERNEL)  \
    KERNEL(random_uniform<T>) \
    KERNEL(random_normal<T>)  \
    KERNEL(dropout<T>)

TFLBP_EACH_FLOAT(ALL)
TFLBP_KERNEL(random_words)
