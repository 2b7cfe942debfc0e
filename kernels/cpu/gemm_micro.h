// The micro-kernel: a tile of C, MR rows by NV vectors, stays in registers while k runs:
//     acc[i][j] += A(i, k) * B(k, vector j)           (one broadcast of A, one vector of B)
//
// Limit: two FMAs per cycle (on Zen 3 at 3.4 GHz 109 GFLOP/s in float32, half of that in float64). It takes 8
// tiles or more to hide an FMA's four cycles, and MR * NV + NV + 1 registers: 6 x 2 of 16 for AVX2, 14 x 2 of
// 32 for AVX-512. GCC/Clang vector extensions, so that one text serves every instruction set; loops over the
// tile are fully unrolled. After a change look at the assembly: a spilled accumulator costs a third of the
// speed.
//
// Determinism: whatever the tile's shape, an element is the same chain of FMAs in the order of k.
#pragma once

#include <stdint.h>

#include "cpu/gemm.h"
#include "cpu/simd.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kMaxRows = 14, kMaxVectors = 4;
constexpr int max_rows(int vectors) { return vectors <= 2 ? 14 : vectors == 3 ? 8 : 6; }
#else
constexpr int kMaxRows = 12, kMaxVectors = 4;
constexpr int max_rows(int vectors) { return vectors == 1 ? 12 : vectors == 2 ? 6 : vectors == 3 ? 4 : 2; }
#endif

// vec: a register. loose: the same, anywhere in memory.
template <class T>
struct Vector;
template <>
struct Vector<float> {
    typedef float vec __attribute__((vector_size(kVectorBytes)));
    typedef float loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};
template <>
struct Vector<double> {
    typedef double vec __attribute__((vector_size(kVectorBytes)));
    typedef double loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};
template <class T>
using vec = typename Vector<T>::vec;
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));
template <class T>
inline vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Vector<T>::loose*>(p);
}
template <class T>
inline void store(T* p, vec<T> v) {
    *reinterpret_cast<typename Vector<T>::loose*>(p) = v;
}

inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Columns 0, VL, ... of the tile, but the last vector starts at `last`, so that it ends where the tile ends:
// two vectors that overlap compute the same numbers twice, and no width from VL upwards needs a mask or a
// copy.
template <class T>
struct Tile {
    const T* a;
    int64_t lda;  // rows of A:    A(i, k) = a[i * lda + k]
                  // columns of A: A(i, k) = a[i + k * lda]
    const T* b;
    int64_t ldb;
    int64_t k;
    // The sum runs over `segments` pieces of k, which start at a + a_at[s] and at row b_at[s] of B.
    int64_t segments;
    const int64_t *a_at, *b_at;
    int64_t last;  // first column of the last vector
    T* keep;       // Keep: B is copied here (rows of `ldkeep`) as it is read
    int64_t ldkeep;
    T* c;
    int64_t ldc;
    bool add;     // C += instead of C =
    bool finish;  // the last block of k: bias and lower bound
    const T* bias;
    T low;
};

enum Access { kRows = 0, kColumns = 1 };

