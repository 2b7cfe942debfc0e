#include "cuda/convolution.cuh"
#include "cuda/gemm.cuh"
#include "cuda/registry.h"

#define GEMM(T, R, KERNEL)           \
    KERNEL(gemm<T, R, false, false>) \
    KERNEL(gemm<T, R, false, true>)  \
    KERNEL(gemm<T, R, true, false>)  \
    KERNEL(gemm<T, R, true, true>)
#define ALL(T, KERNEL)        \
    KERNEL(gemm_finish<T>)    \
    KERNEL(convolution<T, 0>) \
    KERNEL(convolution<T, 1>) \
    KERNEL(convolution<T, 2>)

TFLBP_EACH_FLOAT(ALL)
GEMM(float, 4, TFLBP_KERNEL)
GEMM(double, 4, TFLBP_KERNEL)
GEMM(float16, 4, TFLBP_SELDOM)  // cublasLt's, as a rule
GEMM(bfloat16, 4, TFLBP_SELDOM)
GEMM(float, 8, TFLBP_SELDOM)
