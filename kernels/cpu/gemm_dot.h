// A few rows times a transposed B: dots along k, which both operands hold contiguously.
//
// With one to three rows, transposing B would cost more than the product. Four columns at a time give enough
// independent accumulators; the limit is reading B once.
#pragma once

#include "cpu/gemm_pack.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// The sums of four vectors. Each step adds the halves of all of them at once, within 128 bits; what is left
// are as many of these as a vector has.
inline void sums(const vec<float>* a, float* to) {
    const vec<float> x = low(a[0], a[2]) + high(a[0], a[2]), y = low(a[1], a[3]) + high(a[1], a[3]);
    float v[kLanes<float>];
    store(v, low(x, y) + high(x, y));
    for (int j = 0; j < 4; j++) to[j] = v[j];
    for (int l = 4; l < kLanes<float>; l += 4)
        for (int j = 0; j < 4; j++) to[j] += v[l + j];
}
inline void sums(const vec<double>* a, double* to) {
    double v[2][kLanes<double>];
    for (int i = 0; i < 2; i++) store(v[i], low(a[2 * i], a[2 * i + 1]) + high(a[2 * i], a[2 * i + 1]));
    for (int j = 0; j < 4; j++) to[j] = v[j / 2][j % 2];
    for (int l = 2; l < kLanes<double>; l += 2)
        for (int j = 0; j < 4; j++) to[j] += v[j / 2][l + j % 2];
}

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
        T sum[M][C];
        for (int i = 0; i < M; i++) sums(acc[i], sum[i]);
        for (; k < g.k; k++)
            for (int i = 0; i < M; i++)
                for (int j = 0; j < C; j++) sum[i][j] += g.a.at(i, k)[0] * b[j][k];
        for (int i = 0; i < M; i++)
            for (int j = 0; j < columns; j++) {
                const T v = g.bias ? sum[i][j] + g.bias[n + j] : sum[i][j];
                g.c[i * g.ldc + n + j] = g.relu && T(0) > v ? T(0) : v;
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
