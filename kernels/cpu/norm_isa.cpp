// Batch normalisation, forward and backward.
//
// Statistics: each chunk is read twice from cache, for its mean and for its squares about that mean, and the chunks are
// merged in float64 (Chan, Golub, LeVeque 1979). So float32 data with mean 1e4 and deviation 1 comes out right, which
// sums of squares do not give, nor shifted sums when the shift is an outlier.
// Limit: forward reads x twice and writes once, backward reads g and x twice and writes once; with channels first and a
// channel that fits L2 the second reading comes from there.
// Deterministic: the chunks depend on the shape alone, and are merged in their order.

#include "tflbp/kernels.h"
#include "tflbp/parallel.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t pieces(int64_t n, int64_t chunk) { return (n + chunk - 1) / chunk; }

// How the work is cut. Channels last: rows are glued to a `width` of at least 64 elements (a virtual row), so that three
// channels fill vectors too; a chunk is `chunk` virtual rows. Channels first: a run of `inner` is cut into pieces of at
// most `chunk`; the images are cut into groups of `images` when there are few channels.
struct Cut {
    int64_t width, chunk, chunks;       // last
    int64_t glued;                      // rows per virtual row
    int64_t images, groups;             // first
};
constexpr int64_t kWidth = 64, kChunk = 16384, kRun = 4096, kMinRows = 32;

inline Cut cut_of(const NormShape& s) {
    Cut c{};
    if (s.inner == 1) {
        c.glued = s.channels < kWidth ? kWidth / s.channels : 1;
        c.width = c.glued * s.channels;
        c.chunk = greater(kMinRows, kChunk / c.width);
        c.chunks = greater(1, pieces(s.outer / c.glued, c.chunk)) + (s.outer % c.glued ? 1 : 0);
    } else {
        const int64_t elements = s.outer * s.inner;
        // Few channels and much data: split the images as well, or one core would hold a channel alone.
        c.groups = s.channels >= 16 ? 1 : smaller(s.outer, greater(1, elements / (4 * kChunk)));
        c.images = c.groups > 0 ? pieces(s.outer, c.groups) : 0;
        c.groups = c.images > 0 ? pieces(s.outer, c.images) : 0;
    }
    return c;
}

size_t workspace(const NormShape& s) {      // enough doubles for both directions and types
    const Cut c = cut_of(s);
    const int64_t n = s.inner == 1 ? 2 * c.chunks * c.width + 4 * c.width : 3 * c.groups * s.channels + 4 * s.channels;
    return (size_t)n * sizeof(double);
}

// Count, mean and sum of squares about the mean of two sets of numbers, merged.
struct Moments {
    double n = 0, mean = 0, m2 = 0;
    void merge(double n2, double mean2, double m22) {
        if (n2 == 0) return;
        const double total = n + n2, delta = mean2 - mean;
        mean += delta * (n2 / total);
        m2 += m22 + delta * delta * (n * n2 / total);
        n = total;
    }
};

// ---------------------------------------------------------------------------------------------- channels last

// Sums over rows of a (rows, width) block: out[j] = sum_i term(i * width + j); four rows per turn spare loads and stores.
template <class T, class F>
inline void column_sums(int64_t rows, int64_t width, T* out, const F& term) {
    for (int64_t j = 0; j < width; ++j) out[j] = 0;
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4)
        for (int64_t j = 0; j < width; ++j) {
            const int64_t at = i * width + j;
            out[j] += (term(at, j) + term(at + width, j)) + (term(at + 2 * width, j) + term(at + 3 * width, j));
        }
    for (; i < rows; ++i)
        for (int64_t j = 0; j < width; ++j) out[j] += term(i * width + j, j);
}

struct Chunk {          // virtual rows of one chunk; the last one may be the rest: `rest` real rows, fewer than glued
    int64_t begin, rows, rest;
};
inline Chunk chunk_at(const NormShape& s, const Cut& c, int64_t index) {
    const int64_t full = s.outer / c.glued, begin = index * c.chunk;
    if (begin >= full && s.outer % c.glued && index == c.chunks - 1) return {full, 0, s.outer % c.glued};
    return {begin, greater(0, smaller(c.chunk, full - begin)), 0};
}

