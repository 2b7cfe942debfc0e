// Layer norm, RMS norm and group norm, forward and backward.
//
// Limit: memory, x read and out written forward; g and x read and dx written backward. A row (or a group of
// rows, backward) stays in cache between the passes over it. Deterministic: rows belong to one job; the
// gradients of weight and bias are summed over chunks of rows, cut by the shape alone, and the chunks are
// added in their order.

#include <initializer_list>

#include "moments.h"
#include "stream.h"
#include "tflbp/cache.h"
#include "tflbp/parallel.h"
#include "tflbp/row_norms.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int64_t kJob = 16384;      // elements per job
constexpr int64_t kMostChunks = 64;  // of rows, whose sums are kept apart

inline int64_t rows_per_job(int64_t n) { return greater(1, kJob / greater(n, 1)); }
inline int64_t rows_per_chunk(int64_t rows, int64_t n) {
    return greater(rows_per_job(n), pieces(rows, kMostChunks));
}
inline int64_t serial_rows(int64_t n) { return kSerialBelow / greater(n, 1); }

size_t workspace(int64_t rows, int64_t n) {
    return (size_t)(2 * n * pieces(rows, rows_per_chunk(rows, n))) * sizeof(double);
}

// sum of term(i), short sums in T, long ones in double
template <class T, class F>
inline double long_sum(int64_t n, const F& term) {
    if (n <= kRun) return (double)group_sum<T>(n, term);
    double total = 0;
    for (int64_t b = 0; b < n; b += kRun)
        total += (double)group_sum<T>(smaller(kRun, n - b), [=](int64_t i) { return term(b + i); });
    return total;
}

template <class T>
void forward_row(const RowNormForward<T>& a, int64_t row, bool past) {
    const int64_t n = a.n;
    const T *x = a.x + row * n, *w = a.weight, *b = a.bias;
    T* out = a.out + row * n;
    double mean = 0, square;
    if (a.centred) {
        Moments all{0, 0, 0};
        run_moments(x, n, &all);
        mean = all.mean, square = all.m2 / (double)n;
        a.mean[row] = (T)mean;
    } else {
        square = long_sum<T>(n, [=](int64_t i) { return x[i] * x[i]; }) / (double)n;
    }
    const double inv = 1 / sqrt(square + a.eps);
    a.inv_std[row] = (T)inv;
    const T m = (T)mean, k = (T)inv,
            off = (T)((double)m - mean) * k;  // the rounding error of the stored mean
    if (w && b)
        write_terms(out, n, past, [=](int64_t i) { return ((x[i] - m) * k + off) * w[i] + b[i]; });
    else if (w)
        write_terms(out, n, past, [=](int64_t i) { return ((x[i] - m) * k + off) * w[i]; });
    else
        write_terms(out, n, past, [=](int64_t i) { return (x[i] - m) * k + off; });
}

template <class T>
void forward(const RowNormForward<T>& a) {
    const bool past = writes_past_cache(2 * a.rows * a.n * (int64_t)sizeof(T));
    parallel_chunks(
        a.rows, rows_per_job(a.n),
        [&](int64_t begin, int64_t end) {
            const StreamEnd streams{past};
            for (int64_t row = begin; row < end; ++row) forward_row(a, row, past);
        },
        serial_rows(a.n));
}

// dx = inv (h - mean(h) - xhat mean(h xhat)) with h = g weight, xhat = (x - mean) inv; RMS norm lacks
// mean(h).
template <class T>
void backward_row(const RowNormBackward<T>& a, int64_t row, bool past) {
    const int64_t n = a.n;
    const T *g = a.g + row * n, *x = a.x + row * n, *w = a.weight;
    T* dx = a.dx + row * n;
    const T m = a.centred ? a.mean[row] : T(0), inv = a.inv_std[row];
    double sum_h = 0, sum_hx;
    if (w) {
        if (a.centred) sum_h = long_sum<T>(n, [=](int64_t i) { return g[i] * w[i]; });
        sum_hx = long_sum<T>(n, [=](int64_t i) { return g[i] * w[i] * (x[i] - m); });
    } else {
        if (a.centred) sum_h = long_sum<T>(n, [=](int64_t i) { return g[i]; });
        sum_hx = long_sum<T>(n, [=](int64_t i) { return g[i] * (x[i] - m); });
    }
    const double d = (double)inv, count = (double)n;
    const T slope = (T)(-d * d * d * sum_hx / count), off = (T)(-d * sum_h / count);
    if (w)
        write_terms(dx, n, past, [=](int64_t i) { return g[i] * w[i] * inv + ((x[i] - m) * slope + off); });
    else
        write_terms(dx, n, past, [=](int64_t i) { return g[i] * inv + ((x[i] - m) * slope + off); });
}

