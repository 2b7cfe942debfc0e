// Scaled dot-product attention forward and backward: the matrix of scores never exists (Dao et al. 2022,
// FlashAttention), softmax by the online recurrence.
//
// Limit: 4 rows keys depth operations forward, 10 backward, on the ordinary units; every tile of 32 keys that
// a block stages serves 4 OWN rows. A warp takes OWN rows; its lanes are the tile's keys for the scores, then
// the columns for the products. Backward runs twice over the scores, once by queries for dq and once by keys
// for dk and dv, so that nobody adds to what another block writes: deterministic. Depth and width up to 32 W.
#pragma once

#include "cuda/types.cuh"

#define ATTENTION_WARPS 4
#define ATTENTION_TILE 32

enum { NO_MASK, BOOL_MASK, ADDED_MASK };

template <class A>
struct Own {
    static const int rows = sizeof(A) == 8 ? 2 : 4;  // of a warp
};

// `count` rows of `columns` elements from memory, one after the other `pitch` apart; rows beyond the end are
// 0.
template <class T, class A>
__device__ __forceinline__ void stage_rows(A* to, const T* from, int64_t count, int rows, int columns,
                                           int pitch) {
    for (int i = threadIdx.x; i < rows * columns; i += blockDim.x) {
        const int r = i / columns, c = i % columns;
        to[r * pitch + c] = r < count ? A(widen(from[int64_t(r) * columns + c])) : A(0);
    }
}

// The score of a query and a key, or -infinity where the query may not look.
template <class T, class A>
__device__ __forceinline__ A masked(A score, const void* mask, int64_t kind, int64_t at, bool past) {
    if (!past) return A(-INFINITY);
    if (kind == BOOL_MASK) return static_cast<const uint8_t*>(mask)[at] ? score : A(-INFINITY);
    if (kind == ADDED_MASK) return score + widen(static_cast<const T*>(mask)[at]);
    return score;
}

// dots[r] = own[r] . tile[lane], for the warp's rows.
template <int R, class A>
__device__ __forceinline__ void dot_rows(A (&dots)[R], const A* own, const A* tile, int n, int pitch) {
    UNROLL_ALL
    for (int r = 0; r < R; r++) dots[r] = 0;
    UNROLL(4)
    for (int i = 0; i < n; i++) {
        const A x = tile[threadIdx.x % 32 * pitch + i];
        UNROLL_ALL
        for (int r = 0; r < R; r++) dots[r] += own[r * pitch + i] * x;
    }
}

// sums[r][w] += sum over the tile's rows j of (lane j's factor[r]) * tile[j][lane + 32 w].
template <int R, int W, class A>
__device__ __forceinline__ void add_rows(A (&sums)[R][W], const A (&factor)[R], const A* tile, int n,
                                         int pitch) {
    UNROLL(2)
    for (int j = 0; j < ATTENTION_TILE; j++) {
        A f[R];
        UNROLL_ALL
        for (int r = 0; r < R; r++) f[r] = __shfl_sync(0xffffffffu, factor[r], j);
        UNROLL_ALL
        for (int w = 0; w < W; w++) {
            const int c = threadIdx.x % 32 + 32 * w;
            const A x = c < n ? tile[j * pitch + c] : A(0);
            UNROLL_ALL
            for (int r = 0; r < R; r++) sums[r][w] += f[r] * x;
        }
    }
}

template <class A>
__device__ __forceinline__ A warp_max(A x) {
    for (int o = 16; o; o >>= 1) {
        const A other = __shfl_xor_sync(0xffffffffu, x, o);
        x = other > x ? other : x;
    }
    return x;
}

