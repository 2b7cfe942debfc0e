#include "cuda/batch_norm.cuh"
#include "cuda/layer_norm.cuh"
#include "cuda/registry.h"

#define COLUMNS(T, V)                  \
    TFLBP_KERNEL(column_sums<T, V>)    \
    TFLBP_KERNEL(moments_last<T, V>)   \
    TFLBP_KERNEL(normalise_last<T, V>) \
    TFLBP_KERNEL(norm_sums_last<T, V>) \
    TFLBP_KERNEL(norm_grad_last<T, V>)
#define ROWS(T, WARP)                       \
    TFLBP_KERNEL(layer_norm<T, WARP, true>) \
    TFLBP_KERNEL(layer_norm_backward<T, WARP, true>)
#define ALL(T)                                         \
    COLUMNS(T, 1)                                      \
    TFLBP_KERNEL(sum_splits<T>)                        \
    TFLBP_KERNEL(norm_weight_grads<T>)                 \
    TFLBP_KERNEL(norm_grad_means<T>)                   \
    TFLBP_KERNEL(moments_first<T>)                     \
    TFLBP_KERNEL(normalise_first<T>)                   \
    TFLBP_KERNEL(norm_sums_first<T>)                   \
    TFLBP_KERNEL(norm_grad_first<T>)                   \
    ROWS(T, true)                                      \
    ROWS(T, false)                                     \
    TFLBP_KERNEL(layer_norm<T, false, false>)          \
    TFLBP_KERNEL(layer_norm_backward<T, false, false>) \
    TFLBP_KERNEL(layer_norm_columns<T>)

TFLBP_EACH_FLOAT(ALL)
COLUMNS(float, 4)
COLUMNS(double, 2)
COLUMNS(float16, 8)
COLUMNS(bfloat16, 8)
TFLBP_KERNEL(moments_total<float>)
TFLBP_KERNEL(moments_total<double>)
