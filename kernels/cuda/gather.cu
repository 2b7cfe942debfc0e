#include "cuda/embedding.cuh"
#include "cuda/pooling.cuh"
#include "cuda/registry.h"

#define INDEXED(T, I, KERNEL)   \
    KERNEL(max_pool<T, I>)      \
    KERNEL(max_pool_grad<T, I>) \
    KERNEL(max_pool_gather<T, I>)
#define ALL(T)                        \
    INDEXED(T, uint8_t, TFLBP_KERNEL) \
    INDEXED(T, int32_t, TFLBP_SELDOM) \
    TFLBP_KERNEL(avg_pool<T>)         \
    TFLBP_KERNEL(avg_pool_grad<T>)    \
    TFLBP_KERNEL(embedding_runs<T>)   \
    TFLBP_KERNEL(embedding_crossings<T>)

TFLBP_EACH_FLOAT(ALL)