// Adds the column sums of g and of g xhat of up to kRows rows.
constexpr int kRows = 4;
template <class T, int rows>
inline void column_gradients(const RowNormBackward<T>& a, int64_t row, T* __restrict dw, T* __restrict db) {
    const int64_t n = a.n;
    const T *g = a.g + row * n, *x = a.x + row * n;
    T m[kRows], k[kRows];
    for (int r = 0; r < rows; ++r) m[r] = a.centred ? a.mean[row + r] : T(0), k[r] = a.inv_std[row + r];
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
        T p = 0, q = 0;
        for (int r = 0; r < rows; ++r) {
            const T gi = g[r * n + j];
            p += gi, q += gi * ((x[r * n + j] - m[r]) * k[r]);
        }
        db[j] += p, dw[j] += q;
    }
}

template <class T>
void backward(const RowNormBackward<T>& a) {
    const bool past = writes_past_cache(3 * a.rows * a.n * (int64_t)sizeof(T));
    const int64_t n = a.n, chunk = rows_per_chunk(a.rows, n), chunks = pieces(a.rows, chunk);
    const bool sums = a.dweight || a.dbias;
    const auto one_chunk = [&](int64_t c) {
        const StreamEnd streams{past};
        const int64_t begin = c * chunk, end = smaller(begin + chunk, a.rows);
        double *dw = a.work + 2 * n * c, *db = dw + n;
        if (sums) memset(dw, 0, (size_t)(2 * n) * sizeof(double));
        // float sums of at most kShort rows, in the scratch of this thread
        constexpr int64_t kShort = 64;
        T* part = sums ? (T*)scratch(0, (size_t)(2 * n) * sizeof(T)) : nullptr;
        for (int64_t b = begin; b < end; b += kShort) {
            const int64_t stop = smaller(b + kShort, end);
            if (part) memset(part, 0, (size_t)(2 * n) * sizeof(T));
            int64_t row = b;
            for (; row + kRows <= stop; row += kRows) {
                for (int r = 0; r < kRows; ++r) backward_row(a, row + r, past);
                if (part) column_gradients<T, kRows>(a, row, part, part + n);
            }
            for (; row < stop; ++row) {
                backward_row(a, row, past);
                if (part) column_gradients<T, 1>(a, row, part, part + n);
            }
            if (part)
                for (int64_t j = 0; j < n; ++j) dw[j] += (double)part[j], db[j] += (double)part[n + j];
        }
    };
    if (a.rows * n <= kSerialBelow)
        for (int64_t c = 0; c < chunks; ++c) one_chunk(c);
    else
        parallel_for(chunks, one_chunk);
    if (!sums) return;
    for (int64_t c = 1; c < chunks; ++c)
        for (int64_t j = 0; j < 2 * n; ++j) a.work[j] += a.work[2 * n * c + j];
    for (int64_t j = 0; j < n; ++j) {
        const double dw = chunks ? a.work[j] : 0.0, db = chunks ? a.work[n + j] : 0.0;
        if (a.dweight) a.dweight[j] = (T)dw;
        if (a.dbias) a.dbias[j] = (T)db;
    }
}

// ------------------------------------------------------------------------------------------- groups of
// channels

constexpr int64_t kPositions = 64;  // rows of a block: it is read for its means and again for its squares

