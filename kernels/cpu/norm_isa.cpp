// Batch normalisation, forward and backward.
//
// Statistics: each chunk is read twice from cache, for its mean and for its squares about that mean, and the
// chunks are merged in float64 (Chan, Golub, LeVeque 1979). So float32 data with mean 1e4 and deviation 1
// comes out right, which sums of squares do not give, nor shifted sums when the shift is an outlier. Limit:
// forward reads x twice and writes once, backward reads g and x twice and writes once; with channels first
// and a channel that fits L2 the second reading comes from there. Deterministic: the chunks depend on the
// shape alone, and are merged in their order.

#include "moments.h"
#include "tflbp/batch_norm.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// How the work is cut. Channels last: rows are glued to virtual rows of about kWidth elements, so that three
// channels fill vectors too; a chunk is `chunk` virtual rows. Channels first: the images are cut into groups
// of `images` when there are few channels.
struct Cut {
    int64_t glued, width, chunk, chunks;  // last: rows per virtual row, its elements, virtual rows per chunk
    int64_t images, groups;               // first
};
constexpr int64_t kWidth = 256, kChunk = 16384, kMinRows = 32, kBlock = 64;

inline Cut cut_of(const NormShape& s) {
    Cut c{};
    if (s.inner == 1) {
        c.glued = s.channels < kWidth ? kWidth / s.channels : 1;
        c.width = c.glued * s.channels;
        c.chunk = greater(kMinRows, kChunk / c.width);
        c.chunks = pieces(s.outer / c.glued, c.chunk) + (s.outer % c.glued ? 1 : 0);
    } else {
        const int64_t elements = s.outer * s.inner;
        // Few channels and much data: split the images as well, or one core would hold a channel alone.
        c.groups = s.channels >= 16 ? 1 : smaller(s.outer, greater(1, elements / (4 * kChunk)));
        c.images = c.groups > 0 ? pieces(s.outer, c.groups) : 0;
        c.groups = c.images > 0 ? pieces(s.outer, c.images) : 0;
    }
    return c;
}

size_t workspace(const NormShape& s) {  // enough doubles for both directions and types
    const Cut c = cut_of(s);
    const int64_t n =
        s.inner == 1 ? 2 * c.chunks * c.width + 4 * c.width : 3 * c.groups * s.channels + 4 * s.channels;
    return (size_t)n * sizeof(double);
}

// ---------------------------------------------------------------------------------------------- channels
// last

// The rows of chunk k: whole virtual rows, or, in the last chunk, the rest: fewer rows than make a virtual
// one.
struct Chunk {
    int64_t at, rows, rest;  // first element, virtual rows, real rows of the rest
    int64_t count(const Cut& c) const { return rows * c.glued + rest; }  // numbers per channel
};
inline Chunk chunk_at(const NormShape& s, const Cut& c, int64_t k) {
    const int64_t full = s.outer / c.glued, rest = s.outer % c.glued;
    if (rest && k == c.chunks - 1) return {full * c.width, 0, rest};
    return {k * c.chunk * c.width, smaller(c.chunk, full - k * c.chunk), 0};
}

// Runs body(chunk index) over the chunks, then finish(first channel, end) over at most kBlock channels at a
// time.
template <class F, class G>
void over_chunks(const NormShape& s, const Cut& c, const F& body, const G& finish) {
    const bool serial = s.outer * s.channels <= kSerialBelow;
    if (serial)
        for (int64_t k = 0; k < c.chunks; ++k) body(k);
    else
        parallel_for(c.chunks, body);
    parallel_chunks(
        s.channels, kBlock,
        [&](int64_t begin, int64_t end) {
            for (int64_t at = begin; at < end; at += kBlock) finish(at, smaller(at + kBlock, end));
        },
        serial || c.chunks * s.channels < kSerialBelow ? s.channels : kBlock);
}

// The per-channel constants of the forward: out = (x - mean) * scale + offset. The rounding error of the
// stored mean goes into the offset.
template <class T>
inline void finish_channel(const NormForward<T>& a, int64_t c, const Moments& all, T* mean, T* scale,
                           T* offset) {
    const double var = all.n > 0 ? all.m2 / all.n : 0, inv = 1 / sqrt(var + a.eps);
    const double slope = inv * (a.weight ? (double)a.weight[c] : 1.0);
    a.mean[c] = (T)all.mean, a.var[c] = (T)var, a.inv_std[c] = (T)inv;
    *mean = (T)all.mean, *scale = (T)slope;
    *offset = (T)((a.bias ? (double)a.bias[c] : 0.0) - (all.mean - (double)*mean) * slope);
}

