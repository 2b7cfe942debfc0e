// Batch normalisation, forward and backward.
//
// Statistics: each chunk is read twice from cache, for its mean and for its squares about that mean, and the
// chunks are merged in float64 (Chan, Golub, LeVeque 1979). So float32 data with mean 1e4 and deviation 1
// comes out right, which sums of squares do not give, nor shifted sums when the shift is an outlier.
//
// Limit: 8 arrays moved. Forward reads x twice and writes once, backward reads g and x twice and writes once,
// and a write reads what it overwrites unless it goes past the cache. Channels first: the second reading
// comes from L2 where a channel fits. Channels last: it begins with the rows that were read last; blocks are
// fetched ahead. ReLU costs nothing: backward, its mask is computed again. Measured on Zen 4,
// (64, 28, 28, 64) from memory: 23 GB/s of 29 for a copy.
//
// Deterministic: the chunks depend on the shape alone, and are merged in their order.

#include <limits>

#include "moments.h"
#include "stream.h"
#include "tflbp/batch_norm.h"
#include "tflbp/cache.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// How the work is cut. Channels last: rows are glued to virtual rows of about kWidth elements, so that three
// channels fill vectors too; a chunk is `chunk` virtual rows. Channels first: the images are cut into groups
// of `images` when there are few channels, else `block` channels go through both passes together, so that the
// second one finds them in L2 and memory is read in longer runs.
struct Cut {
    int64_t glued, width, chunk, chunks;  // last: rows per virtual row, its elements, virtual rows per chunk
    int64_t images, groups, block;        // first
};
constexpr int64_t kWidth = 256, kChunk = 16384, kMinRows = 32, kBlock = 64;

inline Cut cut_of(const NormShape& s, int64_t bytes_per_element = 0) {
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
        const int64_t held = cache_sizes().l2 / 8 * 7 / greater(1, elements * bytes_per_element);
        c.block = c.groups > 1 ? 1 : greater(1, smaller(held, s.channels / 8));
    }
    return c;
}

size_t workspace(const NormShape& s) {  // enough doubles for both directions and types
    const Cut c = cut_of(s);
    const int64_t n =
        s.inner == 1 ? 2 * c.chunks * c.width + 6 * c.width : 3 * c.groups * s.channels + 4 * s.channels;
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
        parallel_chunks(
            c.chunks, c.chunks < 64 ? 1 : 4,  // a run of chunks: each fetches the next one ahead
            [&](int64_t begin, int64_t end) {
                for (int64_t k = begin; k < end; ++k) body(k);
            },
            0);
    parallel_chunks(
        s.channels, kBlock,
        [&](int64_t begin, int64_t end) {
            for (int64_t at = begin; at < end; at += kBlock) finish(at, smaller(at + kBlock, end));
        },
        serial || c.chunks * s.channels < kSerialBelow ? s.channels : kBlock);
}

// The per-channel constants of the forward, out = (x - mean) * scale + offset, for `count` <= kBlock channels
// from c on: of `n` numbers each with these means and sums of squares about them. The rounding error of the
// stored mean goes into the offset.
template <class T>
inline void finish_forward(const NormForward<T>& a, int64_t c, int64_t count, double n, const double* means,
                           const double* squares, T* mean, T* scale, T* offset) {
    double weight[kBlock], bias[kBlock];
    for (int64_t j = 0; j < count; ++j) weight[j] = a.weight ? (double)a.weight[c + j] : 1.0;
    for (int64_t j = 0; j < count; ++j) bias[j] = a.bias ? (double)a.bias[c + j] : 0.0;
    T *am = a.mean + c, *av = a.var + c, *ai = a.inv_std + c;
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) {
        const double var = n > 0 ? squares[j] / n : 0, inv = 1 / sqrt(var + a.eps), slope = inv * weight[j];
        const T m = (T)means[j];
        am[j] = m, av[j] = (T)var, ai[j] = (T)inv;
        mean[c + j] = m, scale[c + j] = (T)slope;
        offset[c + j] = (T)(bias[j] - (means[j] - (double)m) * slope);
    }
}

