#include "cuda/batch_norm.cuh"
#include "cuda/layer_norm.cuh"
#include "cuda/registry.h"

#define COLUMNS(T, V, KERNEL)    \
    KERNEL(column_sums<T, V>)    \
    KERNEL(moments_last<T, V>)   \
    KERNEL(normalise_last<T, V>) \
    KERNEL(norm_sums_last<T, V>) \
    KERNEL(norm_grad_last<T, V>)
#define ROWS(T, WARP, KERNEL)         \
    KERNEL(layer_norm<T, WARP, true>) \
    KERNEL(layer_norm_backward<T, WARP, true>)
#define ALL(T, KERNEL)                           \
    COLUMNS(T, 1, KERNEL)                        \
    KERNEL(sum_splits<T>)                        \
    KERNEL(norm_weight_grads<T>)                 \
    KERNEL(norm_grad_means<T>)                   \
    KERNEL(moments_first<T>)                     \
    KERNEL(normalise_first<T>)                   \
    KERNEL(norm_sums_first<T>)                   \
    KERNEL(norm_grad_first<T>)                   \
    ROWS(T, true, KERNEL)                        \
    ROWS(T, false, KERNEL)                       \
    KERNEL(layer_norm<T, false, false>)          \
    KERNEL(layer_norm_backward<T, false, false>) \
    KERNEL(layer_norm_columns<T>)

TFLBP_EACH_FLOAT(ALL)
COLUMNS(float, 4, TFLBP_KERNEL)
COLUMNS(double, 2, TFLBP_SELDOM)
COLUMNS(float16, 8, TFLBP_KERNEL)
COLUMNS(bfloat16, 8, TFLBP_KERNEL)
TFLBP_KERNEL(moments_total<float>)
TFLBP_SELDOM(moments_total<double>)
