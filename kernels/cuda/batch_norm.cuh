// Batch norm forward and backward (Ioffe and Szegedy 2015), channels last and first, and group norm (Wu and
// He 2018), which is the same over the channels of a group in each example.
//
// Limit: forward reads x twice and writes once, backward reads x and g twice and writes once: 5 times the
// tensor; less where it stays in L2. Statistics by Welford's recurrence, merged by Chan's formula (Chan,
// Golub and LeVeque 1983), in a fixed tree: deterministic. A ReLU behind the norm is fused: its mask is
// computed again from x.
//
// Channels last (inner = 1): matrices of rows by channels; statistic s of channel c is c / width in matrix
// blockIdx.z. Channels first: runs of `inner` elements, cut into pieces that a warp takes.
#pragma once

#include "cuda/columns.cuh"

template <class A>
struct Moments {
    A n = 0, mean = 0, m2 = 0;

    __device__ __forceinline__ void add(const Moments& b) {
        if (b.n == 0) return;
        const A total = n + b.n, d = b.mean - mean, share = b.n / total;
        m2 += b.m2 + d * d * n * share;
        mean += d * share;
        n = total;
    }
};

template <class A>
__device__ __forceinline__ Moments<A> warp_moments(Moments<A> own) {  // in lane 0
    UNROLL(1)
    for (int o = 16; o; o >>= 1) {
        Moments<A> other;
        other.n = __shfl_down_sync(0xffffffffu, own.n, o);
        other.mean = __shfl_down_sync(0xffffffffu, own.mean, o);
        other.m2 = __shfl_down_sync(0xffffffffu, own.m2, o);
        own.add(other);
    }
    return own;
}

// ---------------------------------------------------------------- channels last
// part[matrix][split][3][channels]: count, mean, sum of squares about it.
template <class T, int V>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    moments_last(const T* __restrict__ x, typename Compute<T>::type* __restrict__ part, int64_t rows,
                 int64_t channels) {
    typedef typename Compute<T>::type A;
    TFLBP_SHARED(A, means, COLUMN_THREADS * V);
    TFLBP_SHARED(A, squares, COLUMN_THREADS * V);
    TFLBP_SHARED(A, counts, COLUMN_THREADS);
    const Columns<V> own(rows, channels);
    const T* in = x + blockIdx.z * rows * channels + own.column;
    A mean[V] = {}, m2[V] = {}, n = 0;
    UNROLL(2)
    for (int64_t r = own.first; r < own.last; r += own.step) {
        const Pack<T, V> v = load<V>(in + r * channels);
        n += A(1);
        const A weight = A(1) / n;
        for (int j = 0; j < V; j++) {
            const A d = widen(v.at[j]) - mean[j];
            mean[j] += d * weight;
            m2[j] += d * (widen(v.at[j]) - mean[j]);
        }
    }
    const int at = threadIdx.y * blockDim.x + threadIdx.x;
    counts[at] = n;
    for (int j = 0; j < V; j++) {
        means[at * V + j] = mean[j];
        squares[at * V + j] = m2[j];
    }
    UNROLL(1)
    for (unsigned half = blockDim.y / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) {
            const int from = at + int(half * blockDim.x);
            A total = 0;
            for (int j = 0; j < V; j++) {
                Moments<A> a, b;
                a.n = counts[at], a.mean = means[at * V + j], a.m2 = squares[at * V + j];
                b.n = counts[from], b.mean = means[from * V + j], b.m2 = squares[from * V + j];
                a.add(b);
                means[at * V + j] = a.mean;
                squares[at * V + j] = a.m2;
                total = a.n;
            }
            counts[at] = total;
        }
    }
    if (threadIdx.y == 0 && own.inside) {
        A* out = part + (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * 3 * channels + own.column;
        for (int j = 0; j < V; j++) {
            out[j] = counts[at];
            out[channels + j] = means[at * V + j];
            out[2 * channels + j] = squares[at * V + j];
        }
    }
}