// With relu, the least output; NaN stays NaN.
template <class T>
inline T lowest(const NormForward<T>& a) {
    return a.scale ? T(0) : -std::numeric_limits<T>::infinity();
}
template <class T>
inline T at_least(T low, T v) {
    return low > v ? low : v;
}

template <class T>
void repeat(T* row, int64_t channels, int64_t glued) {  // fills a virtual row from its first channels
    for (int64_t i = channels; i < channels * glued; ++i) row[i] = row[i - channels];
}

// body(first element, elements): all of x, one virtual row at a time; the last job first: its rows are still
// in cache.
template <class F>
void over_rows(const NormShape& s, const Cut& c, bool past, const F& body) {
    const int64_t rows = pieces(s.outer, c.glued), total = s.outer * s.channels;
    const int64_t per_job = greater(1, kChunk / c.width);
    parallel_chunks(
        rows, per_job,
        [&](int64_t begin, int64_t end) {
            const StreamEnd streams{past};
            for (int64_t i = rows - end; i < rows - begin; ++i)
                body(i * c.width, smaller(c.width, total - i * c.width));
        },
        kSerialBelow / c.width);
}

template <class T>
void forward_last(const NormForward<T>& a) {
    const NormShape& s = a.shape;
    const T low = lowest(a);
    const bool past = writes_past_cache(2 * s.outer * s.channels * s.inner * (int64_t)sizeof(T));
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
            finish_forward(a, begin, end - begin, n, m, q, mean, scale, offset);
        });
    repeat(mean, s.channels, c.glued), repeat(scale, s.channels, c.glued),
        repeat(offset, s.channels, c.glued);
    for (int64_t j = 0; j < s.channels && a.scale; ++j) a.scale[j] = scale[j], a.offset[j] = offset[j];
    over_rows(s, c, past, [&](int64_t at, int64_t n) {
        const T* x = a.x + at;
        T* out = a.out + at;
        const T *m = mean, *k = scale, *b = offset;
        write_terms(out, n, past, [=](int64_t j) { return at_least(low, (x[j] - m[j]) * k[j] + b[j]); });
    });
}

// dx = weight inv (g - mean(g) - xhat mean(g xhat)), xhat = (x - mean) inv: the constants of
// dx = g * scale + (x - mean) * slope + offset, for `count` <= kBlock channels from c on. Gives dweight and
// dbias as well.
template <class T>
inline void finish_backward(const NormBackward<T>& a, int64_t c, int64_t count, const double* sum_g,
                            const double* sum_gx, T* scale, T* slope, T* offset) {
    const double n = (double)(a.shape.outer * a.shape.inner);
    double weight[kBlock];
    for (int64_t j = 0; j < count; ++j) weight[j] = a.weight ? (double)a.weight[c + j] : 1.0;
    T *dw = a.dweight + c, *db = a.dbias + c;
    const T* inv_std = a.inv_std + c;
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) {
        const double inv = (double)inv_std[j], k = inv * weight[j];
        db[j] = (T)sum_g[j], dw[j] = (T)(sum_gx[j] * inv);
        scale[c + j] = (T)k, slope[c + j] = (T)(-k * inv * inv * sum_gx[j] / n);
        offset[c + j] = (T)(-k * sum_g[j] / n);
    }
}

