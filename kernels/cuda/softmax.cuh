// Softmax over rows, its logarithm, their gradients, and the cross-entropy with its gradient.
//
// Limit: forward reads and writes rows * classes; the cross-entropy gives loss and gradient for the same
// traffic; backward reads two and writes one. A row that fits shared memory is kept there between the passes
// over it; a longer one is read twice (the second time mostly from L2), with the online recurrence for the
// maximum and the sum (Milakov and Gimelshein 2018); clusters.cuh has a way around that for the
// cross-entropy. A warp takes a short row, a block a long one; any length and alignment. 16-bit floats are
// computed in float. Deterministic: every sum is taken in one order.
#pragma once

#include "cuda/types.cuh"

// The largest so far, and the sum of exp(x - top).
template <class A>
struct Online {
    A top = A(-INFINITY), sum = 0;

    __device__ __forceinline__ void add(A z) {
        if (z > top) {
            sum = (sum == 0 ? A(0) : sum * exponential(top - z)) + A(1);
            top = z;
        } else if (z > A(-INFINITY)) {
            sum += exponential(z - top);
        } else if (z != z) {
            sum = z;  // NaN goes on to the result
        }
    }

    // Several at once: one maximum, then the exponentials side by side.
    template <class T, int N>
    __device__ __forceinline__ void add(const Pack<T, N>& pack) {
        A high = A(-INFINITY);
        UNROLL_ALL
        for (int j = 0; j < N; j++) high = widen(pack.at[j]) > high ? widen(pack.at[j]) : high;
        if (high > top) {
            sum = sum == 0 ? A(0) : sum * exponential(top - high);
            top = high;
        }
        if (top > A(-INFINITY)) {
            UNROLL_ALL
            for (int j = 0; j < N; j++) sum += exponential(widen(pack.at[j]) - top);
        } else {
            UNROLL(1)
            for (int j = 0; j < N; j++) add(widen(pack.at[j]));
        }
    }

    __device__ __forceinline__ void add(const Online& b) {
        const A high = top > b.top ? top : b.top;
        sum = (sum == 0 ? A(0) : sum * exponential(top - high)) +
              (b.sum == 0 ? A(0) : b.sum * exponential(b.top - high));
        top = high;
    }
};

template <class A>
__device__ __forceinline__ Online<A> warp_online(Online<A> own) {
    UNROLL(1)
    for (int o = 16; o; o >>= 1) {
        Online<A> other;
        other.top = __shfl_xor_sync(0xffffffffu, own.top, o);
        other.sum = __shfl_xor_sync(0xffffffffu, own.sum, o);
        own.add(other);
    }
    own.sum =
        __shfl_sync(0xffffffffu, own.sum, 0);  // a fused multiply-add rounds a + b and b + a differently
    return own;
}

template <bool WARP, class A>
__device__ __forceinline__ Online<A> group_online(Online<A> own) {
    own = warp_online(own);
    if constexpr (!WARP) {
        TFLBP_SHARED(A, tops, 32);
        TFLBP_SHARED(A, sums, 32);
        const int lane = threadIdx.x % 32;
        if (lane == 0) {
            tops[threadIdx.x / 32] = own.top;
            sums[threadIdx.x / 32] = own.sum;
        }
        __syncthreads();
        own = Online<A>();
        if (lane < blockDim.x / 32) {
            own.top = tops[lane];
            own.sum = sums[lane];
        }
        own = warp_online(own);
    }
    return own;
}

