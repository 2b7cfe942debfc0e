// Maximum and mean pooling over windows of up to three axes, forward and backward, channels last.
//
// Limit: x is read once where windows do not overlap (else again from L1 and L2), the result is written once.
// A thread takes an element of the result; neighbours take neighbouring channels. Backward gathers: each
// element of x asks the windows that cover it, so nothing is added by atomics, and the order of the sum is
// fixed. Padding is never counted.
#pragma once

#include "cuda/types.cuh"

// Sizes of input, output and window, strides and low pads; axes that are missing have size 1.
#define POOL_PARAMETERS                                                                                      \
    int64_t batch, int64_t channels, int64_t d0, int64_t d1, int64_t d2, int64_t o0, int64_t o1, int64_t o2, \
        int64_t k0, int64_t k1, int64_t k2, int64_t s0, int64_t s1, int64_t s2, int64_t p0, int64_t p1,      \
        int64_t p2

// Element `i` of (batch, n0, n1, n2, channels).
struct Place {
    int64_t b, at[3], c;
    __device__ __forceinline__ Place(int64_t i, int64_t channels, int64_t n0, int64_t n1, int64_t n2) {
        c = i % channels, i /= channels;
        at[2] = i % n2, i /= n2;
        at[1] = i % n1, i /= n1;
        at[0] = i % n0;
        b = i / n0;
    }
};

struct Span {
    int64_t first, last;  // [first, last)
};

// Which elements k of a window at output o are inside the input of size n.
__device__ __forceinline__ Span inside(int64_t o, int64_t stride, int64_t pad, int64_t k, int64_t n) {
    const int64_t start = o * stride - pad;
    return {start < 0 ? -start : 0, start + k > n ? n - start : k};
}

// Which outputs have input i in their window.
__device__ __forceinline__ Span covering(int64_t i, int64_t stride, int64_t pad, int64_t k, int64_t outs) {
    const int64_t at = i + pad;
    const int64_t first = at < k ? 0 : (at - k) / stride + 1, last = at < 0 ? 0 : at / stride + 1;
    return {first, last < outs ? last : outs};
}

#define POOL_ELEMENT(total)                                           \
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; \
    if (i >= batch * channels * total) return;

// The maximum, and where in its window it is (row-major; the first of equals; the first NaN wins). A window
// outside the input gives -infinity. index may be null.
template <class T, class I>
__global__ void __launch_bounds__(256, 1)
    max_pool(const T* __restrict__ x, T* __restrict__ out, I* __restrict__ index, POOL_PARAMETERS) {
    typedef typename Compute<T>::type A;
    POOL_ELEMENT(o0 * o1 * o2)
    const Place p(i, channels, o0, o1, o2);
    const Span a = inside(p.at[0], s0, p0, k0, d0), b = inside(p.at[1], s1, p1, k1, d1),
               c = inside(p.at[2], s2, p2, k2, d2);
    A best = A(-INFINITY);
    int64_t where = -1;
    for (int64_t u = a.first; u < a.last; u++)
        for (int64_t v = b.first; v < b.last; v++)
            for (int64_t w = c.first; w < c.last; w++) {
                const int64_t at = ((p.b * d0 + p.at[0] * s0 - p0 + u) * d1 + p.at[1] * s1 - p1 + v) * d2 +
                                   p.at[2] * s2 - p2 + w;
                const A value = widen(x[at * channels + p.c]);
                if (where < 0 || value > best || (value != value && best == best)) {
                    best = value;
                    where = (u * k1 + v) * k2 + w;
                }
            }
    out[i] = narrow<T>(best);
    if (index) index[i] = I(where < 0 ? 0 : where);
}