template <class T, bool masked>
void backward_last(const NormBackward<T>& a) {
    const NormShape& s = a.shape;
    const bool past = writes_past_cache(3 * s.outer * s.channels * s.inner * (int64_t)sizeof(T));
    const Cut c = cut_of(s);
    double *part_g = (double*)a.work, *part_gx = part_g + c.chunks * c.width;
    T *mean = (T*)(part_gx + c.chunks * c.width), *scale = mean + c.width, *slope = scale + c.width,
      *offset = slope + c.width;
    T *relu_scale = offset + c.width, *relu_offset = relu_scale + c.width;
    for (int64_t j = 0; j < s.channels; ++j) mean[j] = a.mean[j];
    for (int64_t j = 0; j < s.channels && masked; ++j)
        relu_scale[j] = a.scale[j], relu_offset[j] = a.offset[j];
    repeat(mean, s.channels, c.glued);
    if (masked) repeat(relu_scale, s.channels, c.glued), repeat(relu_offset, s.channels, c.glued);
    over_chunks(
        s, c,
        [&](int64_t k) {
            const Chunk part = chunk_at(s, c, k);
            const T *x = a.x + part.at, *g = a.g + part.at;
            double *p = part_g + k * c.width, *q = part_gx + k * c.width;
            if (part.rows)
                column_sums<T, masked>(g, x, mean, part.rows, c.width, p, q, relu_scale, relu_offset);
            for (int64_t j = 0; j < part.rest * s.channels; ++j) {
                const T centred = x[j] - mean[j];
                const T h = masked ? through_relu<true>(g[j], centred, relu_scale[j], relu_offset[j]) : g[j];
                p[j] = (double)h, q[j] = (double)(h * centred);
            }
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
            finish_backward(a, begin, end - begin, p, q, scale, slope, offset);
        });
    repeat(scale, s.channels, c.glued), repeat(slope, s.channels, c.glued),
        repeat(offset, s.channels, c.glued);
    over_rows(s, c, past, [&](int64_t at, int64_t n) {
        const T *x = a.x + at, *g = a.g + at;
        T* dx = a.dx + at;
        const T *m = mean, *k = scale, *r = slope, *b = offset, *rk = relu_scale, *rb = relu_offset;
        write_terms(dx, n, past, [=](int64_t j) {
            const T centred = x[j] - m[j];
            const T h = masked ? through_relu<true>(g[j], centred, rk[j], rb[j]) : g[j];
            return h * k[j] + (centred * r[j] + b[j]);
        });
    });
}

// --------------------------------------------------------------------------------------------- channels
// first

