// Activations with a bias before them, forward and backward: out = f(x + b), dx = g f'(x + b).
//
// Limit: one read and one write, backward two reads and one write, 16 bytes at a time. Elementwise:
// deterministic. The grid's x runs along a row, its y over rows; without a bias all is one row. A bias
// gradient is column_sums of dx.
#pragma once

#include "cuda/types.cuh"

enum { RELU, GELU, GELU_TANH, SILU, SOFTPLUS };

__device__ __forceinline__ float error_function(float x) { return erff(x); }
__device__ __forceinline__ double error_function(double x) { return erf(x); }
__device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }
__device__ __forceinline__ float log_of_1_plus(float x) { return log1pf(x); }
__device__ __forceinline__ double log_of_1_plus(double x) { return log1p(x); }

template <class A>
__device__ __forceinline__ A logistic(A x) {
    const A e = exponential(x < 0 ? x : -x);  // without overflow
    return (x < 0 ? e : A(1)) / (A(1) + e);
}

template <int KIND, class A>
__device__ __forceinline__ A activated(A x) {
    if constexpr (KIND == RELU) return x <= 0 ? A(0) : x;  // NaN stays
    if constexpr (KIND == GELU) return A(0.5) * x * (A(1) + error_function(x * A(0.7071067811865476)));
    if constexpr (KIND == GELU_TANH) {
        const A u = (x + A(0.044715) * (x * x * x)) * A(0.7978845608028654);
        return A(0.5) * x * (A(1) + hyperbolic_tangent(u));
    }
    if constexpr (KIND == SILU) return x * logistic(x);
    if constexpr (KIND == SOFTPLUS) return (x > 0 ? x : A(0)) + log_of_1_plus(exponential(x < 0 ? x : -x));
    return x;
}

template <int KIND, class A>
__device__ __forceinline__ A slope(A x) {
    if constexpr (KIND == RELU) return x > 0 ? A(1) : A(0);
    if constexpr (KIND == GELU) {
        const A normal = exponential(A(-0.5) * x * x) * A(0.3989422804014327);
        return A(0.5) * (A(1) + error_function(x * A(0.7071067811865476))) + x * normal;
    }
    if constexpr (KIND == GELU_TANH) {
        const A t = hyperbolic_tangent((x + A(0.044715) * (x * x * x)) * A(0.7978845608028654));
        const A du = A(0.7978845608028654) * (A(1) + A(3 * 0.044715) * x * x);
        return A(0.5) * (A(1) + t) + A(0.5) * x * (A(1) - t * t) * du;
    }
    if constexpr (KIND == SILU) {
        const A s = logistic(x);
        return s * (A(1) + x * (A(1) - s));
    }
    if constexpr (KIND == SOFTPLUS) return logistic(x);
    return A(1);
}

// The result may overwrite an operand.
#define ALONG_ROW int(blockIdx.x * blockDim.x + threadIdx.x), int(gridDim.x * blockDim.x)

template <class T, int KIND>
__global__ void __launch_bounds__(256, 1)
    activation(const T* x, const T* __restrict__ bias, T* out, int64_t rows, int64_t n) {
    typedef typename Compute<T>::type A;
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
        map(
            out + r * n, n, ALONG_ROW,
            [=](int64_t i, T v) {
                return narrow<T>(activated<KIND>(bias ? widen(v) + widen(bias[i]) : A(widen(v))));
            },
            x + r * n);
}

template <class T, int KIND>
__global__ void __launch_bounds__(256, 1)
    activation_backward(const T* g, const T* x, const T* __restrict__ bias, T* dx, int64_t rows, int64_t n) {
    typedef typename Compute<T>::type A;
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
        map(
            dx + r * n, n, ALONG_ROW,
            [=](int64_t i, T d, T v) {
                return narrow<T>(widen(d) * slope<KIND>(bias ? widen(v) + widen(bias[i]) : A(widen(v))));
            },
            g + r * n, x + r * n);
}