template <class T, class I>
__global__ void __launch_bounds__(256, 1)
    max_pool_grad(const T* __restrict__ g, const I* __restrict__ index, T* __restrict__ dx, POOL_PARAMETERS) {
    typedef typename Compute<T>::type A;
    POOL_ELEMENT(d0 * d1 * d2)
    const Place p(i, channels, d0, d1, d2);
    const Span a = covering(p.at[0], s0, p0, k0, o0), b = covering(p.at[1], s1, p1, k1, o1),
               c = covering(p.at[2], s2, p2, k2, o2);
    A sum = 0;
    for (int64_t u = a.first; u < a.last; u++)
        for (int64_t v = b.first; v < b.last; v++)
            for (int64_t w = c.first; w < c.last; w++) {
                const int64_t at = (((p.b * o0 + u) * o1 + v) * o2 + w) * channels + p.c;
                const int64_t k =
                    ((p.at[0] + p0 - u * s0) * k1 + p.at[1] + p1 - v * s1) * k2 + p.at[2] + p2 - w * s2;
                if (int64_t(index[at]) == k) sum += widen(g[at]);
            }
    dx[i] = narrow<T>(sum);
}

// The elements of x that `index` names: the transpose of max_pool_grad.
template <class T, class I>
__global__ void __launch_bounds__(256, 1)
    max_pool_gather(const T* __restrict__ x, const I* __restrict__ index, T* __restrict__ out,
                    POOL_PARAMETERS) {
    POOL_ELEMENT(o0 * o1 * o2)
    const Place p(i, channels, o0, o1, o2);
    const int64_t k = index[i], u = p.at[0] * s0 - p0 + k / (k1 * k2), v = p.at[1] * s1 - p1 + k / k2 % k1,
                  w = p.at[2] * s2 - p2 + k % k2;
    const bool within = u >= 0 && u < d0 && v >= 0 && v < d1 && w >= 0 && w < d2;
    typedef typename Compute<T>::type A;
    out[i] = within ? x[(((p.b * d0 + u) * d1 + v) * d2 + w) * channels + p.c] : narrow<T>(A(0));
}

template <class T>
__global__ void __launch_bounds__(256, 1)
    avg_pool(const T* __restrict__ x, T* __restrict__ out, POOL_PARAMETERS) {
    typedef typename Compute<T>::type A;
    POOL_ELEMENT(o0 * o1 * o2)
    const Place p(i, channels, o0, o1, o2);
    const Span a = inside(p.at[0], s0, p0, k0, d0), b = inside(p.at[1], s1, p1, k1, d1),
               c = inside(p.at[2], s2, p2, k2, d2);
    A sum = 0;
    for (int64_t u = a.first; u < a.last; u++)
        for (int64_t v = b.first; v < b.last; v++)
            for (int64_t w = c.first; w < c.last; w++) {
                const int64_t at = ((p.b * d0 + p.at[0] * s0 - p0 + u) * d1 + p.at[1] * s1 - p1 + v) * d2 +
                                   p.at[2] * s2 - p2 + w;
                sum += widen(x[at * channels + p.c]);
            }
    out[i] = narrow<T>(sum / A((a.last - a.first) * (b.last - b.first) * (c.last - c.first)));
}

template <class T>
__global__ void __launch_bounds__(256, 1)
    avg_pool_grad(const T* __restrict__ g, T* __restrict__ dx, POOL_PARAMETERS) {
    typedef typename Compute<T>::type A;
    POOL_ELEMENT(d0 * d1 * d2)
    const Place p(i, channels, d0, d1, d2);
    const Span a = covering(p.at[0], s0, p0, k0, o0), b = covering(p.at[1], s1, p1, k1, o1),
               c = covering(p.at[2], s2, p2, k2, o2);
    A sum = 0;
    for (int64_t u = a.first; u < a.last; u++)
        for (int64_t v = b.first; v < b.last; v++)
            for (int64_t w = c.first; w < c.last; w++) {
                const Span x = inside(u, s0, p0, k0, d0), y = inside(v, s1, p1, k1, d1),
                           z = inside(w, s2, p2, k2, d2);
                const A count = A((x.last - x.first) * (y.last - y.first) * (z.last - z.first));
                sum += widen(g[(((p.b * o0 + u) * o1 + v) * o2 + w) * channels + p.c]) / count;
            }
    dx[i] = narrow<T>(sum);
}