// add(image, channel, index of its partial) over a group of images, finish(channel), apply(image, channel).
// With one group a block's second pass follows at once, while the block is still in cache.
template <class F, class G, class H>
void over_channels(const NormShape& s, const Cut& c, bool past, const F& add, const G& finish,
                   const H& apply) {
    const bool serial = s.outer * s.channels * s.inner <= kSerialBelow;
    const int64_t blocks = pieces(s.channels, c.block), jobs = blocks * c.groups;
    // f(image, channel, group) for the images and channels of a job
    auto each = [&](int64_t job, const auto& f) {
        const int64_t group = job / blocks, first = job % blocks * c.block,
                      last = smaller(s.channels, first + c.block),
                      end = smaller(s.outer, (group + 1) * c.images);
        for (int64_t i = group * c.images; i < end; ++i)
            for (int64_t ch = first; ch < last; ++ch) f(i, ch, group);
    };
    auto spread = [&](int64_t job) {
        const StreamEnd streams{past};
        each(job, [&](int64_t i, int64_t ch, int64_t) { apply(i, ch); });
    };
    auto reduce = [&](int64_t job) {
        each(job, [&](int64_t i, int64_t ch, int64_t group) { add(i, ch, group * s.channels + ch); });
        if (c.groups > 1) return;
        for (int64_t ch = job * c.block; ch < smaller(s.channels, (job + 1) * c.block); ++ch) finish(ch);
        spread(job);
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
    const T low = lowest(a);
    const bool past = writes_past_cache(2 * s.outer * s.channels * s.inner * (int64_t)sizeof(T));
    const Cut c = cut_of(s, sizeof(T));
    Moments* part = (Moments*)a.work;
    T *mean = (T*)(part + c.groups * s.channels), *scale = mean + s.channels, *offset = scale + s.channels;
    for (int64_t k = 0; k < c.groups * s.channels; ++k) part[k] = {0, 0, 0};
    over_channels(
        s, c, past,
        [&](int64_t i, int64_t ch, int64_t k) {
            run_moments(a.x + (i * s.channels + ch) * s.inner, s.inner, part + k);
        },
        [&](int64_t ch) {
            Moments all{0, 0, 0};
            for (int64_t k = 0; k < c.groups; ++k) {
                const Moments& p = part[k * s.channels + ch];
                all.merge(p.n, p.mean, p.m2);
            }
            finish_forward(a, ch, 1, all.n, &all.mean, &all.m2, mean, scale, offset);
            if (a.scale) a.scale[ch] = scale[ch], a.offset[ch] = offset[ch];
        },
        [&](int64_t i, int64_t ch) {
            const T m = mean[ch], k = scale[ch], b = offset[ch];
            const T* x = a.x + (i * s.channels + ch) * s.inner;
            T* out = a.out + (i * s.channels + ch) * s.inner;
            write_terms(out, s.inner, past, [=](int64_t j) { return at_least(low, (x[j] - m) * k + b); });
        });
}

template <class T, bool masked>
void backward_first(const NormBackward<T>& a) {
    const NormShape& s = a.shape;
    const bool past = writes_past_cache(3 * s.outer * s.channels * s.inner * (int64_t)sizeof(T));
    const Cut c = cut_of(s, 2 * sizeof(T));
    double* part = (double*)a.work;
    T *scale = (T*)(part + 2 * c.groups * s.channels), *slope = scale + s.channels,
      *offset = slope + s.channels;
    for (int64_t k = 0; k < 2 * c.groups * s.channels; ++k) part[k] = 0;
    over_channels(
        s, c, past,
        [&](int64_t i, int64_t ch, int64_t k) {
            const T m = a.mean[ch], rk = masked ? a.scale[ch] : T(0), rb = masked ? a.offset[ch] : T(0);
            for (int64_t b = 0; b < s.inner; b += kRun) {
                const int64_t at = (i * s.channels + ch) * s.inner + b, len = smaller(kRun, s.inner - b);
                const T *x = a.x + at, *g = a.g + at;
                const auto h = [=](int64_t j) { return through_relu<masked>(g[j], x[j] - m, rk, rb); };
                part[2 * k] += (double)group_sum<T>(len, h);
                part[2 * k + 1] += (double)group_sum<T>(len, [=](int64_t j) { return h(j) * (x[j] - m); });
            }
        },
        [&](int64_t ch) {
            double sum_g = 0, sum_gx = 0;
            for (int64_t k = 0; k < c.groups; ++k) {
                sum_g += part[2 * (k * s.channels + ch)];
                sum_gx += part[2 * (k * s.channels + ch) + 1];
            }
            finish_backward(a, ch, 1, &sum_g, &sum_gx, scale, slope, offset);
        },
        [&](int64_t i, int64_t ch) {
            const T m = a.mean[ch], k = scale[ch], r = slope[ch], b = offset[ch];
            const T rk = masked ? a.scale[ch] : T(0), rb = masked ? a.offset[ch] : T(0);
            const int64_t at = (i * s.channels + ch) * s.inner;
            const T *x = a.x + at, *g = a.g + at;
            T* dx = a.dx + at;
            write_terms(dx, s.inner, past, [=](int64_t j) {
                const T centred = x[j] - m;
                return through_relu<masked>(g[j], centred, rk, rb) * k + (centred * r + b);
            });
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
        a.scale ? backward_last<T, true>(a) : backward_last<T, false>(a);
    else
        a.scale ? backward_first<T, true>(a) : backward_first<T, false>(a);
}

}  // namespace

extern const NormTable<float> norm_f32 = {workspace, forward<float>, backward<float>};
extern const NormTable<double> norm_f64 = {workspace, forward<double>, backward<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