// out = softmax(x), or its logarithm.
template <class T, bool WARP, bool CACHED>
__global__ void __launch_bounds__(Row<WARP>::most, 1)
    softmax(const T* x, T* out, int64_t rows, int64_t classes, int64_t log) {
    typedef typename Compute<T>::type A;
    TFLBP_DYNAMIC_SHARED(unsigned char, shared);
    const Row<WARP> row;
    if (row.index >= rows) return;
    const T* in = x + row.index * classes;
    T* kept = CACHED ? row_cache(shared, row.slot, classes, in) : nullptr;
    Online<A> own;
    each_pack(in, classes, row.thread, row.threads, [&](int64_t i, const auto& pack) {
        if (CACHED) *reinterpret_cast<typename Plain<decltype(pack)>::type*>(kept + i) = pack;
        own.add(pack);
    });
    own = group_online<WARP>(own);
    group_sync<WARP>();  // where the output is aligned otherwise, a thread reads what another one kept
    const A top = own.top, scale = log ? logarithm(own.sum) : A(1) / own.sum;
    map(
        out + row.index * classes, classes, row.thread, row.threads,
        [=](int64_t, T z) {
            return narrow<T>(log ? widen(z) - top - scale : exponential(widen(z) - top) * scale);
        },
        CACHED ? kept : in);
}

// dx = out * (g - sum(g * out)), or for the logarithm g - exp(out) * sum(g).
template <class T, bool WARP>
__global__ void __launch_bounds__(Row<WARP>::most, 1)
    softmax_backward(const T* __restrict__ g, const T* __restrict__ out, T* __restrict__ dx, int64_t rows,
                     int64_t classes, int64_t log) {
    typedef typename Compute<T>::type A;
    const Row<WARP> row;
    if (row.index >= rows) return;
    const int64_t at = row.index * classes;
    A sum = 0;
    each_pair(g + at, out + at, classes, row.thread, row.threads,
              [&](int64_t, T d, T y) { sum += log ? widen(d) : widen(d) * widen(y); });
    sum = group_sum<WARP>(sum);
    map(
        dx + at, classes, row.thread, row.threads,
        [=](int64_t, T d, T y) {
            return narrow<T>(log ? widen(d) - exponential(widen(y)) * sum : widen(y) * (widen(d) - sum));
        },
        g + at, out + at);
}

// ---------------------------------------------------------------- cross-entropy
// The elements [first, first + count) of a row, which a warp, a block or one block of a cluster takes.
struct Part {
    int64_t row, first, count;
    int thread, threads, slot;
};