// The mean of a chunk as its distance from the chunk's first row: a large mean would lose digits in float32 (5e-4 at 1e4).
template <class T>
void chunk_moments(const T* x, int64_t rows, int64_t width, T* mean, T* m2) {
    const T share = T(1) / (T)rows;
    column_sums(rows, width, mean, [=](int64_t at, int64_t j) { return x[at] - x[j]; });
    for (int64_t j = 0; j < width; ++j) mean[j] *= share;
    column_sums(rows, width, m2, [=](int64_t at, int64_t j) {
        const T d = (x[at] - x[j]) - mean[j];
        return d * d;
    });
}

// Visits every entry of the chunk partials that belongs to a channel: f(index of the entry, index in x of the entry's first
// number, numbers in it).
template <class F>
inline void each_partial(const NormShape& s, const Cut& c, int64_t channel, const F& f) {
    for (int64_t k = 0; k < c.chunks; ++k) {
        const Chunk part = chunk_at(s, c, k);
        for (int64_t r = 0; r < c.glued; ++r) {
            const int64_t rows = part.rest ? (r < part.rest ? 1 : 0) : part.rows, j = r * s.channels + channel;
            if (rows) f(k * c.width + j, part.begin * c.width + j, rows);
        }
    }
}

// The per-channel constants of the forward: out = (x - mean) * scale + offset. The rounding error of the stored mean goes
// into the offset.
template <class T>
inline void finish_channel(const NormForward<T>& a, int64_t c, const Moments& all, T* mean, T* scale, T* offset) {
    const double var = all.n > 0 ? all.m2 / all.n : 0, inv = 1 / sqrt(var + a.eps);
    const double slope = inv * (a.weight ? (double)a.weight[c] : 1.0);
    a.mean[c] = (T)all.mean, a.var[c] = (T)var, a.inv_std[c] = (T)inv;
    *mean = (T)all.mean, *scale = (T)slope;
    *offset = (T)((a.bias ? (double)a.bias[c] : 0.0) - (all.mean - (double)*mean) * slope);
}

template <class T>
void repeat(T* row, int64_t channels, int64_t glued) {      // fills a virtual row from its first channels
    for (int64_t i = channels; i < channels * glued; ++i) row[i] = row[i - channels];
}

// body(first element, elements, first column 0): all rows of x in pieces that start on a virtual row.
template <class F>
void over_rows(const NormShape& s, const Cut& c, const F& body) {
    const int64_t rows = pieces(s.outer, c.glued), total = s.outer * s.channels;
    const int64_t per_job = greater(1, kChunk / c.width);
    parallel_chunks(rows, per_job, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) body(i * c.width, smaller(c.width, total - i * c.width));
    }, kSerialBelow / c.width);
}

template <class T>
void forward_last(const NormForward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    const int64_t size = c.chunks * c.width, total = s.outer * s.channels;
    T *part_mean = (T*)a.work, *part_m2 = part_mean + size;
    T *mean = part_m2 + size, *scale = mean + c.width, *offset = scale + c.width;
    auto one_chunk = [&](int64_t k) {
        const Chunk part = chunk_at(s, c, k);
        T *m = part_mean + k * c.width, *q = part_m2 + k * c.width;
        const T* x = a.x + part.begin * c.width;
        if (part.rows) {
            chunk_moments(x, part.rows, c.width, m, q);
        } else {
            for (int64_t j = 0; j < part.rest * s.channels; ++j) m[j] = q[j] = 0;
        }
    };
    if (total <= kSerialBelow)
        for (int64_t k = 0; k < c.chunks; ++k) one_chunk(k);
    else
        parallel_for(c.chunks, one_chunk);
    parallel_chunks(s.channels, 64, [&](int64_t begin, int64_t end) {
        for (int64_t ch = begin; ch < end; ++ch) {
            Moments all;
            each_partial(s, c, ch, [&](int64_t at, int64_t first, int64_t rows) {
                all.merge((double)rows, (double)a.x[first] + (double)part_mean[at], (double)part_m2[at]);
            });
            finish_channel(a, ch, all, mean + ch, scale + ch, offset + ch);
        }
    }, total > kSerialBelow ? 256 : s.channels);
    repeat(mean, s.channels, c.glued), repeat(scale, s.channels, c.glued), repeat(offset, s.channels, c.glued);
    over_rows(s, c, [&](int64_t at, int64_t n) {
        const T* x = a.x + at;
        T* out = a.out + at;
        for (int64_t j = 0; j < n; ++j) out[j] = (x[j] - mean[j]) * scale[j] + offset[j];
    });
}

