// Copies of A and B, made only where reading them in place would be slow.
//
// The kernel broadcasts single elements of A, so A never needs a transpose: rows are copied as rows, columns
// as columns. B needs one only when it is stored transposed (dX = g W^T); narrower than a vector it is padded
// with zeros.
#pragma once

#include "cpu/gemm_micro.h"

#if defined(__AVX2__)
#include "cpu/intrinsics.h"
#endif

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// n elements. next: distance to the row copied after this one, which is too short for a hardware prefetcher.
template <class T>
void copy_row(T* to, const T* from, int64_t n, int64_t next) {
    constexpr int VL = kLanes<T>;
    int64_t k = 0;
    for (; k + VL <= n; k += VL) {
        __builtin_prefetch(from + next + k);
        store(to + k, load(from + k));
    }
    for (; k < n; k++) to[k] = from[k];
}

// k groups of `rows` neighbours, lda apart, packed without gaps.
template <int MR, class T>
void copy_columns(int rows, T* to, const T* from, int64_t lda, int64_t k) {
    if (rows == MR) {
        for (; k > 0; k--, from += lda, to += MR) __builtin_memcpy(to, from, MR * sizeof(T));
    } else if constexpr (MR > 1) {
        copy_columns<MR - 1>(rows, to, from, lda, k);
    }
}

// B narrower than a vector, either way stored: [k][VL], zero padded.
template <class T>
void pack_narrow(T* to, const T* from, int64_t step_k, int64_t step_n, int64_t k, int64_t n) {
    constexpr int VL = kLanes<T>;
    for (; k > 0; k--, from += step_k, to += VL) {
        for (int64_t j = 0; j < n; j++) to[j] = from[j * step_n];
        for (int64_t j = n; j < VL; j++) to[j] = 0;
    }
}

// Transposing in registers: every vector takes 16 bytes from each of several rows, one row per 128-bit lane
// (inserts from memory use the load ports), and unpacks within the lanes do the rest: half the shuffles of a
// full transpose.
#if defined(__AVX512F__)
inline vec<float> lanes(const float* p, int64_t step) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
}
inline vec<double> lanes(const double* p, int64_t step) {
    __m512d v = _mm512_castpd128_pd512(_mm_loadu_pd(p));
    v = _mm512_insertf64x2(v, _mm_loadu_pd(p + step), 1);
    v = _mm512_insertf64x2(v, _mm_loadu_pd(p + 2 * step), 2);
    return _mm512_insertf64x2(v, _mm_loadu_pd(p + 3 * step), 3);
}
inline vec<float> low(vec<float> x, vec<float> y) { return _mm512_unpacklo_ps(x, y); }
inline vec<float> high(vec<float> x, vec<float> y) { return _mm512_unpackhi_ps(x, y); }
inline vec<double> low(vec<double> x, vec<double> y) { return _mm512_unpacklo_pd(x, y); }
inline vec<double> high(vec<double> x, vec<double> y) { return _mm512_unpackhi_pd(x, y); }
#elif defined(__AVX2__)
inline vec<float> lanes(const float* p, int64_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
inline vec<double> lanes(const double* p, int64_t step) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
}
inline vec<float> low(vec<float> x, vec<float> y) { return _mm256_unpacklo_ps(x, y); }
inline vec<float> high(vec<float> x, vec<float> y) { return _mm256_unpackhi_ps(x, y); }
inline vec<double> low(vec<double> x, vec<double> y) { return _mm256_unpacklo_pd(x, y); }
inline vec<double> high(vec<double> x, vec<double> y) { return _mm256_unpackhi_pd(x, y); }
#else
template <class T>
vec<T> lanes(const T* p, int64_t) {
    return load(p);
}
inline vec<float> low(vec<float> x, vec<float> y) { return vec<float>{x[0], y[0], x[1], y[1]}; }
inline vec<float> high(vec<float> x, vec<float> y) { return vec<float>{x[2], y[2], x[3], y[3]}; }
inline vec<double> low(vec<double> x, vec<double> y) { return vec<double>{x[0], y[0]}; }
inline vec<double> high(vec<double> x, vec<double> y) { return vec<double>{x[1], y[1]}; }
#endif

// VL rows of B stored [n][k], four (float64: two) k at a time, into column `to` of a panel.
inline void transpose_step(float* to, int64_t ldto, const float* from, int64_t ld) {
    const vec<float> r0 = lanes(from, 4 * ld), r1 = lanes(from + ld, 4 * ld);
    const vec<float> r2 = lanes(from + 2 * ld, 4 * ld), r3 = lanes(from + 3 * ld, 4 * ld);
    const vec<float> a = low(r0, r2), b = high(r0, r2), c = low(r1, r3), d = high(r1, r3);
    store(to, low(a, c));
    store(to + ldto, high(a, c));
    store(to + 2 * ldto, low(b, d));
    store(to + 3 * ldto, high(b, d));
}
inline void transpose_step(double* to, int64_t ldto, const double* from, int64_t ld) {
    const vec<double> r0 = lanes(from, 2 * ld), r1 = lanes(from + ld, 2 * ld);
    store(to, low(r0, r1));
    store(to + ldto, high(r0, r1));
}

// B stored [n][k], n >= VL columns wide, into a panel [k][ldto]; the last vector overlaps the one before (see
// Tile).
template <class T>
void pack_transposed(T* to, int64_t ldto, const T* from, int64_t ld, int64_t k, int64_t n) {
    constexpr int VL = kLanes<T>, step = 16 / int(sizeof(T));
    for (int64_t j = 0; j < n; j += VL) {
        const int64_t column = min64(j, n - VL);
        const T* rows = from + column * ld;
        int64_t q = 0;
        for (; q + step <= k; q += step) transpose_step(to + q * ldto + column, ldto, rows + q, ld);
        for (; q < k; q++)
            for (int i = 0; i < VL; i++) to[q * ldto + column + i] = rows[i * ld + q];
    }
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
