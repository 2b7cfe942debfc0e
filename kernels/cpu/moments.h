// Sums, means and squares about the mean, of runs and of columns: what the normalisations are made of.
//
// A run is read twice from cache, for its mean and for its squares about that mean, and runs are merged in
// float64 (Chan, Golub, LeVeque 1979). So float32 data with mean 1e4 and deviation 1 comes out right, which
// sums of squares do not give, nor shifted sums when the shift is an outlier.
#pragma once

#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int64_t kRun = 4096;  // elements of a run: float32 sums stay short

inline int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t pieces(int64_t n, int64_t chunk) { return (n + chunk - 1) / chunk; }

// Count, mean and sum of squares about the mean of two sets of numbers, merged.
struct Moments {
    double n, mean, m2;
    void merge(double n2, double mean2, double m22) {
        if (n2 == 0) return;
        const double total = n + n2, delta = mean2 - mean;
        mean += delta * (n2 / total);
        m2 += m22 + delta * delta * (n * n2 / total);
        n = total;
    }
};

// body(first column) for groups of kGroup columns; the last group overlaps the one before (a virtual row is
// never narrower).
template <class T, class F>
inline void over_groups(int64_t width, const F& body) {
    for (int64_t j = 0; j < width; j += kGroup<T>) body(smaller(j, width - kGroup<T>));
}

// Asks for the lines of the block that follows a block of rows, in memory's order, while the columns of this
// one are gone through across it: the stride of a row is too long for the processor to see what comes next
// (a third of the time for blocks from memory).
template <class T>
inline void fetch_ahead(const T* block, int64_t rows, int64_t width, int64_t j0, int64_t i) {
    constexpr int64_t kN = kGroup<T>, kPerLine = 64 / (int64_t)sizeof(T);
    const T* next = block + rows * width + j0 * rows + i * kN;
    for (int64_t j = 0; j < kN; j += kPerLine) __builtin_prefetch(next + j);
}

// Mean and sum of squares about it for each column of a (rows, width) block. The mean is taken as a distance
// from the first row: a large one would lose digits in float32 (5e-4 at 1e4).
template <class T>
void column_moments(const T* x, int64_t rows, int64_t width, double* mean, double* m2) {
    constexpr int64_t kN = kGroup<T>;
    const T share = T(1) / (T)rows;
    over_groups<T>(width, [=](int64_t j0) {
        T first[kN], m[kN], q[kN];
        for (int64_t j = 0; j < kN; ++j) first[j] = x[j0 + j], m[j] = q[j] = 0;
        for (int64_t i = 0; i < rows; ++i) {
            fetch_ahead(x, rows, width, j0, i);
            for (int64_t j = 0; j < kN; ++j) m[j] += x[i * width + j0 + j] - first[j];
        }
        for (int64_t j = 0; j < kN; ++j) m[j] *= share;
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < kN; ++j) {
                const T d = (x[i * width + j0 + j] - first[j]) - m[j];
                q[j] += d * d;
            }
        for (int64_t j = 0; j < kN; ++j)
            mean[j0 + j] = (double)first[j] + (double)m[j], m2[j0 + j] = (double)q[j];
    });
}

// g * (out > 0), where out is computed from x again as the forward did, to the bit; or g. What is masked is
// multiplied by zero, not replaced.
template <bool masked, class T>
inline T through_relu(T g, T centred, T scale, T offset) {
    return masked ? g * (centred * scale + offset > T(0) ? T(1) : T(0)) : g;
}

// Column sums of h and of h * (x - mean), with h = g through ReLU, or g.
template <class T, bool masked = false>
void column_sums(const T* g, const T* x, const T* mean, int64_t rows, int64_t width, double* sum_g,
                 double* sum_gx, const T* scale = nullptr, const T* offset = nullptr) {
    constexpr int64_t kN = kGroup<T>;
    over_groups<T>(width, [=](int64_t j0) {
        T m[kN], k[kN], b[kN], p[kN], q[kN];
        for (int64_t j = 0; j < kN; ++j) m[j] = mean[j0 + j], p[j] = q[j] = 0;
        for (int64_t j = 0; j < kN; ++j)
            k[j] = masked ? scale[j0 + j] : T(0), b[j] = masked ? offset[j0 + j] : T(0);
        for (int64_t i = 0; i < rows; ++i) {
            fetch_ahead(g, rows, width, j0, i);
            fetch_ahead(x, rows, width, j0, i);
            for (int64_t j = 0; j < kN; ++j) {
                const int64_t at = i * width + j0 + j;
                const T centred = x[at] - m[j], h = through_relu<masked>(g[at], centred, k[j], b[j]);
                p[j] += h;
                q[j] += h * centred;
            }
        }
        for (int64_t j = 0; j < kN; ++j) sum_g[j0 + j] = (double)p[j], sum_gx[j0 + j] = (double)q[j];
    });
}

template <class T>
void run_moments(const T* x, int64_t n, Moments* all) {
    for (int64_t b = 0; b < n; b += kRun) {
        const int64_t len = smaller(kRun, n - b);
        const T *v = x + b, first = v[0];
        const T mean =
            group_sum<T>(len, [=](int64_t i) { return v[i] - first; }) / (T)len;  // from `first`, as above
        const T q = group_sum<T>(len, [=](int64_t i) {
            const T d = (v[i] - first) - mean;
            return d * d;
        });
        all->merge((double)len, (double)first + (double)mean, (double)q);
    }
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
