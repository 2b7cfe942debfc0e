// Depthwise convolution, a channel a group, and its gradients: what the tiles of convolution.cuh would use a
// column of. Any stride, dilation, padding and multiplier, one to three axes, channels last; w is (*window,
// 1, filters).
//
// Limit: memory: a thread sums the window of one element, whose neighbours along the channels are its own
// neighbours; what windows share comes from the caches. The weight gradient's rows are split, and sum_splits
// adds the parts in their order: deterministic.
#pragma once

#include "cuda/activation.cuh"
#include "cuda/columns.cuh"

#define DEPTHWISE_SIZES                                                                                 \
    int64_t batch, int64_t channels, int64_t filters, int64_t d0, int64_t d1, int64_t d2, int64_t o0,   \
        int64_t o1, int64_t o2, int64_t k0, int64_t k1, int64_t k2, int64_t s0, int64_t s1, int64_t s2, \
        int64_t p0, int64_t p1, int64_t p2, int64_t l0, int64_t l1, int64_t l2

// body(place in the other array's space, element of the window) for each element of a window that falls
// inside; at0, at1 and at2 give the place along an axis, or -1.
template <class At0, class At1, class At2, class Body>
__device__ __forceinline__ void each_in_window(int64_t k0, int64_t k1, int64_t k2, int64_t n1, int64_t n2,
                                               At0 at0, At1 at1, At2 at2, Body body) {
    UNROLL(1)
    for (int64_t a = 0; a < k0; a++) {
        const int64_t u = at0(a);
        if (u < 0) continue;
        UNROLL(1)
        for (int64_t b = 0; b < k1; b++) {
            const int64_t v = at1(b);
            if (v < 0) continue;
            UNROLL(1)
            for (int64_t c = 0; c < k2; c++) {
                const int64_t w = at2(c);
                if (w >= 0) body((u * n1 + v) * n2 + w, (a * k1 + b) * k2 + c);
            }
        }
    }
}

// Which of n inputs the element k of the window at output i sees, and back; -1 for none.
__device__ __forceinline__ int64_t seen(int64_t i, int64_t k, int64_t stride, int64_t pad, int64_t step,
                                        int64_t n) {
    const int64_t at = i * stride - pad + k * step;
    return at < n ? at : -1;
}
__device__ __forceinline__ int64_t seer(int64_t i, int64_t k, int64_t stride, int64_t pad, int64_t step,
                                        int64_t n) {
    const int64_t at = i + pad - k * step;
    return at >= 0 && at % stride == 0 && at / stride < n ? at / stride : -1;
}

// The grid's y: rows (batch, first two axes); its x: places along the last axis and filters.
template <class T>
__global__ void __launch_bounds__(256, 1)
    depthwise(const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ out,
              const T* __restrict__ bias, DEPTHWISE_SIZES, int64_t relu) {
    typedef typename Compute<T>::type A;
    const int64_t per = filters / channels, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t row = blockIdx.y; row < batch * o0 * o1; row += gridDim.y) {
        const int64_t v = row % o1, u = row / o1 % o0;
        const T* from = x + row / (o1 * o0) * d0 * d1 * d2 * channels;
        for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < o2 * filters; i += step) {
            const int64_t z = i / filters, f = i - z * filters, c = f / per;
            A sum = bias ? A(widen(bias[f])) : A(0);
            each_in_window(
                k0, k1, k2, d1, d2, [=](int64_t k) { return seen(u, k, s0, p0, l0, d0); },
                [=](int64_t k) { return seen(v, k, s1, p1, l1, d1); },
                [=](int64_t k) { return seen(z, k, s2, p2, l2, d2); },
                [&](int64_t at, int64_t k) {
                    sum += widen(from[at * channels + c]) * widen(w[k * filters + f]);
                });
            out[row * o2 * filters + i] = narrow<T>(relu ? activated<RELU>(sum) : sum);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(256, 1)
    depthwise_input(const T* __restrict__ g, const T* __restrict__ w, T* __restrict__ dx, DEPTHWISE_SIZES) {
    typedef typename Compute<T>::type A;
    const int64_t per = filters / channels, step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t row = blockIdx.y; row < batch * d0 * d1; row += gridDim.y) {
        const int64_t v = row % d1, u = row / d1 % d0;
        const T* from = g + row / (d1 * d0) * o0 * o1 * o2 * filters;
        for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < d2 * channels; i += step) {
            const int64_t z = i / channels, f = (i - z * channels) * per;
            A sum = 0;
            each_in_window(
                k0, k1, k2, o1, o2, [=](int64_t k) { return seer(u, k, s0, p0, l0, o0); },
                [=](int64_t k) { return seer(v, k, s1, p1, l1, o1); },
                [=](int64_t k) { return seer(z, k, s2, p2, l2, o2); },
                [&](int64_t at, int64_t k) {
                    for (int64_t r = f; r < f + per; r++)
                        sum += widen(from[at * filters + r]) * widen(w[k * filters + r]);
                });
            dx[row * d2 * channels + i] = narrow<T>(sum);
        }
    }
}

// part[split][element of the window][filter]. The grid: filters, elements of the window, splits of the rows;
// a block's x along the filters, its y along the last axis.
template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    depthwise_weight(const T* __restrict__ x, const T* __restrict__ g,
                     typename Compute<T>::type* __restrict__ part, DEPTHWISE_SIZES) {
    typedef typename Compute<T>::type A;
    const int64_t f = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, k = blockIdx.y,
                  c = f / (filters / channels), a = k / (k1 * k2), b = k / k2 % k1, e = k % k2;
    A sum[1] = {};
    for (int64_t row = blockIdx.z; f < filters && row < batch * o0 * o1; row += gridDim.z) {
        const int64_t u = seen(row / o1 % o0, a, s0, p0, l0, d0), v = seen(row % o1, b, s1, p1, l1, d1);
        if (u < 0 || v < 0) continue;
        const T* from = x + ((row / (o1 * o0) * d0 + u) * d1 + v) * d2 * channels + c;
        const T* to = g + row * o2 * filters + f;
        UNROLL(2)
        for (int64_t z = threadIdx.y; z < o2; z += blockDim.y) {
            const int64_t at = seen(z, e, s2, p2, l2, d2);
            if (at >= 0) sum[0] += widen(from[at * channels]) * widen(to[z * filters]);
        }
    }
    column_total<1>(sum);
    if (threadIdx.y == 0 && f < filters) part[(int64_t(blockIdx.z) * gridDim.y + k) * filters + f] = sum[0];
}