template <class T>
void plain_column_moments(const T* x, int64_t rows, int64_t width, double* mean, double* m2) {
    if (width >= kGroup<T>) return column_moments(x, rows, width, mean, m2);
    for (int64_t j = 0; j < width; ++j) {
        double m = 0, q = 0;
        for (int64_t i = 0; i < rows; ++i) m += (double)(x[i * width + j] - x[j]);
        m /= (double)rows;
        for (int64_t i = 0; i < rows; ++i) {
            const double d = (double)(x[i * width + j] - x[j]) - m;
            q += d * d;
        }
        mean[j] = (double)x[j] + m, m2[j] = q;
    }
}
template <class T>
void plain_column_sums(const T* g, const T* x, const T* mean, int64_t rows, int64_t width, double* sum_g,
                       double* sum_gx) {
    if (width >= kGroup<T>) return column_sums(g, x, mean, rows, width, sum_g, sum_gx);
    for (int64_t j = 0; j < width; ++j) {
        double p = 0, q = 0;
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t at = i * width + j;
            p += (double)g[at], q += (double)(g[at] * (x[at] - mean[j]));
        }
        sum_g[j] = p, sum_gx[j] = q;
    }
}

// Merges columns of as many rows each: among themselves they need no division.
inline void merge_columns(const double* mean, const double* m2, int64_t columns, int64_t rows, Moments* all) {
    double total = 0, spread = 0, squares = 0;
    for (int64_t c = 0; c < columns; ++c) total += mean[c] - mean[0];
    const double shift = total / (double)columns;
    for (int64_t c = 0; c < columns; ++c) {
        const double d = (mean[c] - mean[0]) - shift;
        spread += d * d, squares += m2[c];
    }
    all->merge((double)(rows * columns), mean[0] + shift, squares + (double)rows * spread);
}

// How many positions of an example the second pass takes at a time: with short rows, the constants of the
// channels are repeated, so that loops are at least kGlued elements long.
constexpr int64_t kGlued = 512;
inline int64_t glued(const GroupShape& s) {
    return smaller(greater(1, s.space), greater(1, kGlued / (s.groups * s.channels)));
}
template <class T>
void repeat(T* row, int64_t n, int64_t times) {
    for (int64_t i = n; i < n * times; ++i) row[i] = row[i - n];
}

// Runs body(example), on all threads where that pays.
template <class F>
void each_example(const GroupShape& s, const F& body) {
    if (s.batch * s.space * s.groups * s.channels <= kSerialBelow)
        for (int64_t i = 0; i < s.batch; ++i) body(i);
    else
        parallel_for(s.batch, body);
}

template <class T>
void group_forward(const GroupNormForward<T>& a) {
    const GroupShape& s = a.shape;
    const int64_t all = s.groups * s.channels, size = s.space * all, times = glued(s), width = times * all;
    const bool past = writes_past_cache(2 * s.batch * size * (int64_t)sizeof(T));
    each_example(s, [&](int64_t i) {
        const StreamEnd streams{past};
        const T* x = a.x + i * size;
        T* out = a.out + i * size;
        double* mean =
            (double*)scratch(0, (size_t)(2 * all) * sizeof(double) + (size_t)(3 * width) * sizeof(T));
        if (!mean) return;
        double* m2 = mean + all;
        T *centre = (T*)(m2 + all), *scale = centre + width, *offset = scale + width;
        Moments* groups = (Moments*)scratch(1, (size_t)s.groups * sizeof(Moments));
        if (!groups) return;
        for (int64_t k = 0; k < s.groups; ++k) groups[k] = {0, 0, 0};
        for (int64_t b = 0; b < s.space; b += kPositions) {
            const int64_t rows = smaller(kPositions, s.space - b);
            plain_column_moments(x + b * all, rows, all, mean, m2);
            for (int64_t k = 0; k < s.groups; ++k)
                merge_columns(mean + k * s.channels, m2 + k * s.channels, s.channels, rows, &groups[k]);
        }
        for (int64_t k = 0; k < s.groups; ++k) {
            const double inv = 1 / sqrt(groups[k].m2 / groups[k].n + a.eps), m = groups[k].mean;
            a.mean[i * s.groups + k] = (T)m, a.inv_std[i * s.groups + k] = (T)inv;
            for (int64_t c = k * s.channels; c < (k + 1) * s.channels; ++c) {
                const double slope = inv * (a.weight ? (double)a.weight[c] : 1.0);
                centre[c] = (T)m, scale[c] = (T)slope;
                offset[c] = (T)((a.bias ? (double)a.bias[c] : 0.0) - (m - (double)(T)m) * slope);
            }
        }
        for (T* row : {centre, scale, offset}) repeat(row, all, times);
        for (int64_t at = 0; at < size; at += width) {
            const T *v = x + at, *p = centre, *k = scale, *b = offset;
            write_terms(out + at, smaller(width, size - at), past,
                        [=](int64_t c) { return (v[c] - p[c]) * k[c] + b[c]; });
        }
    });
}