// Keep: the first row panel reads B from the caller's matrix and stores it into the panel as it goes. Two
// stores beside twelve FMAs are free, so plain B needs no packing pass.
template <class T, int MR, int NV, int access, bool Keep>
void micro(const Tile<T>& t) {
    constexpr int VL = kLanes<T>;
    vec<T> acc[MR][NV] = {};
    T* c = t.c;
    const int64_t ldc = t.ldc, last = NV > 1 ? t.last : 0;
    TFLBP_UNROLL for (int i = 0; i < MR; i++) {  // wanted some hundred cycles from now
        __builtin_prefetch(c + i * ldc, 1, 3);
        if (NV > 1) __builtin_prefetch(c + i * ldc + last + VL - 1, 1, 3);
    }
    const T* b;
    const int64_t ldb = t.ldb, ldkeep = t.ldkeep;
    T* keep = t.keep;
    const auto read_b = [&](vec<T>* v) {
        TFLBP_UNROLL for (int j = 0; j < NV; j++) {
            const int64_t column = j == NV - 1 ? last : j * VL;
            v[j] = load(b + column);
            if (Keep) store(keep + column, v[j]);
        }
        // A narrow strip of a wide matrix is a new page every few rows; no hardware prefetcher follows that.
        if (Keep) __builtin_prefetch(b + 16 * ldb);
        if (Keep && NV > 1) __builtin_prefetch(b + 16 * ldb + last);
        b += ldb;
        if (Keep) keep += ldkeep;
    };
    for (int64_t s = 0; s < t.segments; s++) {
        const T* first = t.a + t.a_at[s];
        b = t.b + t.b_at[s] * ldb;
        if (access == kRows) {
            // Rows 3q, 3q + 1, 3q + 2 are addressed as p[q], p[q] + lda, p[q] + 2 lda, which x86 does for
            // free. The asm hides how the p[q] are related, or the compiler makes one pointer per row and
            // spills them.
            constexpr int Q = (MR + 2) / 3;
            const T* p[Q];
            int64_t lda = t.lda;
            TFLBP_UNROLL for (int q = 0; q < Q; q++) {
                p[q] = first + 3 * q * lda;
                asm("" : "+r"(p[q]));
            }
            asm("" : "+r"(lda));
            for (int64_t k = t.k; k > 0; k--) {
                vec<T> bv[NV];
                read_b(bv);
                TFLBP_UNROLL for (int i = 0; i < MR; i++) {
                    const T x = p[i / 3][(i % 3) * lda];
                    TFLBP_UNROLL for (int j = 0; j < NV; j++) acc[i][j] += x * bv[j];
                }
                TFLBP_UNROLL for (int q = 0; q < Q; q++) p[q]++;
            }
        } else {
            const T* a = first;
            const int64_t lda = t.lda;
            for (int64_t k = t.k; k > 0; k--) {
                vec<T> bv[NV];
                read_b(bv);
                TFLBP_UNROLL for (int i = 0; i < MR; i++) {
                    const T x = a[i];
                    TFLBP_UNROLL for (int j = 0; j < NV; j++) acc[i][j] += x * bv[j];
                }
                a += lda;
            }
        }
    }
    const auto column = [&](int j) { return j == NV - 1 ? last : int64_t(j) * VL; };
    if (t.add)  // all loads of a row before its stores: the vectors may overlap
        TFLBP_UNROLL for (int i = 0; i < MR; i++) TFLBP_UNROLL for (int j = 0; j < NV; j++) acc[i][j] +=
            load(c + i * ldc + column(j));
    if (t.finish) {
        const vec<T> low = t.low - vec<T>{};
        TFLBP_UNROLL for (int j = 0; j < NV; j++) {
            const vec<T> bias = t.bias ? load(t.bias + column(j)) : vec<T>{};
            TFLBP_UNROLL for (int i = 0; i < MR; i++) {
                const vec<T> v = acc[i][j] + bias;
                acc[i][j] = low > v ? low : v;  // NaN > 0 is false: NaN stays
            }
        }
    }
    TFLBP_UNROLL for (int i = 0; i < MR; i++) TFLBP_UNROLL for (int j = 0; j < NV; j++)
        store(c + i * ldc + column(j), acc[i][j]);
}

// One instance per height and width: edges waste no FMA.
template <class T>
struct MicroTable {
    typedef void (*Fn)(const Tile<T>&);
    Fn fn[kMaxRows + 1][kMaxVectors + 1][2][2];
};
template <class T, int MR, int NV>
constexpr void fill_tile(MicroTable<T>& t) {
    if constexpr (MR <= max_rows(NV)) {
        t.fn[MR][NV][kRows][0] = micro<T, MR, NV, kRows, false>;
        t.fn[MR][NV][kRows][1] = micro<T, MR, NV, kRows, true>;
        t.fn[MR][NV][kColumns][0] = micro<T, MR, NV, kColumns, false>;
        t.fn[MR][NV][kColumns][1] = micro<T, MR, NV, kColumns, true>;
    }
    if constexpr (NV > 1) fill_tile<T, MR, NV - 1>(t);
}
template <class T, int MR>
constexpr void fill_tiles(MicroTable<T>& t) {
    fill_tile<T, MR, kMaxVectors>(t);
    if constexpr (MR > 1) fill_tiles<T, MR - 1>(t);
}
template <class T>
constexpr MicroTable<T> make_micro_table() {
    MicroTable<T> t{};
    fill_tiles<T, kMaxRows>(t);
    return t;
}
template <class T>
constexpr MicroTable<T> kMicro = make_micro_table<T>();

// A tile of any width up to NV vectors. Narrower than one vector (only where the whole of C is): computed
// beside C from a zero-padded panel, then merged.
template <class T>
inline void run_tile(Tile<T>& t, int rows, int64_t width, Access access, bool keep) {
    constexpr int VL = kLanes<T>;
    if (width >= VL) {
        t.last = width - VL;
        kMicro<T>.fn[rows][ceil_div(width, VL)][access][keep](t);
        return;
    }
    alignas(64) T whole[kMaxRows * VL];
    Tile<T> u = t;
    u.c = whole, u.ldc = VL, u.last = 0, u.add = u.finish = false;
    kMicro<T>.fn[rows][1][access][0](u);
    for (int i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++) {
            T v = whole[i * VL + j];
            if (t.add) v += t.c[i * t.ldc + j];
            if (t.finish) {
                if (t.bias) v += t.bias[j];
                v = t.low > v ? t.low : v;
            }
            t.c[i * t.ldc + j] = v;
        }
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
