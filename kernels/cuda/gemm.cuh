// Matrix products with everything around them: c = f(alpha op(a) op(b) + beta c + bias), batched and strided.
//
// For a layer's forward f adds the bias and applies an activation; for the backward before it, it multiplies
// by the activation's slope at `aux`. See tile.cuh for the limit. A deep, narrow product is split along k
// into `splits` parts, which gemm_finish adds in their order.
#pragma once

#include "cuda/activation.cuh"
#include "cuda/tile.cuh"

enum { PLAIN, WITH_RELU, WITH_GELU, WITH_GELU_TANH, TIMES_RELU, TIMES_GELU, TIMES_GELU_TANH };

// WITH_GELU*: aux (if any) gets the value before the activation; TIMES_*: aux holds it (for ReLU the output
// will do).
template <class T, class A>
__device__ __forceinline__ T finished(A value, A old, const T* bias, T* aux, int64_t n, int64_t at,
                                      double alpha, double beta, int64_t kind) {
    value *= A(alpha);
    if (beta != 0) value += A(beta) * old;
    if (bias) value += widen(bias[n]);
    if (kind == PLAIN) return narrow<T>(value);
    if (kind == WITH_RELU) return narrow<T>(activated<RELU>(value));
    if (kind == TIMES_RELU) return narrow<T>(widen(aux[at]) > 0 ? value : A(0));
    if (kind == TIMES_GELU) return narrow<T>(value * slope<GELU>(A(widen(aux[at]))));
    if (kind == TIMES_GELU_TANH) return narrow<T>(value * slope<GELU_TANH>(A(widen(aux[at]))));
    if (aux) aux[at] = narrow<T>(value);
    return narrow<T>(kind == WITH_GELU ? activated<GELU>(value) : activated<GELU_TANH>(value));
}

// op(a)[m][k] is a[m * lda + k], or with TA a[k * lda + m]; likewise b. The grid: tiles of n, tiles of m,
// batch * splits. With splits > 1 part[split][batch][m][n] gets the sums, else c.
template <class T, int R, bool TA, bool TB>
__global__ void __launch_bounds__(TILE_THREADS, 1)
    gemm(const T* __restrict__ a, const T* __restrict__ b, T* c, const T* __restrict__ bias, T* aux,
         typename Compute<T>::type* __restrict__ part, int64_t m, int64_t n, int64_t k, int64_t lda,
         int64_t ldb, int64_t ldc, int64_t stride_a, int64_t stride_b, int64_t stride_c, int64_t splits,
         double alpha, double beta, int64_t kind) {
    typedef typename Compute<T>::type A;
    const int64_t m0 = int64_t(blockIdx.x) * 16 * R, n0 = int64_t(blockIdx.y) * 16 * R,
                  batch = blockIdx.z / splits, split = blockIdx.z % splits, batches = gridDim.z / splits;
    const T *from_a = a + batch * stride_a, *from_b = b + batch * stride_b;
    const Depth depth(k, split, splits);
    tile_product<R, !TA, TB, A>(
        depth.first, depth.last, [](int64_t) {},
        [=](int i, int, int64_t at) {
            const int64_t row = m0 + i;
            return row < m && at < depth.last ? A(widen(from_a[TA ? at * lda + row : row * lda + at])) : A(0);
        },
        [=](int j, int, int64_t at) {
            const int64_t column = n0 + j;
            return column < n && at < depth.last
                       ? A(widen(from_b[TB ? column * ldb + at : at * ldb + column]))
                       : A(0);
        },
        [=](int i, int j, A sum) {
            const int64_t row = m0 + i, column = n0 + j;
            if (row >= m || column >= n) return;
            if (splits > 1) {
                part[((split * batches + batch) * m + row) * n + column] = sum;
            } else {
                const int64_t at = batch * stride_c + row * ldc + column;
                c[at] = finished<T>(sum, beta != 0 ? A(widen(c[at])) : A(0), bias, aux, column, at, alpha,
                                    beta, kind);
            }
        });
}

template <class T>
__global__ void __launch_bounds__(256, 1)
    gemm_finish(const typename Compute<T>::type* __restrict__ part, T* c, const T* __restrict__ bias, T* aux,
                int64_t batches, int64_t m, int64_t n, int64_t ldc, int64_t stride_c, int64_t splits,
                double alpha, double beta, int64_t kind) {
    typedef typename Compute<T>::type A;
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, all = batches * m * n;
    if (i >= all) return;
    A sum = 0;
    UNROLL(4)
    for (int64_t s = 0; s < splits; s++) sum += part[s * all + i];
    const int64_t column = i % n, at = i / (m * n) * stride_c + i / n % m * ldc + column;
    c[at] = finished<T>(sum, beta != 0 ? A(widen(c[at])) : A(0), bias, aux, column, at, alpha, beta, kind);
}