// dx = weight inv (g - mean(g) - xhat mean(g xhat)), xhat = (x - mean) inv: the constants of
// dx = g * scale + (x - mean) * slope + offset. Gives dweight and dbias as well.
template <class T>
inline void finish_backward(const NormBackward<T>& a, int64_t c, double sum_g, double sum_gx, T* scale, T* slope, T* offset) {
    const double n = (double)(a.shape.outer * a.shape.inner), inv = (double)a.inv_std[c];
    const double k = inv * (a.weight ? (double)a.weight[c] : 1.0);
    a.dbias[c] = (T)sum_g, a.dweight[c] = (T)(sum_gx * inv);
    *scale = (T)k, *slope = (T)(-k * inv * inv * sum_gx / n), *offset = (T)(-k * sum_g / n);
}

template <class T>
void backward_last(const NormBackward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    const int64_t size = c.chunks * c.width, total = s.outer * s.channels;
    T *part_g = (T*)a.work, *part_gx = part_g + size;
    T *mean = part_gx + size, *scale = mean + c.width, *slope = scale + c.width, *offset = slope + c.width;
    for (int64_t j = 0; j < s.channels; ++j) mean[j] = a.mean[j];
    repeat(mean, s.channels, c.glued);
    auto one_chunk = [&](int64_t k) {
        const Chunk part = chunk_at(s, c, k);
        T *p = part_g + k * c.width, *q = part_gx + k * c.width;
        const T *x = a.x + part.begin * c.width, *g = a.g + part.begin * c.width;
        if (part.rows) {
            column_sums(part.rows, c.width, p, [=](int64_t at, int64_t) { return g[at]; });
            column_sums(part.rows, c.width, q, [=](int64_t at, int64_t j) { return g[at] * (x[at] - mean[j]); });
        } else {
            for (int64_t j = 0; j < part.rest * s.channels; ++j) p[j] = g[j], q[j] = g[j] * (x[j] - mean[j]);
        }
    };
    if (total <= kSerialBelow)
        for (int64_t k = 0; k < c.chunks; ++k) one_chunk(k);
    else
        parallel_for(c.chunks, one_chunk);
    parallel_chunks(s.channels, 64, [&](int64_t begin, int64_t end) {
        for (int64_t ch = begin; ch < end; ++ch) {
            double sum_g = 0, sum_gx = 0;
            each_partial(s, c, ch, [&](int64_t at, int64_t, int64_t) { sum_g += (double)part_g[at], sum_gx += (double)part_gx[at]; });
            finish_backward(a, ch, sum_g, sum_gx, scale + ch, slope + ch, offset + ch);
        }
    }, total > kSerialBelow ? 256 : s.channels);
    repeat(scale, s.channels, c.glued), repeat(slope, s.channels, c.glued), repeat(offset, s.channels, c.glued);
    over_rows(s, c, [&](int64_t at, int64_t n) {
        const T *x = a.x + at, *g = a.g + at;
        T* dx = a.dx + at;
        for (int64_t j = 0; j < n; ++j) dx[j] = g[j] * scale[j] + ((x[j] - mean[j]) * slope[j] + offset[j]);
    });
}

// --------------------------------------------------------------------------------------------- channels first

template <class T>
void run_moments(const T* x, int64_t n, Moments* all) {
    for (int64_t b = 0; b < n; b += kRun) {
        const int64_t len = smaller(kRun, n - b);
        const T *v = x + b, first = v[0];
        T s = 0, q = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < len; ++i) s += v[i] - first;
        const T mean = s / (T)len;      // from `first`, as above
#pragma omp simd reduction(+ : q)
        for (int64_t i = 0; i < len; ++i) {
            const T d = (v[i] - first) - mean;
            q += d * d;
        }
        all->merge((double)len, (double)first + (double)mean, (double)q);
    }
}