// Mean, variance (biased) and 1 / sqrt(variance + eps) of each statistic: `width` channels of a matrix, all
// splits of part. A warp each; var may be null.
template <class A>
__global__ void __launch_bounds__(128, 1)
    moments_total(const A* __restrict__ part, A* __restrict__ mean, A* __restrict__ var,
                  A* __restrict__ inv_std, int64_t count, int64_t channels, int64_t width, int64_t splits,
                  double eps) {
    const int64_t s = int64_t(blockIdx.x) * 4 + threadIdx.x / 32, groups = channels / width;
    if (s >= count) return;
    const A* own = part + s / groups * splits * 3 * channels + s % groups * width;
    Moments<A> sum;
    for (int64_t i = threadIdx.x % 32; i < splits * width; i += 32) {
        const A* at = own + i / width * 3 * channels + i % width;
        Moments<A> one;
        one.n = at[0], one.mean = at[channels], one.m2 = at[2 * channels];
        sum.add(one);
    }
    sum = warp_moments(sum);
    if (threadIdx.x % 32) return;
    const A variance = sum.m2 / sum.n;
    mean[s] = sum.mean;
    if (var) var[s] = variance;
    inv_std[s] = A(1) / root(variance + A(eps));
}

// What the maps below need of each of a thread's columns.
template <class T, int V>
struct Affine {
    typedef typename Compute<T>::type A;
    A mean[V], inv[V], weight[V], bias[V];

    __device__ __forceinline__ Affine(const A* means, const A* inv_stds, const T* weights, const T* biases,
                                      int64_t column, int64_t channels, int64_t width) {
        for (int j = 0; j < V; j++) {
            const int64_t c = column + j < channels ? column + j : 0, s = (blockIdx.z * channels + c) / width;
            mean[j] = means[s];
            inv[j] = inv_stds[s];
            weight[j] = weights ? widen(weights[c]) : A(1);
            bias[j] = biases ? widen(biases[c]) : A(0);
        }
    }
    __device__ __forceinline__ A normed(int j, T x) const { return (widen(x) - mean[j]) * inv[j]; }
    __device__ __forceinline__ A out(int j, T x) const { return normed(j, x) * weight[j] + bias[j]; }
};

template <class T, int V>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    normalise_last(const T* __restrict__ x, const typename Compute<T>::type* __restrict__ mean,
                   const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                   const T* __restrict__ bias, T* __restrict__ out, int64_t rows, int64_t channels,
                   int64_t width, int64_t relu) {
    typedef typename Compute<T>::type A;
    const Columns<V> own(rows, channels);
    const Affine<T, V> f(mean, inv_std, weight, bias, own.column, channels, width);
    const int64_t base = blockIdx.z * rows * channels + own.column;
    UNROLL(2)
    for (int64_t r = own.first; r < own.last; r += own.step) {
        const Pack<T, V> v = load<V>(x + base + r * channels);
        Pack<T, V> y;
        for (int j = 0; j < V; j++) {
            const A a = f.out(j, v.at[j]);
            y.at[j] = narrow<T>(relu && a <= 0 ? A(0) : a);
        }
        store(out + base + r * channels, y);
    }
}

