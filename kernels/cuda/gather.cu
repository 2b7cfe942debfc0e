#include "cuda/embedding.cuh"
#include "cuda/pooling.cuh"
#include "cuda/registry.h"

#define INDEXED(T, I, KERNEL)   \
    KERNEL(max_pool<T, I>)      \
    KERNEL(max_pool_grad<T, I>) \
    KERNEL(max_pool_gather<T, I>)
#define ALL(T, KERNEL)                \
    INDEXED(T, uint8_t, KERNEL)       \
    INDEXED(T, int32_t, TFLBP_SELDOM) \
    KERNEL(avg_pool<T>)               \
    KERNEL(avg_pool_grad<T>)          \
    KERNEL(embedding_runs<T>)         \
    KERNEL(embedding_crossings<T>)

TFLBP_EACH_FLOAT(ALL)
