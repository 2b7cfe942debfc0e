// A few rows times a transposed B: dots along k, which both operands hold contiguously.
//
// With one to three rows, transposing B would cost more than the product. Four columns at a time give enough
// independent accumulators; the limit is reading B once.
#pragma once

#include "cpu/gemm_micro.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T, int M>
void dot_rows(const GemmArgs<T>& g) {
    constexpr int VL = kLanes<T>, C = 4;
    for (int64_t n = 0; n < g.n; n += C) {
        const int64_t columns = min64(C, g.n - n);
        const T* b[C];
        for (int j = 0; j < C; j++) b[j] = g.b.at(0, n + min64(j, columns - 1));
        vec<T> acc[M][C] = {};
        int64_t k = 0;
        for (; k + VL <= g.k; k += VL) {
            vec<T> a[M];
            TFLBP_UNROLL for (int i = 0; i < M; i++) a[i] = load(g.a.at(i, k));
            TFLBP_UNROLL for (int j = 0; j < C; j++) {
                const vec<T> bj = load(b[j] + k);
                TFLBP_UNROLL for (int i = 0; i < M; i++) acc[i][j] += a[i] * bj;
            }
        }
        for (int i = 0; i < M; i++)
            for (int j = 0; j < columns; j++) {
                T sum = 0;
                for (int l = 0; l < VL; l++) sum += acc[i][j][l];
                for (int64_t q = k; q < g.k; q++) sum += g.a.at(i, q)[0] * b[j][q];
                if (g.bias) sum += g.bias[n + j];
                g.c[i * g.ldc + n + j] = g.relu && T(0) > sum ? T(0) : sum;
            }
    }
}

template <class T>
void gemm_dots(const GemmArgs<T>& g) {
    if (g.m == 1)
        dot_rows<T, 1>(g);
    else if (g.m == 2)
        dot_rows<T, 2>(g);
    else
        dot_rows<T, 3>(g);
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