// part[matrix][split][2][channels]: the sums of g, and of g times the normalised x.
template <class T, int V>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    norm_sums_last(const T* __restrict__ g, const T* __restrict__ x,
                   const typename Compute<T>::type* __restrict__ mean,
                   const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                   const T* __restrict__ bias, typename Compute<T>::type* __restrict__ part, int64_t rows,
                   int64_t channels, int64_t width, int64_t relu) {
    typedef typename Compute<T>::type A;
    const Columns<V> own(rows, channels);
    const Affine<T, V> f(mean, inv_std, weight, bias, own.column, channels, width);
    const int64_t base = blockIdx.z * rows * channels + own.column;
    A plain[V] = {}, times[V] = {};
    UNROLL(2)
    for (int64_t r = own.first; r < own.last; r += own.step) {
        const Pack<T, V> d = load<V>(g + base + r * channels), v = load<V>(x + base + r * channels);
        for (int j = 0; j < V; j++) {
            const A a = relu && f.out(j, v.at[j]) <= 0 ? A(0) : A(widen(d.at[j]));
            plain[j] += a;
            times[j] += a * f.normed(j, v.at[j]);
        }
    }
    column_total<V>(plain);
    column_total<V>(times);
    if (threadIdx.y == 0 && own.inside) {
        A* out = part + (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * 2 * channels + own.column;
        for (int j = 0; j < V; j++) {
            out[j] = plain[j];
            out[channels + j] = times[j];
        }
    }
}

// dweight and dbias: the sums over matrices and splits (`parts` of them). A thread a channel.
template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    norm_weight_grads(const typename Compute<T>::type* __restrict__ part, T* __restrict__ dw,
                      T* __restrict__ db, int64_t parts, int64_t channels) {
    typedef typename Compute<T>::type A;
    const int64_t c = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    A plain = 0, times = 0;
    UNROLL(4)
    for (int64_t p = 0; p < parts; p++) {
        plain += part[p * 2 * channels + c];
        times += part[(p * 2 + 1) * channels + c];
    }
    db[c] = narrow<T>(plain);
    dw[c] = narrow<T>(times);
}

// means[0][s], means[1][s]: the means over a statistic's elements of g w, and of g w normalised(x). A warp
// each.
template <class T>
__global__ void __launch_bounds__(128, 1)
    norm_grad_means(const typename Compute<T>::type* __restrict__ part, const T* __restrict__ weight,
                    typename Compute<T>::type* __restrict__ means, int64_t count, int64_t channels,
                    int64_t width, int64_t splits, int64_t elements) {
    typedef typename Compute<T>::type A;
    const int64_t s = int64_t(blockIdx.x) * 4 + threadIdx.x / 32, groups = channels / width,
                  first = s % groups * width;
    if (s >= count) return;
    const A* own = part + s / groups * splits * 2 * channels;
    A plain = 0, times = 0;
    for (int64_t i = threadIdx.x % 32; i < splits * width; i += 32) {
        const int64_t c = first + i % width;
        const A w = weight ? A(widen(weight[c])) : A(1);
        plain += w * own[i / width * 2 * channels + c];
        times += w * own[(i / width * 2 + 1) * channels + c];
    }
    plain = warp_sum(plain);
    times = warp_sum(times);
    if (threadIdx.x % 32) return;
    means[s] = plain / A(elements);
    means[count + s] = times / A(elements);
}

// dx = inv_std * (g w - means[0] - normalised(x) * means[1]).
template <class T, int V>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    norm_grad_last(const T* __restrict__ g, const T* __restrict__ x,
                   const typename Compute<T>::type* __restrict__ mean,
                   const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                   const T* __restrict__ bias, const typename Compute<T>::type* __restrict__ means,
                   T* __restrict__ dx, int64_t rows, int64_t channels, int64_t width, int64_t count,
                   int64_t relu) {
    typedef typename Compute<T>::type A;
    const Columns<V> own(rows, channels);
    const Affine<T, V> f(mean, inv_std, weight, bias, own.column, channels, width);
    A plain[V], times[V];
    for (int j = 0; j < V; j++) {
        const int64_t c = own.column + j < channels ? own.column + j : 0,
                      s = (blockIdx.z * channels + c) / width;
        plain[j] = means[s];
        times[j] = means[count + s];
    }
    const int64_t base = blockIdx.z * rows * channels + own.column;
    UNROLL(2)
    for (int64_t r = own.first; r < own.last; r += own.step) {
        const Pack<T, V> d = load<V>(g + base + r * channels), v = load<V>(x + base + r * channels);
        Pack<T, V> y;
        for (int j = 0; j < V; j++) {
            const A a = relu && f.out(j, v.at[j]) <= 0 ? A(0) : widen(d.at[j]) * f.weight[j];
            y.at[j] = narrow<T>(f.inv[j] * (a - plain[j] - f.normed(j, v.at[j]) * times[j]));
        }
        store(dx + base + r * channels, y);
    }
}

// ---------------------------------------------------------------- channels first: x (outer, channels, inner)
// A grid of (channels, splits); the pieces of a channel's runs, PIECE elements each, are dealt to the splits'
// warps.
#define PIECE 2048

template <class Body>
__device__ __forceinline__ void each_piece(int64_t outer, int64_t channels, int64_t inner, Body body) {
    const int64_t cuts = (inner + PIECE - 1) / PIECE, warps = blockDim.x / 32;
    UNROLL(1)
    for (int64_t i = blockIdx.y * warps + threadIdx.x / 32; i < outer * cuts; i += gridDim.y * warps) {
        const int64_t from = i % cuts * PIECE, left = inner - from;
        body((i / cuts * channels + blockIdx.x) * inner + from, left < PIECE ? left : PIECE);
    }
}

template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    moments_first(const T* __restrict__ x, typename Compute<T>::type* __restrict__ part, int64_t outer,
                  int64_t channels, int64_t inner) {
    typedef typename Compute<T>::type A;
    TFLBP_SHARED(Moments<A>, parts, COLUMN_THREADS / 32);
    Moments<A> own;
    each_piece(outer, channels, inner, [&](int64_t at, int64_t n) {
        each(x + at, n, threadIdx.x % 32, 32, [&](int64_t, T raw) {
            const A v = widen(raw), d = v - own.mean;
            own.n += A(1);
            own.mean += d / own.n;
            own.m2 += d * (v - own.mean);
        });
    });
    own = warp_moments(own);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x) return;
    for (unsigned w = 1; w < blockDim.x / 32; w++) own.add(parts[w]);
    A* out = part + blockIdx.y * 3 * channels + blockIdx.x;
    out[0] = own.n;
    out[channels] = own.mean;
    out[2 * channels] = own.m2;
}