template <class T>
void group_backward(const GroupNormBackward<T>& a) {
    const GroupShape& s = a.shape;
    const int64_t all = s.groups * s.channels, size = s.space * all, times = glued(s), width = times * all;
    const bool past = writes_past_cache(3 * s.batch * size * (int64_t)sizeof(T));
    each_example(s, [&](int64_t i) {
        const StreamEnd streams{past};
        const T *x = a.x + i * size, *g = a.g + i * size;
        T* dx = a.dx + i * size;
        double *sum_g = a.work + 2 * all * i, *sum_gx = sum_g + all;  // per channel: g, and g (x - mean)
        double* part =
            (double*)scratch(0, (size_t)(2 * all) * sizeof(double) + (size_t)(4 * width) * sizeof(T));
        if (!part) return;
        T *centre = (T*)(part + 2 * all), *scale = centre + width, *slope = scale + width,
          *offset = slope + width;
        for (int64_t c = 0; c < all; ++c)
            centre[c] = a.mean[i * s.groups + c / s.channels], sum_g[c] = sum_gx[c] = 0;
        for (int64_t b = 0; b < s.space; b += kPositions) {
            const int64_t rows = smaller(kPositions, s.space - b);
            plain_column_sums(g + b * all, x + b * all, centre, rows, all, part, part + all);
            for (int64_t c = 0; c < all; ++c) sum_g[c] += part[c], sum_gx[c] += part[all + c];
        }
        for (int64_t k = 0; k < s.groups; ++k) {
            const double inv = (double)a.inv_std[i * s.groups + k], n = (double)(s.space * s.channels);
            double h = 0, hx = 0;
            for (int64_t c = k * s.channels; c < (k + 1) * s.channels; ++c) {
                const double w = a.weight ? (double)a.weight[c] : 1.0;
                h += w * sum_g[c], hx += w * sum_gx[c];
                scale[c] = (T)(inv * w);
                sum_gx[c] *= inv;
            }
            for (int64_t c = k * s.channels; c < (k + 1) * s.channels; ++c)
                slope[c] = (T)(-inv * inv * inv * hx / n), offset[c] = (T)(-inv * h / n);
        }
        for (T* row : {centre, scale, slope, offset}) repeat(row, all, times);
        for (int64_t at = 0; at < size; at += width) {
            const T *v = x + at, *u = g + at, *m = centre, *k = scale, *q = slope, *b = offset;
            write_terms(dx + at, smaller(width, size - at), past,
                        [=](int64_t c) { return u[c] * k[c] + ((v[c] - m[c]) * q[c] + b[c]); });
        }
    });
    for (int64_t c = 0; c < all; ++c) {
        double dw = 0, db = 0;
        for (int64_t i = 0; i < s.batch; ++i)
            db += a.work[2 * all * i + c], dw += a.work[2 * all * i + all + c];
        a.dweight[c] = (T)dw, a.dbias[c] = (T)db;
    }
}

}  // namespace

extern const RowNormTable<float> row_norm_f32 = {workspace, forward<float>, backward<float>,
                                                 group_forward<float>, group_backward<float>};
extern const RowNormTable<double> row_norm_f64 = {workspace, forward<double>, backward<double>,
                                                  group_forward<double>, group_backward<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
