// Convolution forward, and its gradients in x and w, as products whose first operand is read out of the array
// by index
// ("implicit GEMM", Chetlur et al. 2014): patches are never stored. Any stride, dilation, padding and groups,
// one to three axes, channels last; w is (*window, channels / groups, filters).
//
//   mode      rows m             columns n   depth k
//   FORWARD   output positions   filters     window x channels
//   INPUT     input positions    channels    window x filters
//   WEIGHT    window x channels  filters     output positions
//
// Where an element of the first operand lies is the sum of what its row says and what its depth says; a block
// keeps both in small tables, made once per tile and once per stage. See tile.cuh for the limit. The weight
// gradient is deep and narrow: its positions are split, and sum_splits adds the parts in their order:
// deterministic.
#pragma once

#include "cuda/activation.cuh"
#include "cuda/columns.cuh"
#include "cuda/tile.cuh"

enum { FORWARD, INPUT, WEIGHT };

#define CONV_TILE 64

struct Spot {
    int64_t offset;  // in the array, along its batch and channels
    int at[3];       // along its axes
};

// Of position i of (batch, n0, n1, n2).
__device__ __forceinline__ Spot position(int64_t i, int64_t n0, int64_t n1, int64_t n2, int64_t* batch) {
    Spot s;
    s.at[2] = int(i % n2), i /= n2;
    s.at[1] = int(i % n1), i /= n1;
    s.at[0] = int(i % n0);
    *batch = i / n0;
    s.offset = 0;
    return s;
}

template <class T, int MODE>
__global__ void __launch_bounds__(TILE_THREADS, 1)
    convolution(const T* __restrict__ source, const T* __restrict__ other, T* __restrict__ out,
                const T* __restrict__ bias, typename Compute<T>::type* __restrict__ part, int64_t batch,
                int64_t channels, int64_t filters, int64_t groups, int64_t d0, int64_t d1, int64_t d2,
                int64_t o0, int64_t o1, int64_t o2, int64_t k0, int64_t k1, int64_t k2, int64_t s0,
                int64_t s1, int64_t s2, int64_t p0, int64_t p1, int64_t p2, int64_t l0, int64_t l1,
                int64_t l2, int64_t splits, int64_t relu) {
    typedef typename Compute<T>::type A;
    TFLBP_SHARED(Spot, rows, CONV_TILE);
    TFLBP_SHARED(Spot, depths, TILE_DEPTH);
    TFLBP_SHARED(int64_t, lines, TILE_DEPTH);  // where the second operand has this depth
    const int64_t group = blockIdx.z / splits, split = blockIdx.z % splits;
    const int64_t in = channels / groups, per = filters / groups;  // channels and filters of a group
    const int64_t outs = batch * o0 * o1 * o2, window = k0 * k1 * k2;
    const int64_t m = MODE == FORWARD ? outs
                      : MODE == INPUT ? batch * d0 * d1 * d2
                                      : window * in,
                  n = MODE == INPUT ? in : per,
                  k = MODE == FORWARD ? window * in
                      : MODE == INPUT ? window * per
                                      : outs;
    const int64_t n_tile = int64_t(blockIdx.y) * CONV_TILE, m_tile = int64_t(blockIdx.x) * CONV_TILE;
    const int64_t wide = MODE == INPUT ? filters : channels;  // of the source
    const Depth depth(k, split, splits);

    // What a position of the output, or of the input, says.
    auto of_position = [=](int64_t i) {
        int64_t b;
        Spot s = MODE == INPUT ? position(i, d0, d1, d2, &b) : position(i, o0, o1, o2, &b);
        if (MODE == INPUT) {
            s.offset = b * o0 * o1 * o2 * filters;
            s.at[0] += int(p0), s.at[1] += int(p1), s.at[2] += int(p2);
        } else {
            s.offset = b * d0 * d1 * d2 * channels;
            s.at[0] = int(s.at[0] * s0 - p0), s.at[1] = int(s.at[1] * s1 - p1),
            s.at[2] = int(s.at[2] * s2 - p2);
        }
        return s;
    };
    // What an element of the window and a channel (of `many`) say.
    auto of_window = [=](int64_t i, int64_t many) {
        int64_t rest;
        Spot s = position(i / many, k0, k1, k2, &rest);
        s.offset = group * many + i % many;
        s.at[0] *= int(l0), s.at[1] *= int(l1), s.at[2] *= int(l2);
        return s;
    };

    for (int i = threadIdx.x; i < CONV_TILE; i += TILE_THREADS)
        if (m_tile + i < m) rows[i] = MODE == WEIGHT ? of_window(m_tile + i, in) : of_position(m_tile + i);
    const int64_t line = MODE == INPUT ? filters : 1;  // from column to column of the second operand
    tile_product<CONV_TILE / 16, MODE != WEIGHT, MODE == INPUT, A>(
        depth.first, depth.last,
        [&](int64_t first) {
            const int64_t i = first + threadIdx.x;
            if (threadIdx.x < TILE_DEPTH && i < depth.last) {
                if (MODE == FORWARD) {
                    depths[threadIdx.x] = of_window(i, in);
                    lines[threadIdx.x] = i * filters + group * per;
                } else if (MODE == INPUT) {
                    depths[threadIdx.x] = of_window(i, per);
                    lines[threadIdx.x] = i / per * in * filters + group * per + i % per;
                } else {
                    depths[threadIdx.x] = of_position(i);
                    lines[threadIdx.x] = i * filters + group * per;
                }
            }
            __syncthreads();
        },
        [&](int i, int d, int64_t at) {
            if (m_tile + i >= m || at >= depth.last) return A(0);
            const Spot &r = rows[i], &s = depths[d];
            int u, v, w;
            if (MODE == INPUT) {  // the outputs that saw this input through this element of the window
                u = r.at[0] - s.at[0], v = r.at[1] - s.at[1], w = r.at[2] - s.at[2];
                if (u < 0 || v < 0 || w < 0) return A(0);
                if (s0 != 1 || s1 != 1 || s2 != 1) {
                    if (u % int(s0) || v % int(s1) || w % int(s2)) return A(0);
                    u /= int(s0), v /= int(s1), w /= int(s2);
                }
                if (u >= o0 || v >= o1 || w >= o2) return A(0);
                return A(widen(source[r.offset + s.offset + ((u * o1 + v) * o2 + w) * wide]));
            }
            u = r.at[0] + s.at[0], v = r.at[1] + s.at[1], w = r.at[2] + s.at[2];
            if (u < 0 || v < 0 || w < 0 || u >= d0 || v >= d1 || w >= d2) return A(0);
            return A(widen(source[r.offset + s.offset + ((u * d1 + v) * d2 + w) * wide]));
        },
        [&](int j, int d, int64_t at) {
            return n_tile + j < n && at < depth.last ? A(widen(other[lines[d] + (n_tile + j) * line])) : A(0);
        },
        [&](int i, int j, A sum) {
            const int64_t row = m_tile + i, column = n_tile + j;
            if (row >= m || column >= n) return;
            const int64_t at = row * (MODE == INPUT ? channels : filters) + group * n + column;
            if (splits > 1) {
                part[split * m * n * groups + at] = sum;
                return;
            }
            if (MODE == FORWARD && bias) sum += widen(bias[group * n + column]);
            out[at] = narrow<T>(MODE == FORWARD && relu ? activated<RELU>(sum) : sum);
        });
}
