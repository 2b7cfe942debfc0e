// Reductions and maps over the rows of a matrix, column by column: bias gradients, and the skeleton of the
// norms.
//
// Limit: each matrix is read once, 16 bytes a thread where columns and addresses allow (V elements, else V =
// 1). A block takes blockDim.x * V columns and a part of the rows; the grid's y splits the rows, its z counts
// matrices. Partial results of the splits go to memory and are added up by a second kernel in the order of
// the splits: no atomics, the same bits every time.
#pragma once

#include "cuda/types.cuh"

#define COLUMN_THREADS 256

// Which columns and rows this thread takes.
template <int V>
struct Columns {
    int64_t column, first, last;
    int step;
    bool inside;

    __device__ __forceinline__ Columns(int64_t rows, int64_t columns)
        : column((int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * V),
          step(blockDim.y),
          inside(column < columns) {
        const int64_t per = (rows + gridDim.y - 1) / gridDim.y;
        first = blockIdx.y * per + threadIdx.y;
        last = (blockIdx.y + 1) * per < rows ? (blockIdx.y + 1) * per : rows;
        if (!inside) first = last;
    }
};

template <int V, class T>
__device__ __forceinline__ Pack<T, V> load(const T* p) {
    return *reinterpret_cast<const Pack<T, V>*>(p);
}

template <class T, int V>
__device__ __forceinline__ void store(T* p, const Pack<T, V>& pack) {
    *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

// Adds v over the threads of one threadIdx.x, in the order of a tree; threadIdx.y == 0 has the sum.
template <int V, class A>
__device__ __forceinline__ void column_total(A (&v)[V]) {
    TFLBP_SHARED(A, parts, COLUMN_THREADS * V);
    const int at = (threadIdx.y * blockDim.x + threadIdx.x) * V;
    __syncthreads();  // parts may still be read by a previous sum
    for (int j = 0; j < V; j++) parts[at + j] = v[j];
    UNROLL(1)
    for (unsigned half = blockDim.y / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half)
            for (int j = 0; j < V; j++) parts[at + j] += parts[at + half * blockDim.x * V + j];
    }
    if (threadIdx.y == 0)
        for (int j = 0; j < V; j++) v[j] = parts[at + j];
}

// part[split][column] = the sum of the split's rows of x, where mask > 0 if there is a mask (the output of a
// ReLU).
template <class T, int V>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    column_sums(const T* __restrict__ x, const T* __restrict__ mask,
                typename Compute<T>::type* __restrict__ part, int64_t rows, int64_t columns) {
    typedef typename Compute<T>::type A;
    const Columns<V> own(rows, columns);
    A sum[V] = {};
    UNROLL(4)
    for (int64_t r = own.first; r < own.last; r += own.step) {
        const int64_t at = r * columns + own.column;
        const Pack<T, V> v = load<V>(x + at);
        if (mask) {
            const Pack<T, V> m = load<V>(mask + at);
            for (int j = 0; j < V; j++) sum[j] += widen(m.at[j]) > 0 ? widen(v.at[j]) : A(0);
        } else {
            for (int j = 0; j < V; j++) sum[j] += widen(v.at[j]);
        }
    }
    column_total<V>(sum);
    if (threadIdx.y == 0 && own.inside)
        for (int j = 0; j < V; j++) part[blockIdx.y * columns + own.column + j] = sum[j];
}

// out[i] = sum over the splits of part[split][i]. A thread per i.
template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    sum_splits(const typename Compute<T>::type* __restrict__ part, T* __restrict__ out, int64_t splits,
               int64_t n) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    typename Compute<T>::type sum = 0;
    UNROLL(4)
    for (int64_t s = 0; s < splits; s++) sum += part[s * n + i];
    out[i] = narrow<T>(sum);
}
