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

// Rows side by side: the sums and roots of one alone wait for each other (a quarter of the time at 256
// floats).
constexpr int kRows = 2;
constexpr int64_t kBeside = 4 << 20;

// total[r] = sum of term(r, j) over j in [begin, end), each in the order of group_sum
template <class T, int rows, class F>
inline void side_sums(int64_t begin, int64_t end, T* total, const F& term) {
    constexpr int64_t kN = kGroup<T>;
    T side[rows][kN];
    for (int r = 0; r < rows; ++r)
        for (int64_t l = 0; l < kN; ++l) side[r][l] = 0;
    int64_t j = begin;
    for (; j + kN <= end; j += kN) {
        for (int r = 0; r < rows; ++r)
            for (int64_t l = 0; l < kN; ++l) side[r][l] += term(r, j + l);
    }
    for (int r = 0; r < rows; ++r) {
        for (int64_t half = kN / 2; half >= 1; half /= 2)
            for (int64_t l = 0; l < half; ++l) side[r][l] += side[r][l + half];
        T rest = 0;
        for (int64_t i = j; i < end; ++i) rest += term(r, i);
        total[r] = rest + side[r][0];
    }
}

// Mean (if centred) and mean square about it of a few rows. The mean is taken as a distance from the row's
// first element: see moments.h.
template <class T, int rows>
inline void row_moments(const T* x, int64_t n, bool centred, double* mean, double* square) {
    T first[rows], m[rows], q[rows];
    for (int r = 0; r < rows; ++r) mean[r] = square[r] = 0;
    if (!centred) {
        for (int64_t b = 0; b < n; b += kRun) {
            const int64_t end = smaller(b + kRun, n);
            if (rows == 1)
                q[0] = group_sum<T>(end - b, [=](int64_t j) { return x[b + j] * x[b + j]; });
            else
                side_sums<T, rows>(b, end, q, [=](int r, int64_t j) { return x[r * n + j] * x[r * n + j]; });
            for (int r = 0; r < rows; ++r) square[r] += (double)q[r];
        }
        for (int r = 0; r < rows; ++r) square[r] /= (double)n;
        return;
    }
    if (n > kRun || rows == 1) {
        for (int r = 0; r < rows; ++r) {
            Moments all{0, 0, 0};
            run_moments(x + r * n, n, &all);
            mean[r] = all.mean, square[r] = all.m2 / (double)n;
        }
        return;
    }
    for (int r = 0; r < rows; ++r) first[r] = x[r * n];
    side_sums<T, rows>(0, n, m, [=](int r, int64_t j) { return x[r * n + j] - first[r]; });
    for (int r = 0; r < rows; ++r) m[r] /= (T)n;
    side_sums<T, rows>(0, n, q, [=](int r, int64_t j) {
        const T d = (x[r * n + j] - first[r]) - m[r];
        return d * d;
    });
    for (int r = 0; r < rows; ++r)
        mean[r] = (double)first[r] + (double)m[r], square[r] = (double)q[r] / (double)n;
}