// loss = -(1 - s) w[y] log p[y] - s / C sum_c w[c] log p[c], and d loss / d logits, times share[0] (a mean's
// 1 over the count). Rows with the ignored label give 0 and 0, whatever their logits hold; a label outside
// [0, classes) gives NaN and NaN. grad may be null, or the logits themselves. meet(online, smooth, total):
// what all parts of the row have found.
template <class T, bool WARP, bool CACHED, class Meet>
__device__ __forceinline__ void cross_entropy(const Part part, const T* logits,
                                              const int64_t* __restrict__ labels,
                                              const typename Compute<T>::type* __restrict__ weight,
                                              const typename Compute<T>::type* __restrict__ share,
                                              typename Compute<T>::type* __restrict__ loss, T* grad,
                                              int64_t classes, double smoothing, int64_t ignored,
                                              int64_t ignores, Meet meet) {
    typedef typename Compute<T>::type A;
    TFLBP_DYNAMIC_SHARED(unsigned char, shared);
    const int64_t label = labels[part.row], at = part.row * classes + part.first;
    const T* in = logits + at;
    T* out = grad ? grad + at : nullptr;
    const bool outside = label < 0 || label >= classes, writes = part.thread == 0 && part.first == 0;
    if ((ignores && label == ignored) || outside) {  // all threads of the row leave together
        const A fill = ignores && label == ignored ? A(0) : A(NAN);
        if (out) map(out, part.count, part.thread, part.threads, [=](int64_t) { return narrow<T>(fill); });
        if (writes) loss[part.row] = fill;
        return;
    }
    T* kept = CACHED ? row_cache(shared, part.slot, part.count, in) : nullptr;
    const A picked = widen(logits[part.row * classes + label]);  // now: the gradient may overwrite it
    const A* own_weight = weight ? weight + part.first : nullptr;
    Online<A> own;
    A smooth = 0, total = 0;  // sum_c w[c] z[c], sum_c w[c]
    each_pack(in, part.count, part.thread, part.threads, [&](int64_t i, const auto& pack) {
        if (CACHED) *reinterpret_cast<typename Plain<decltype(pack)>::type*>(kept + i) = pack;
        own.add(pack);
        if (smoothing == 0) return;
        UNROLL(1)
        for (int j = 0; j < pack.count; j++) {
            const A w = own_weight ? own_weight[i + j] : A(1);
            smooth += w * widen(pack.at[j]);
            total += w;
        }
    });
    own = group_online<WARP>(own);
    const A hit = A(1 - smoothing) * (weight ? weight[label] : A(1)), even = A(smoothing / double(classes));
    if (smoothing != 0) {
        smooth = group_sum<WARP>(smooth);
        total = group_sum<WARP>(total);
    }
    meet(own, smooth, total);
    if (writes) {
        const A lse = own.top + logarithm(own.sum);
        loss[part.row] = hit * (lse - picked) + (smoothing != 0 ? even * (total * lse - smooth) : A(0));
    }
    if (!out) return;
    group_sync<WARP>();
    const A top = own.top, factor = share ? share[0] : A(1), scale = factor * (hit + even * total) / own.sum;
    const int64_t hit_at = label - part.first;
    map(
        out, part.count, part.thread, part.threads,
        [=](int64_t i, T z) {
            A g = exponential(widen(z) - top) * scale;
            if (smoothing != 0) g -= factor * even * (own_weight ? own_weight[i] : A(1));
            if (i == hit_at) g -= factor * hit;
            return narrow<T>(g);
        },
        CACHED ? kept : in);
}

template <class T, bool WARP, bool CACHED>
__global__ void __launch_bounds__(Row<WARP>::most, 1)
    softmax_cross_entropy(const T* logits, const int64_t* __restrict__ labels,
                          const typename Compute<T>::type* __restrict__ weight,
                          const typename Compute<T>::type* __restrict__ share,
                          typename Compute<T>::type* __restrict__ loss, T* grad, int64_t rows,
                          int64_t classes, double smoothing, int64_t ignored, int64_t ignores) {
    const Row<WARP> row;
    if (row.index >= rows) return;
    const Part whole = {row.index, 0, classes, row.thread, row.threads, row.slot};
    cross_entropy<T, WARP, CACHED>(whole, logits, labels, weight, share, loss, grad, classes, smoothing,
                                   ignored, ignores, [](auto&, auto&, auto&) {});
}

// share[0] = 1 / (number of labels that count, or the sum of their weights). One block.
template <class A>
__global__ void __launch_bounds__(512, 1)
    label_share(const int64_t* __restrict__ labels, const A* __restrict__ weight, A* __restrict__ share,
                int64_t rows, int64_t classes, int64_t ignored, int64_t ignores) {
    A total = 0;
    for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) {
        const int64_t label = labels[i];
        if (ignores && label == ignored) continue;
        if (!weight)
            total += A(1);
        else if (label >= 0 && label < classes)
            total += weight[label];
    }
    total = group_sum<false>(total);
    if (threadIdx.x == 0) share[0] = A(1) / total;
}

// out[0] = sum(x) * share[0]. One block.
template <class T>
__global__ void __launch_bounds__(512, 1)
    scaled_total(const typename Compute<T>::type* __restrict__ x,
                 const typename Compute<T>::type* __restrict__ share, T* __restrict__ out, int64_t n) {
    typedef typename Compute<T>::type A;
    A total = 0;
    each(x, n, threadIdx.x, blockDim.x, [&](int64_t, A v) { total += v; });
    total = group_sum<false>(total);
    if (threadIdx.x == 0) out[0] = narrow<T>(share ? total * share[0] : total);
}