// jobs: body(channel, group of images, index of its partial). With one group the channel's second pass follows at once,
// while the channel is still in cache.
template <class F, class G, class H>
void over_channels(const NormShape& s, const Cut& c, const F& partial, const G& finish, const H& apply) {
    const bool serial = s.outer * s.channels * s.inner <= kSerialBelow;
    const int64_t jobs = s.channels * c.groups;
    auto reduce = [&](int64_t job) {
        const int64_t ch = job % s.channels, group = job / s.channels;
        partial(ch, group * c.images, smaller(s.outer, (group + 1) * c.images), job);
        if (c.groups == 1) {
            finish(ch);
            apply(ch, 0, s.outer);
        }
    };
    auto spread = [&](int64_t job) {
        const int64_t ch = job % s.channels, group = job / s.channels;
        apply(ch, group * c.images, smaller(s.outer, (group + 1) * c.images));
    };
    if (serial)
        for (int64_t j = 0; j < jobs; ++j) reduce(j);
    else
        parallel_for(jobs, reduce);
    if (c.groups == 1) return;
    for (int64_t ch = 0; ch < s.channels; ++ch) finish(ch);
    if (serial)
        for (int64_t j = 0; j < jobs; ++j) spread(j);
    else
        parallel_for(jobs, spread);
}

template <class T>
void forward_first(const NormForward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    Moments* part = (Moments*)a.work;
    T *mean = (T*)(part + c.groups * s.channels), *scale = mean + s.channels, *offset = scale + s.channels;
    over_channels(
        s, c,
        [&](int64_t ch, int64_t begin, int64_t end, int64_t job) {
            Moments all;
            for (int64_t i = begin; i < end; ++i) run_moments(a.x + (i * s.channels + ch) * s.inner, s.inner, &all);
            part[job] = all;
        },
        [&](int64_t ch) {
            Moments all;
            for (int64_t k = 0; k < c.groups; ++k) {
                const Moments& p = part[k * s.channels + ch];
                all.merge(p.n, p.mean, p.m2);
            }
            finish_channel(a, ch, all, mean + ch, scale + ch, offset + ch);
        },
        [&](int64_t ch, int64_t begin, int64_t end) {
            const T m = mean[ch], k = scale[ch], b = offset[ch];
            for (int64_t i = begin; i < end; ++i) {
                const T* x = a.x + (i * s.channels + ch) * s.inner;
                T* out = a.out + (i * s.channels + ch) * s.inner;
                for (int64_t j = 0; j < s.inner; ++j) out[j] = (x[j] - m) * k + b;
            }
        });
}

template <class T>
void backward_first(const NormBackward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    double* part = (double*)a.work;
    T *scale = (T*)(part + 2 * c.groups * s.channels), *slope = scale + s.channels, *offset = slope + s.channels;
    over_channels(
        s, c,
        [&](int64_t ch, int64_t begin, int64_t end, int64_t job) {
            const T m = a.mean[ch];
            double sum_g = 0, sum_gx = 0;
            for (int64_t i = begin; i < end; ++i)
                for (int64_t b = 0; b < s.inner; b += kRun) {
                    const int64_t at = (i * s.channels + ch) * s.inner + b, len = smaller(kRun, s.inner - b);
                    const T *x = a.x + at, *g = a.g + at;
                    T p = 0, q = 0;
#pragma omp simd reduction(+ : p, q)
                    for (int64_t j = 0; j < len; ++j) {
                        p += g[j];
                        q += g[j] * (x[j] - m);
                    }
                    sum_g += (double)p, sum_gx += (double)q;
                }
            part[2 * job] = sum_g, part[2 * job + 1] = sum_gx;
        },
        [&](int64_t ch) {
            double sum_g = 0, sum_gx = 0;
            for (int64_t k = 0; k < c.groups; ++k) {
                sum_g += part[2 * (k * s.channels + ch)];
                sum_gx += part[2 * (k * s.channels + ch) + 1];
            }
            finish_backward(a, ch, sum_g, sum_gx, scale + ch, slope + ch, offset + ch);
        },
        [&](int64_t ch, int64_t begin, int64_t end) {
            const T m = a.mean[ch], k = scale[ch], r = slope[ch], b = offset[ch];
            for (int64_t i = begin; i < end; ++i) {
                const int64_t at = (i * s.channels + ch) * s.inner;
                const T *x = a.x + at, *g = a.g + at;
                T* dx = a.dx + at;
                for (int64_t j = 0; j < s.inner; ++j) dx[j] = g[j] * k + ((x[j] - m) * r + b);
            }
        });
}

template <class T>
void forward(const NormForward<T>& a) {
    if (a.shape.inner == 1) forward_last(a);
    else forward_first(a);
}
template <class T>
void backward(const NormBackward<T>& a) {
    if (a.shape.inner == 1) backward_last(a);
    else backward_first(a);
}

}  // namespace

extern const NormTable<float> norm_f32 = {workspace, forward<float>, backward<float>};
extern const NormTable<double> norm_f64 = {workspace, forward<double>, backward<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