template <class T>
void repeat(T* row, int64_t channels, int64_t glued) {  // fills a virtual row from its first channels
    for (int64_t i = channels; i < channels * glued; ++i) row[i] = row[i - channels];
}

// body(first element, elements): all of x, one virtual row at a time.
template <class F>
void over_rows(const NormShape& s, const Cut& c, const F& body) {
    const int64_t rows = pieces(s.outer, c.glued), total = s.outer * s.channels;
    const int64_t per_job = greater(1, kChunk / c.width);
    parallel_chunks(
        rows, per_job,
        [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) body(i * c.width, smaller(c.width, total - i * c.width));
        },
        kSerialBelow / c.width);
}

template <class T>
void forward_last(const NormForward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    double *part_mean = (double*)a.work, *part_m2 = part_mean + c.chunks * c.width;
    T *mean = (T*)(part_m2 + c.chunks * c.width), *scale = mean + c.width, *offset = scale + c.width;
    over_chunks(
        s, c,
        [&](int64_t k) {
            const Chunk part = chunk_at(s, c, k);
            const T* x = a.x + part.at;
            double *m = part_mean + k * c.width, *q = part_m2 + k * c.width;
            if (part.rows) column_moments(x, part.rows, c.width, m, q);
            for (int64_t j = 0; j < part.rest * s.channels; ++j) m[j] = (double)x[j], q[j] = 0;
            // The columns of a channel are as many numbers each: their means average, in order.
            const int64_t columns = part.rows ? c.glued : part.rest;
            const double n = part.rows ? (double)part.rows : 1.0;
            for (int64_t ch = 0; ch < s.channels && columns > 1; ++ch) {
                double total = 0, spread = 0, squares = 0;
                for (int64_t r = 0; r < columns; ++r) total += m[r * s.channels + ch] - m[ch];
                const double shift = total / (double)columns;
                for (int64_t r = 0; r < columns; ++r) {
                    const double d = (m[r * s.channels + ch] - m[ch]) - shift;
                    spread += d * d, squares += q[r * s.channels + ch];
                }
                m[ch] += shift, q[ch] = squares + n * spread;
            }
        },
        [&](int64_t begin,
            int64_t end) {  // Moments::merge for many channels: the counts are the same for all
            double m[kBlock], q[kBlock], n = 0;
            for (int64_t j = 0; j < kBlock; ++j) m[j] = q[j] = 0;
            for (int64_t k = 0; k < c.chunks; ++k) {
                const double count = (double)chunk_at(s, c, k).count(c), share = count / (n + count),
                             weight = n * share;
                const double *pm = part_mean + k * c.width + begin, *pq = part_m2 + k * c.width + begin;
                for (int64_t j = 0; j < end - begin; ++j) {
                    const double delta = pm[j] - m[j];
                    m[j] += delta * share;
                    q[j] += pq[j] + delta * delta * weight;
                }
                n += count;
            }
            for (int64_t ch = begin; ch < end; ++ch)
                finish_channel(a, ch, {n, m[ch - begin], q[ch - begin]}, mean + ch, scale + ch, offset + ch);
        });
    repeat(mean, s.channels, c.glued), repeat(scale, s.channels, c.glued),
        repeat(offset, s.channels, c.glued);
    over_rows(s, c, [&](int64_t at, int64_t n) {
        const T* x = a.x + at;
        T* __restrict out = a.out + at;
        const T *m = mean, *k = scale, *b = offset;
        for (int64_t j = 0; j < n; ++j) out[j] = (x[j] - m[j]) * k[j] + b[j];
    });
}

// dx = weight inv (g - mean(g) - xhat mean(g xhat)), xhat = (x - mean) inv: the constants of
// dx = g * scale + (x - mean) * slope + offset. Gives dweight and dbias as well.
template <class T>
inline void finish_backward(const NormBackward<T>& a, int64_t c, double sum_g, double sum_gx, T* scale,
                            T* slope, T* offset) {
    const double n = (double)(a.shape.outer * a.shape.inner), inv = (double)a.inv_std[c];
    const double k = inv * (a.weight ? (double)a.weight[c] : 1.0);
    a.dbias[c] = (T)sum_g, a.dweight[c] = (T)(sum_gx * inv);
    *scale = (T)k, *slope = (T)(-k * inv * inv * sum_gx / n), *offset = (T)(-k * sum_g / n);
}