// q (heads, rows, depth), k (heads, keys, depth), v (heads, keys, width); out (heads, rows, width), lse
// (heads, rows): each row's logsumexp, +infinity for one that may look nowhere (out is 0). A grid of (tiles
// of rows, heads); mask_head and mask_row: steps of the mask from head to head and row to row, 0 where one
// serves all.
template <class T, int W>
__global__ void __launch_bounds__(32 * ATTENTION_WARPS, 1)
    attention(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
              const void* __restrict__ mask, T* __restrict__ out, typename Compute<T>::type* __restrict__ lse,
              int64_t rows, int64_t keys, int64_t depth, int64_t width, double factor, int64_t causal,
              int64_t mask_kind, int64_t mask_head, int64_t mask_row) {
    typedef typename Compute<T>::type A;
    const int R = Own<A>::rows, lane = threadIdx.x % 32, warp = threadIdx.x / 32, pitch = int(depth) + 1;
    TFLBP_DYNAMIC_SHARED(A, shared);
    A *own = shared, *tile_k = own + ATTENTION_WARPS * R * pitch, *tile_v = tile_k + ATTENTION_TILE * pitch;
    const int64_t head = blockIdx.y, first = int64_t(blockIdx.x) * ATTENTION_WARPS * R,
                  mine = first + warp * R;
    stage_rows(own, q + (head * rows + first) * depth, rows - first, ATTENTION_WARPS * R, int(depth), pitch);
    A sums[R][W] = {}, top[R], total[R];
    UNROLL_ALL
    for (int r = 0; r < R; r++) top[r] = A(-INFINITY), total[r] = 0;
    const int64_t end = causal && first + ATTENTION_WARPS * R < keys ? first + ATTENTION_WARPS * R : keys;
    UNROLL(1)
    for (int64_t j0 = 0; j0 < end; j0 += ATTENTION_TILE) {
        __syncthreads();
        stage_rows(tile_k, k + (head * keys + j0) * depth, keys - j0, ATTENTION_TILE, int(depth), pitch);
        stage_rows(tile_v, v + (head * keys + j0) * width, keys - j0, ATTENTION_TILE, int(width), int(width));
        __syncthreads();
        A s[R];
        dot_rows<R>(s, own + warp * R * pitch, tile_k, int(depth), pitch);
        UNROLL_ALL
        for (int r = 0; r < R; r++) {
            const int64_t row = mine + r, key = j0 + lane;
            s[r] = row < rows && key < keys
                       ? masked<T>(s[r] * A(factor), mask, mask_kind, head * mask_head + row * mask_row + key,
                                   !causal || row >= key)
                       : A(-INFINITY);
            const A high = warp_max(s[r]), now = high > top[r] ? high : top[r];
            const A safe = now > A(-INFINITY) ? now : A(0);  // nothing seen yet: exp(-inf - 0) is 0
            const A shrink = exponential(top[r] - safe);
            s[r] = exponential(s[r] - safe);
            total[r] = total[r] * shrink + warp_sum(s[r]);
            top[r] = now;
            UNROLL_ALL
            for (int w = 0; w < W; w++) sums[r][w] *= shrink;
        }
        add_rows<R, W>(sums, s, tile_v, int(width), int(width));
    }
    UNROLL_ALL
    for (int r = 0; r < R; r++) {
        if (mine + r >= rows) continue;
        const bool seen = total[r] != 0;  // NaN is something
        const A share = seen ? A(1) / total[r] : A(0);
        if (lane == 0) lse[head * rows + mine + r] = seen ? top[r] + logarithm(total[r]) : A(INFINITY);
        UNROLL_ALL
        for (int w = 0; w < W; w++)
            if (lane + 32 * w < width)
                out[(head * rows + mine + r) * width + lane + 32 * w] = narrow<T>(sums[r][w] * share);
    }
}

// share[row] = sum of g * out: a warp a row.
template <class T>
__global__ void __launch_bounds__(128, 1)
    attention_share(const T* __restrict__ g, const T* __restrict__ out,
                    typename Compute<T>::type* __restrict__ share, int64_t rows, int64_t width) {
    const Row<true> row;
    if (row.index >= rows) return;
    typename Compute<T>::type sum = 0;
    each_pair(g + row.index * width, out + row.index * width, width, row.thread, 32,
              [&](int64_t, T a, T b) { sum += widen(a) * widen(b); });
    sum = warp_sum(sum);
    if (row.thread == 0) share[row.index] = sum;
}

