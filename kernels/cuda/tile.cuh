// A block's share of a matrix product: a tile of 16 R x 16 R elements, 16 x 16 threads with R x R each,
// operands staged in shared memory 16 deep. Products are summed in float (double for double), in the order of
// k: deterministic.
//
// Limit: 2 m n k operations on the ordinary units; each staged element is used 16 R times from shared memory.
// Tensor cores are cublasLt's (matmul.py): this is the floor for where it cannot go, and what runs under the
// emulator.
#pragma once

#include "cuda/types.cuh"

#define TILE_DEPTH 16
#define TILE_THREADS 256

// Elements idx, idx + 256, ... of a tile's operand, in the order in which memory holds them: k or the other
// index fast.
template <bool K_FAST, int R, class A, class Read>
__device__ __forceinline__ void stage(A (*to)[16 * R + 1], int64_t k0, Read read) {
    UNROLL_ALL
    for (int i = 0; i < R; i++) {
        const int at = threadIdx.x + TILE_THREADS * i, k = K_FAST ? at % TILE_DEPTH : at / (16 * R),
                  m = K_FAST ? at / TILE_DEPTH : at % (16 * R);
        to[k][m] = read(m, k, k0 + k);
    }
}

// prepare(k0) runs before each stage, a(m, k, k0 + k) and b(n, k, k0 + k) give elements of the tile (0
// outside), and store(m, n, sum) takes the results. m and n count within the tile, k within the stage.
template <int R, bool A_K_FAST, bool B_K_FAST, class A, class Prepare, class ReadA, class ReadB, class Store>
__device__ __forceinline__ void tile_product(int64_t first, int64_t last, Prepare prepare, ReadA a, ReadB b,
                                             Store store) {
    TFLBP_SHARED2(A, left, TILE_DEPTH, 16 * R + 1);
    TFLBP_SHARED2(A, right, TILE_DEPTH, 16 * R + 1);
    const int x = threadIdx.x % 16, y = threadIdx.x / 16;
    A sum[R][R] = {};
    UNROLL(1)
    for (int64_t k0 = first; k0 < last; k0 += TILE_DEPTH) {
        prepare(k0);
        stage<A_K_FAST, R>(left, k0, a);
        stage<B_K_FAST, R>(right, k0, b);
        __syncthreads();
        UNROLL(4)
        for (int k = 0; k < TILE_DEPTH; k++) {
            A u[R], v[R];
            UNROLL_ALL
            for (int i = 0; i < R; i++) u[i] = left[k][y + 16 * i], v[i] = right[k][x + 16 * i];
            UNROLL_ALL
            for (int i = 0; i < R; i++) {
                UNROLL_ALL
                for (int j = 0; j < R; j++) sum[i][j] += u[i] * v[j];
            }
        }
        __syncthreads();
    }
    UNROLL_ALL
    for (int i = 0; i < R; i++) {
        UNROLL_ALL
        for (int j = 0; j < R; j++) store(y + 16 * i, x + 16 * j, sum[i][j]);
    }
}

// The part of [0, k) that falls to split s of `splits`: whole stages.
struct Depth {
    int64_t first, last;
    __device__ __forceinline__ Depth(int64_t k, int64_t s, int64_t splits) {
        const int64_t stages = (k + TILE_DEPTH - 1) / TILE_DEPTH,
                      per = (stages + splits - 1) / splits * TILE_DEPTH;
        first = s * per < k ? s * per : k;
        last = first + per < k ? first + per : k;
    }
};
