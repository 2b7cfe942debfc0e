// Layer norm (Ba, Kiros and Hinton 2016) and RMS norm (Zhang and Sennrich 2019) over rows, forward and
// backward.
//
// Limit: forward reads and writes the tensor once (a row stays in shared memory between the mean, the
// variance and the result); backward reads x and g and writes dx: the second look at a row comes from L1. The
// gradients of weight and bias are gathered meanwhile, in shared memory of persistent blocks, and added up
// over the blocks by sum_splits, in their order: deterministic.
#pragma once

#include "cuda/columns.cuh"

// mean and inv_std (rows) are kept for backward. rms: no mean is taken off (mean may be null).
template <class T, bool WARP, bool CACHED>
__global__ void __launch_bounds__(Row<WARP>::most, 1)
    layer_norm(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
               T* __restrict__ out, typename Compute<T>::type* __restrict__ means,
               typename Compute<T>::type* __restrict__ inv_stds, int64_t rows, int64_t n, double eps,
               int64_t rms) {
    typedef typename Compute<T>::type A;
    TFLBP_DYNAMIC_SHARED(unsigned char, shared);
    const Row<WARP> row;
    if (row.index >= rows) return;
    const T* in = x + row.index * n;
    T *kept = CACHED ? row_cache(shared, row.slot, n, in) : nullptr, *to = out + row.index * n;
    A sum = 0;
    each_pack(in, n, row.thread, row.threads, [&](int64_t i, const auto& pack) {
        if (CACHED) *reinterpret_cast<typename Plain<decltype(pack)>::type*>(kept + i) = pack;
        for (int j = 0; j < pack.count; j++)
            sum += rms ? widen(pack.at[j]) * widen(pack.at[j]) : widen(pack.at[j]);
    });
    sum = group_sum<WARP>(sum) / A(n);
    A mean = 0, var = sum;
    const T* again = CACHED ? kept : in;
    if (!rms) {
        mean = sum;
        var = 0;
        each(again, n, row.thread, row.threads,
             [&](int64_t, T v) { var += (widen(v) - mean) * (widen(v) - mean); });
        var = group_sum<WARP>(var) / A(n);
    }
    const A inv = A(1) / root(var + A(eps));
    if (row.thread == 0) {
        if (means) means[row.index] = mean;
        inv_stds[row.index] = inv;
    }
    group_sync<WARP>();  // where the output is aligned otherwise, a thread reads what another one kept
    if (weight && bias && alike(weight, to) && alike(bias, to)) {
        map(
            to, n, row.thread, row.threads,
            [=](int64_t, T v, T w, T b) { return narrow<T>((widen(v) - mean) * inv * widen(w) + widen(b)); },
            again, weight, bias);
    } else {
        map(
            to, n, row.thread, row.threads,
            [=](int64_t i, T v) {
                A y = (widen(v) - mean) * inv;
                if (weight) y *= widen(weight[i]);
                return narrow<T>(bias ? y + widen(bias[i]) : y);
            },
            again);
    }
}

// dx = inv_std * (g w - mean(g w) - normalised * mean(g w normalised)); part[block][2][n]: sums of g and of
// g normalised over the block's rows, where GATHER (n fits shared memory: 2 n numbers for each group of
// threads).
template <class T, bool WARP, bool GATHER>
__global__ void __launch_bounds__(Row<WARP>::most, 1)
    layer_norm_backward(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ weight,
                        const typename Compute<T>::type* __restrict__ means,
                        const typename Compute<T>::type* __restrict__ inv_stds, T* __restrict__ dx,
                        typename Compute<T>::type* __restrict__ part, int64_t rows, int64_t n, int64_t rms) {
    typedef typename Compute<T>::type A;
    TFLBP_DYNAMIC_SHARED(A, shared);
    const Row<WARP> row;
    const int slots = WARP ? 4 : 1;
    A *plain = shared + row.slot * 2 * n, *times = plain + n;
    if (GATHER) {
        for (int64_t i = row.thread; i < 2 * n; i += row.threads) plain[i] = 0;
        group_sync<WARP>();
    }
    UNROLL(1)
    for (int64_t r = row.index; r < rows; r += int64_t(gridDim.x) * slots) {
        const T *gs = g + r * n, *xs = x + r * n;
        const A mean = rms ? A(0) : means[r], inv = inv_stds[r];
        A a = 0, b = 0;
        each_pair(gs, xs, n, row.thread, row.threads, [&](int64_t i, T d, T v) {
            const A dw = weight ? widen(d) * widen(weight[i]) : A(widen(d));
            a += dw;
            b += dw * (widen(v) - mean) * inv;
        });
        a = rms ? A(0) : group_sum<WARP>(a) / A(n);
        b = group_sum<WARP>(b) / A(n);
        map(
            dx + r * n, n, row.thread, row.threads,
            [=](int64_t i, T d, T v) {
                const A normed = (widen(v) - mean) * inv,
                        dw = weight ? widen(d) * widen(weight[i]) : A(widen(d));
                if (GATHER) {
                    plain[i] += widen(d);
                    times[i] += widen(d) * normed;
                }
                return narrow<T>(inv * (dw - a - normed * b));
            },
            gs, xs);
        group_sync<WARP>();  // another thread may add to plain[i] for the next row
    }
    if (!GATHER) return;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < 2 * n; i += blockDim.x) {
        A sum = 0;
        for (int s = 0; s < slots; s++) sum += shared[s * 2 * n + i];
        part[int64_t(blockIdx.x) * 2 * n + i] = sum;
    }
}

// The same sums for rows that are too long for shared memory: part[split][2][n].
template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    layer_norm_columns(const T* __restrict__ g, const T* __restrict__ x,
                       const typename Compute<T>::type* __restrict__ means,
                       const typename Compute<T>::type* __restrict__ inv_stds,
                       typename Compute<T>::type* __restrict__ part, int64_t rows, int64_t n, int64_t rms) {
    typedef typename Compute<T>::type A;
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x,
                  per = (rows + gridDim.y - 1) / gridDim.y;
    if (i >= n) return;
    A plain = 0, times = 0;
    for (int64_t r = blockIdx.y * per; r < rows && r < (blockIdx.y + 1) * per; r++) {
        const A d = widen(g[r * n + i]);
        plain += d;
        times += d * (widen(x[r * n + i]) - (rms ? A(0) : means[r])) * inv_stds[r];
    }
    part[blockIdx.y * 2 * n + i] = plain;
    part[(blockIdx.y * 2 + 1) * n + i] = times;
}