template <class T>
void backward_last(const NormBackward<T>& a) {
    const NormShape& s = a.shape;
    const Cut c = cut_of(s);
    double *part_g = (double*)a.work, *part_gx = part_g + c.chunks * c.width;
    T *mean = (T*)(part_gx + c.chunks * c.width), *scale = mean + c.width, *slope = scale + c.width,
      *offset = slope + c.width;
    for (int64_t j = 0; j < s.channels; ++j) mean[j] = a.mean[j];
    repeat(mean, s.channels, c.glued);
    over_chunks(
        s, c,
        [&](int64_t k) {
            const Chunk part = chunk_at(s, c, k);
            const T *x = a.x + part.at, *g = a.g + part.at;
            double *p = part_g + k * c.width, *q = part_gx + k * c.width;
            if (part.rows) column_sums(g, x, mean, part.rows, c.width, p, q);
            for (int64_t j = 0; j < part.rest * s.channels; ++j)
                p[j] = (double)g[j], q[j] = (double)(g[j] * (x[j] - mean[j]));
            for (int64_t r = 1; r < (part.rows ? c.glued : part.rest); ++r)
                for (int64_t ch = 0; ch < s.channels; ++ch)
                    p[ch] += p[r * s.channels + ch], q[ch] += q[r * s.channels + ch];
        },
        [&](int64_t begin, int64_t end) {
            double p[kBlock], q[kBlock];
            for (int64_t j = 0; j < kBlock; ++j) p[j] = q[j] = 0;
            for (int64_t k = 0; k < c.chunks; ++k)
                for (int64_t ch = begin; ch < end; ++ch)
                    p[ch - begin] += part_g[k * c.width + ch], q[ch - begin] += part_gx[k * c.width + ch];
            for (int64_t ch = begin; ch < end; ++ch)
                finish_backward(a, ch, p[ch - begin], q[ch - begin], scale + ch, slope + ch, offset + ch);
        });
    repeat(scale, s.channels, c.glued), repeat(slope, s.channels, c.glued),
        repeat(offset, s.channels, c.glued);
    over_rows(s, c, [&](int64_t at, int64_t n) {
        const T *x = a.x + at, *g = a.g + at;
        T* __restrict dx = a.dx + at;
        const T *m = mean, *k = scale, *r = slope, *b = offset;
        for (int64_t j = 0; j < n; ++j) dx[j] = g[j] * k[j] + ((x[j] - m[j]) * r[j] + b[j]);
    });
}

// --------------------------------------------------------------------------------------------- channels
// first

// jobs: body(channel, group of images, index of its partial). With one group the channel's second pass
// follows at once, while the channel is still in cache.
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
            Moments all{0, 0, 0};
            for (int64_t i = begin; i < end; ++i)
                run_moments(a.x + (i * s.channels + ch) * s.inner, s.inner, &all);
            part[job] = all;
        },
        [&](int64_t ch) {
            Moments all{0, 0, 0};
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
    T *scale = (T*)(part + 2 * c.groups * s.channels), *slope = scale + s.channels,
      *offset = slope + s.channels;
    over_channels(
        s, c,
        [&](int64_t ch, int64_t begin, int64_t end, int64_t job) {
            const T m = a.mean[ch];
            double sum_g = 0, sum_gx = 0;
            for (int64_t i = begin; i < end; ++i)
                for (int64_t b = 0; b < s.inner; b += kRun) {
                    const int64_t at = (i * s.channels + ch) * s.inner + b, len = smaller(kRun, s.inner - b);
                    const T *x = a.x + at, *g = a.g + at;
                    sum_g += (double)group_sum<T>(len, [=](int64_t j) { return g[j]; });
                    sum_gx += (double)group_sum<T>(len, [=](int64_t j) { return g[j] * (x[j] - m); });
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
    if (a.shape.inner == 1)
        forward_last(a);
    else
        forward_first(a);
}
template <class T>
void backward(const NormBackward<T>& a) {
    if (a.shape.inner == 1)
        backward_last(a);
    else
        backward_first(a);
}

}  // namespace

extern const NormTable<float> norm_f32 = {workspace, forward<float>, backward<float>};
extern const NormTable<double> norm_f64 = {workspace, forward<double>, backward<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