// Not inlined into the loop over a few rows: unrolled, its loops would call their terms.
template <class T>
[[gnu::noinline]] void normalise(const RowNormForward<T>& a, int64_t row, double mean, double square,
                                 bool past) {
    const int64_t n = a.n;
    const T *x = a.x + row * n, *w = a.weight, *b = a.bias;
    T* out = a.out + row * n;
    const double inv = 1 / sqrt(square + a.eps);
    if (a.centred) a.mean[row] = (T)mean;
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

template <class T, int rows>
void forward_rows(const RowNormForward<T>& a, int64_t row, bool past) {
    double mean[rows], square[rows];
    row_moments<T, rows>(a.x + row * a.n, a.n, a.centred, mean, square);
    for (int r = 0; r < rows; ++r) normalise(a, row + r, mean[r], square[r], past);
}

template <class T>
void forward(const RowNormForward<T>& a) {
    const int64_t bytes = a.rows * a.n * (int64_t)sizeof(T);
    const bool past = writes_past_cache(2 * bytes);
    const bool beside = bytes <= kBeside;  // from further away one row after the other is fetched better
    parallel_chunks(
        a.rows, rows_per_job(a.n),
        [&](int64_t begin, int64_t end) {
            const StreamEnd streams{past};
            int64_t row = begin;
            for (; beside && row + kRows <= end; row += kRows) forward_rows<T, kRows>(a, row, past);
            for (; row < end; ++row) forward_rows<T, 1>(a, row, past);
        },
        serial_rows(a.n));
}

// A few rows at a time: sums of h = g weight and of h (x - mean) along each, and added to dw and db (unless
// null) the columns' sums of g xhat and g, all in one pass. sums: rows of (h, h (x - mean)).
template <class T, int rows, bool weighs, bool columns>
void gradient_sums(const RowNormBackward<T>& a, int64_t row, T* __restrict dw, T* __restrict db,
                   double (*sums)[2]) {
    constexpr int64_t kLanes = kGroup<T>;
    const int64_t n = a.n;
    const T *g = a.g + row * n, *x = a.x + row * n, *w = a.weight;
    T m[rows], k[rows];
    for (int r = 0; r < rows; ++r) {
        m[r] = a.centred ? a.mean[row + r] : T(0), k[r] = a.inv_std[row + r];
        sums[r][0] = sums[r][1] = 0;
    }
    for (int64_t b = 0; b < n; b += kRun) {  // sums in T stay short
        const int64_t end = smaller(b + kRun, n);
        T p[rows][kLanes], q[rows][kLanes];
        for (int r = 0; r < rows; ++r)
            for (int64_t l = 0; l < kLanes; ++l) p[r][l] = q[r][l] = 0;
        const auto add = [&](int64_t j, int64_t l) {
            const T wj = weighs ? w[j] : T(1);
            T sum_g = 0, sum_gx = 0;
            for (int r = 0; r < rows; ++r) {
                const T gi = g[r * n + j], c = x[r * n + j] - m[r], h = weighs ? gi * wj : gi;
                p[r][l] += h, q[r][l] += h * c;
                if (columns) sum_g += gi, sum_gx += gi * (c * k[r]);
            }
            if (columns) db[j] += sum_g, dw[j] += sum_gx;
        };
        int64_t j = b;
        for (; j + kLanes <= end; j += kLanes) {
#pragma omp simd
            for (int64_t l = 0; l < kLanes; ++l) add(j + l, l);
        }
        for (int64_t l = 0; j + l < end; ++l) add(j + l, l);
        for (int r = 0; r < rows; ++r) {
            for (int64_t half = kLanes / 2; half >= 1; half /= 2)
                for (int64_t l = 0; l < half; ++l) p[r][l] += p[r][l + half], q[r][l] += q[r][l + half];
            sums[r][0] += (double)p[r][0], sums[r][1] += (double)q[r][0];
        }
    }
}

// dx = inv (h - mean(h) - xhat mean(h xhat)) with xhat = (x - mean) inv; RMS norm lacks mean(h).
template <class T>
[[gnu::noinline]] void gradient_row(const RowNormBackward<T>& a, int64_t row, const double* sums, bool past) {
    const int64_t n = a.n;
    const T *g = a.g + row * n, *x = a.x + row * n, *w = a.weight;
    T* dx = a.dx + row * n;
    const T m = a.centred ? a.mean[row] : T(0), inv = a.inv_std[row];
    const double d = (double)inv, count = (double)n;
    const T slope = (T)(-d * d * d * sums[1] / count), off = a.centred ? (T)(-d * sums[0] / count) : T(0);
    if (w)
        write_terms(dx, n, past, [=](int64_t i) { return g[i] * w[i] * inv + ((x[i] - m) * slope + off); });
    else
        write_terms(dx, n, past, [=](int64_t i) { return g[i] * inv + ((x[i] - m) * slope + off); });
}

template <class T, int rows>
void gradient_rows(const RowNormBackward<T>& a, int64_t row, T* part, bool past) {
    double sums[rows][2];
    if (a.weight && part)
        gradient_sums<T, rows, true, true>(a, row, part, part + a.n, sums);
    else if (a.weight)
        gradient_sums<T, rows, true, false>(a, row, nullptr, nullptr, sums);
    else if (part)
        gradient_sums<T, rows, false, true>(a, row, part, part + a.n, sums);
    else
        gradient_sums<T, rows, false, false>(a, row, nullptr, nullptr, sums);
    for (int r = 0; r < rows; ++r) gradient_row(a, row + r, sums[r], past);
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
            for (; row + kRows <= stop; row += kRows) gradient_rows<T, kRows>(a, row, part, past);
            for (; row < stop; ++row) gradient_rows<T, 1>(a, row, part, past);
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