template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    normalise_first(const T* __restrict__ x, const typename Compute<T>::type* __restrict__ mean,
                    const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                    const T* __restrict__ bias, T* __restrict__ out, int64_t outer, int64_t channels,
                    int64_t inner, int64_t relu) {
    typedef typename Compute<T>::type A;
    const int64_t c = blockIdx.x;
    const A m = mean[c], s = inv_std[c], w = weight ? A(widen(weight[c])) : A(1),
            b = bias ? A(widen(bias[c])) : A(0);
    each_piece(outer, channels, inner, [&](int64_t at, int64_t n) {
        map(
            out + at, n, threadIdx.x % 32, 32,
            [=](int64_t, T v) {
                const A a = (widen(v) - m) * s * w + b;
                return narrow<T>(relu && a <= 0 ? A(0) : a);
            },
            x + at);
    });
}

template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    norm_sums_first(const T* __restrict__ g, const T* __restrict__ x,
                    const typename Compute<T>::type* __restrict__ mean,
                    const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                    const T* __restrict__ bias, typename Compute<T>::type* __restrict__ part, int64_t outer,
                    int64_t channels, int64_t inner, int64_t relu) {
    typedef typename Compute<T>::type A;
    const int64_t c = blockIdx.x;
    const A m = mean[c], s = inv_std[c], w = weight ? A(widen(weight[c])) : A(1),
            b = bias ? A(widen(bias[c])) : A(0);
    A plain = 0, times = 0;
    each_piece(outer, channels, inner, [&](int64_t at, int64_t n) {
        each_pair(g + at, x + at, n, threadIdx.x % 32, 32, [&](int64_t, T d, T v) {
            const A normed = (widen(v) - m) * s, a = relu && normed * w + b <= 0 ? A(0) : A(widen(d));
            plain += a;
            times += a * normed;
        });
    });
    plain = group_sum<false>(plain);
    times = group_sum<false>(times);
    if (threadIdx.x) return;
    part[blockIdx.y * 2 * channels + c] = plain;
    part[(blockIdx.y * 2 + 1) * channels + c] = times;
}

template <class T>
__global__ void __launch_bounds__(COLUMN_THREADS, 1)
    norm_grad_first(const T* __restrict__ g, const T* __restrict__ x,
                    const typename Compute<T>::type* __restrict__ mean,
                    const typename Compute<T>::type* __restrict__ inv_std, const T* __restrict__ weight,
                    const T* __restrict__ bias, const typename Compute<T>::type* __restrict__ means,
                    T* __restrict__ dx, int64_t outer, int64_t channels, int64_t inner, int64_t relu) {
    typedef typename Compute<T>::type A;
    const int64_t c = blockIdx.x;
    const A m = mean[c], s = inv_std[c], w = weight ? A(widen(weight[c])) : A(1),
            b = bias ? A(widen(bias[c])) : A(0), plain = means[c], times = means[channels + c];
    each_piece(outer, channels, inner, [&](int64_t at, int64_t n) {
        map(
            dx + at, n, threadIdx.x % 32, 32,
            [=](int64_t, T d, T v) {
                const A normed = (widen(v) - m) * s, a = relu && normed * w + b <= 0 ? A(0) : widen(d) * w;
                return narrow<T>(s * (a - plain - normed * times));
            },
            g + at, x + at);
    });
}