// One side's cotangents. By queries: own rows are those of q and g, tiles those of k and v, and `first_grad`
// is dq. By keys: own rows are those of k and v, tiles those of q and g, first_grad is dk and second_grad dv.
template <class T, int W, bool BY_KEYS>
__global__ void __launch_bounds__(32 * ATTENTION_WARPS, 1)
    attention_backward(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
                       const T* __restrict__ g, const void* __restrict__ mask,
                       const typename Compute<T>::type* __restrict__ lse,
                       const typename Compute<T>::type* __restrict__ share, T* __restrict__ first_grad,
                       T* __restrict__ second_grad, int64_t rows, int64_t keys, int64_t depth, int64_t width,
                       double factor, int64_t causal, int64_t mask_kind, int64_t mask_head,
                       int64_t mask_row) {
    typedef typename Compute<T>::type A;
    const int R = Own<A>::rows, lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = ATTENTION_WARPS * R,
              pitch = int(depth) + 1, pitch_v = int(width) + 1;
    TFLBP_DYNAMIC_SHARED(A, shared);
    A *own_a = shared, *own_b = own_a + group * pitch, *tile_a = own_b + group * pitch_v,
      *tile_b = tile_a + ATTENTION_TILE * pitch;
    const int64_t head = blockIdx.y, first = int64_t(blockIdx.x) * group, mine = first + warp * R;
    const int64_t owned = BY_KEYS ? keys : rows, others = BY_KEYS ? rows : keys;
    const T *a = (BY_KEYS ? k : q) + head * owned * depth, *b = (BY_KEYS ? v : g) + head * owned * width;
    const T *c = (BY_KEYS ? q : k) + head * others * depth, *d = (BY_KEYS ? g : v) + head * others * width;
    stage_rows(own_a, a + first * depth, owned - first, group, int(depth), pitch);
    stage_rows(own_b, b + first * width, owned - first, group, int(width), pitch_v);
    A sums_a[R][W] = {}, sums_b[R][W] = {};
    // causal: queries look at keys up to their own place
    const int64_t from = BY_KEYS && causal ? first / ATTENTION_TILE * ATTENTION_TILE : 0;
    const int64_t to = !BY_KEYS && causal && first + group < others ? first + group : others;
    UNROLL(1)
    for (int64_t j0 = from; j0 < to; j0 += ATTENTION_TILE) {
        __syncthreads();
        stage_rows(tile_a, c + j0 * depth, others - j0, ATTENTION_TILE, int(depth), pitch);
        stage_rows(tile_b, d + j0 * width, others - j0, ATTENTION_TILE, int(width), pitch_v);
        __syncthreads();
        A s[R], p[R];
        dot_rows<R>(s, own_a + warp * R * pitch, tile_a, int(depth), pitch);
        dot_rows<R>(p, own_b + warp * R * pitch_v, tile_b, int(width), pitch_v);
        UNROLL_ALL
        for (int r = 0; r < R; r++) {
            const int64_t row = BY_KEYS ? j0 + lane : mine + r, key = BY_KEYS ? mine + r : j0 + lane;
            if (row < rows && key < keys) {
                const A score = masked<T>(s[r] * A(factor), mask, mask_kind,
                                          head * mask_head + row * mask_row + key, !causal || row >= key);
                const A chance = exponential(score - lse[head * rows + row]);
                s[r] = chance * (p[r] - share[head * rows + row]) * A(factor);
                p[r] = chance;
            } else {
                s[r] = p[r] = 0;
            }
        }
        add_rows<R, W>(sums_a, s, tile_a, int(depth), pitch);
        if (BY_KEYS) add_rows<R, W>(sums_b, p, tile_b, int(width), pitch_v);
    }
    UNROLL_ALL
    for (int r = 0; r < R; r++) {
        if (mine + r >= owned) continue;
        const int64_t at = head * owned + mine + r;
        UNROLL_ALL
        for (int w = 0; w < W; w++) {
            const int column = lane + 32 * w;
            if (column < depth) first_grad[at * depth + column] = narrow<T>(sums_a[r][w]);
            if (BY_KEYS && column < width) second_grad[at * width + column] = narrow<T>(sums_b[r][w]);
        }
    }
}
