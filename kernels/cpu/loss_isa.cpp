// Softmax cross-entropy, sigmoid cross-entropy, softmax and its backward, over rows.

#include "tflbp/losses.h"
#include "tflbp/parallel.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int64_t kSmall = 32;  // classes: up to here rows are handled 32 at a time, side by side
constexpr int kLanes = 32;
constexpr int64_t kBlock =
    1024;                        // elements per partial sum: float32 sums stay short, and a block stays in L1
constexpr int64_t kJob = 16384;  // elements per job
// Rows of more bytes than this are read twice (online softmax, a second exp); shorter ones stay in cache
// between three passes. Measured on Zen 3, ns per float32 for three passes and online: 0.76 and 1.18 at
// 32,000 classes, 0.83 and 1.26 at 250,000: as long as the last-level cache holds the row, the second exp
// costs more than it saves.
constexpr int64_t kLongBytes = 2 << 20;

// A NaN is either kept or passed over; the sums see it in any case.
template <class T>
T max_of(const T* x, int64_t n) {
    constexpr int64_t kWide = kGroup<T>;
    T side[kWide], m = x[0];
    int64_t i = 0;
    for (int64_t j = 0; j < kWide; ++j) side[j] = m;
    for (; i + kWide <= n; i += kWide)
        for (int64_t j = 0; j < kWide; ++j) side[j] = larger(x[i + j], side[j]);
    for (int64_t j = 0; j < kWide; ++j) m = larger(side[j], m);
    for (; i < n; ++i) m = larger(x[i], m);
    return m;
}

template <class T>
double sum_exp(const T* x, int64_t n, T shift) {
    double total = 0;
    for (int64_t b = 0; b < n; b += kBlock) {
        const int64_t end = smaller(b + kBlock, n);
        T s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = b; i < end; ++i) s += exp_neg(x[i] - shift);
        total += s;
    }
    return total;
}

template <class T>
double store_exp(const T* x, T* e, int64_t n, T shift) {  // the same, keeping the terms
    double total = 0;
    for (int64_t b = 0; b < n; b += kBlock) {
        const int64_t end = smaller(b + kBlock, n);
        T s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = b; i < end; ++i) {
            const T v = exp_neg(x[i] - shift);
            e[i] = v;
            s += v;
        }
        total += s;
    }
    return total;
}

// Maximum and sum of exp(x - maximum) in one pass over memory: each block is read again from L1.
template <class T>
double online(const T* x, int64_t n, T* maximum) {
    T m = -(T)INFINITY;
    double total = 0;
    for (int64_t b = 0; b < n; b += kBlock) {
        const int64_t len = smaller(kBlock, n - b);
        const T top = max_of(x + b, len);
        if (top > m) {
            total *= exp((double)m - (double)top);
            m = top;
        }
        total +=
            sum_exp(x + b, len, m > -(T)INFINITY ? m : T(0));  // nothing but -inf so far: all terms are 0
    }
    *maximum = m;
    return total;
}

// What one row's loss and gradient are made of:
//   loss   = hit * (logsum - x[label]) + spread * sum_c w[c] * (logsum - x[c])
//   d/dx_c = (hit + spread * sum w) * softmax_c - spread * w[c] - hit * [c == label]
struct Row {
    double hit, spread, total;
};
template <class T>
inline Row row_of(const CrossEntropy<T>& a, int64_t label) {
    Row r;
    r.hit = (1 - a.smoothing) * (a.weight ? (double)a.weight[label] : 1.0);
    r.spread = a.smoothing / (double)a.classes;
    r.total = r.hit + r.spread * a.weight_sum;
    return r;
}

// sum_c w[c] * (x[c] - shift), for label smoothing.
template <class T>
double weighted_sum(const T* x, const T* w, int64_t n, T shift) {
    double total = 0;
    if (w)
        for (int64_t i = 0; i < n; ++i) total += (double)w[i] * (double)(x[i] - shift);
    else
        for (int64_t i = 0; i < n; ++i) total += (double)(x[i] - shift);
    return total;
}

template <class T>
void one_row(const CrossEntropy<T>& a, int64_t i) {
    const int64_t n = a.classes, label = a.labels[i];
    const T* x = a.logits + i * n;
    T* d = a.grad ? a.grad + i * n : nullptr;
    if (label < 0) {
        a.loss[i] = 0;
        if (d) memset(d, 0, n * sizeof(T));
        return;
    }
    const Row row = row_of(a, label);
    const bool is_long = n * (int64_t)sizeof(T) > kLongBytes;
    T m = is_long ? T(0) : max_of(x, n);
    double sum = is_long ? online(x, n, &m) : 0.0;  // of a short row below, over the logits perhaps
    const double own = x[label] - m;                // before the gradient may overwrite the logits
    const double spread = row.spread != 0 ? weighted_sum(x, a.weight, n, m) : 0.0;
    if (!is_long) sum = d ? store_exp(x, d, n, m) : sum_exp(x, n, m);
    const double logsum = log(sum);
    double loss = row.hit * (logsum - own);
    if (row.spread != 0) loss += row.spread * (a.weight_sum * logsum - spread);
    a.loss[i] = loss;
    if (!d) return;

    const T k = (T)(a.scale * row.total / sum), off = (T)(a.scale * row.spread);
    if (is_long) {
        if (off == 0)
            for (int64_t c = 0; c < n; ++c) d[c] = exp_neg(x[c] - m) * k;
        else
            for (int64_t c = 0; c < n; ++c)
                d[c] = exp_neg(x[c] - m) * k - off * (a.weight ? a.weight[c] : T(1));
    } else if (off == 0) {
        for (int64_t c = 0; c < n; ++c) d[c] *= k;
    } else if (a.weight) {
        for (int64_t c = 0; c < n; ++c) d[c] = d[c] * k - off * a.weight[c];
    } else {
        for (int64_t c = 0; c < n; ++c) d[c] = d[c] * k - off;
    }
    d[label] -= (T)(a.scale * row.hit);
}

// Rows r0 .. r0 + count (<= kLanes) of a narrow matrix, transposed so that a vector holds one class of many
// rows: no horizontal sums, no remainders of the vector length. Unused lanes hold zeros.
template <class T>
void load_lanes(const T* x, int64_t n, int count, T* t) {
    if (count < kLanes) memset(t, 0, n * kLanes * sizeof(T));
    for (int r = 0; r < count; ++r)
        for (int64_t c = 0; c < n; ++c) t[c * kLanes + r] = x[r * n + c];
}
template <class T>
void store_lanes(const T* t, int64_t n, int count, T* x) {
    for (int r = 0; r < count; ++r)
        for (int64_t c = 0; c < n; ++c) x[r * n + c] = t[c * kLanes + r];
}
template <class T>
void max_lanes(const T* t, int64_t n, T* m) {
    for (int r = 0; r < kLanes; ++r) m[r] = t[r];
    for (int64_t c = 1; c < n; ++c)
        for (int r = 0; r < kLanes; ++r) m[r] = larger(t[c * kLanes + r], m[r]);
}
template <class T>
void exp_lanes(T* t, int64_t n, const T* m, T* s) {  // t becomes exp(t - m)
    for (int r = 0; r < kLanes; ++r) s[r] = 0;
    for (int64_t c = 0; c < n; ++c)
        for (int r = 0; r < kLanes; ++r) {
            const T e = exp_neg(t[c * kLanes + r] - m[r]);
            t[c * kLanes + r] = e;
            s[r] += e;
        }
}

template <class T>
void narrow_rows(const CrossEntropy<T>& a, int64_t r0, int count) {
    const int64_t n = a.classes;
    alignas(64) T t[kSmall * kLanes], m[kLanes], s[kLanes], logs[kLanes], k[kLanes], off[kLanes];
    const T* x = a.logits + r0 * n;
    load_lanes(x, n, count, t);
    max_lanes(t, n, m);
    exp_lanes(t, n, m, s);
    for (int r = 0; r < kLanes; ++r) logs[r] = log_pos(s[r]);
    for (int r = 0; r < kLanes; ++r) k[r] = off[r] = 0;
    for (int r = 0; r < count; ++r) {
        const int64_t label = a.labels[r0 + r];
        if (label < 0) {
            a.loss[r0 + r] = 0;
            continue;
        }
        const Row row = row_of(a, label);
        double loss = row.hit * ((double)logs[r] - (double)(x[r * n + label] - m[r]));
        if (row.spread != 0)
            loss +=
                row.spread * (a.weight_sum * (double)logs[r] - weighted_sum(x + r * n, a.weight, n, m[r]));
        a.loss[r0 + r] = loss;
        k[r] = (T)(a.scale * row.total / (double)s[r]);
        off[r] = (T)(a.scale * row.spread);
    }
    if (!a.grad) return;
    for (int64_t c = 0; c < n; ++c) {
        const T w = a.smoothing == 0 ? T(0) : a.weight ? a.weight[c] : T(1);
        for (int r = 0; r < kLanes; ++r) t[c * kLanes + r] = t[c * kLanes + r] * k[r] - off[r] * w;
    }
    T* d = a.grad + r0 * n;
    store_lanes(t, n, count, d);
    for (int r = 0; r < count; ++r) {
        const int64_t label = a.labels[r0 + r];
        if (label < 0)
            memset(d + r * n, 0, n * sizeof(T));  // also where the logits are NaN
        else
            d[r * n + label] -= (T)(a.scale * row_of(a, label).hit);
    }
}

// Runs rows(first, count) over all rows, kLanes at a time if they are narrow; a job is about kJob elements.
template <class F>
void for_rows(int64_t rows, int64_t classes, int64_t step, const F& body) {
    int64_t per_job = kJob / (classes > 0 ? classes : 1);
    per_job = (per_job + step - 1) / step * step;
    if (per_job < step) per_job = step;
    const int64_t serial = classes > 0 ? kSerialBelow / classes : rows;
    parallel_chunks(
        rows, per_job,
        [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += step) body(i, (int)smaller(step, end - i));
        },
        serial);
}

// Softmax cross-entropy: loss per row and gradient in one go.
//
// Limit: reads rows * classes, writes as much. A row that fits the cache is read once from memory: maximum,
// exp and sum, scale. Longer rows use the online recurrence (Milakov and Gimelshein 2018): memory is read
// twice, not three times. Deterministic: each row belongs to one job, partial sums have a fixed length; the
// caller sums the losses in row order.
template <class T>
void cross_entropy(const CrossEntropy<T>& a) {
    if (a.classes <= kSmall)
        for_rows(a.rows, a.classes, kLanes, [&](int64_t i, int count) { narrow_rows(a, i, count); });
    else
        for_rows(a.rows, a.classes, 1, [&](int64_t i, int) { one_row(a, i); });
}

// Sigmoid cross-entropy: max(x, 0) - x y + log(1 + exp(-|x|)), gradient sigmoid(x) - y. Elementwise, no
// overflow.
template <class T>
void sigmoid_cross_entropy(const T* logits, const T* labels, T* loss, T* grad, int64_t n) {
    parallel_chunks(n, kJob, [&](int64_t begin, int64_t end) {
        const T *x = logits + begin, *y = labels + begin;
        T *l = loss + begin, *d = grad ? grad + begin : nullptr;
        const int64_t len = end - begin;
        if (d) {
            for (int64_t i = 0; i < len; ++i) {
                const T v = x[i], e = exp_neg(-absolute(v)), inv = T(1) / (T(1) + e);
                l[i] = (v > 0 ? v : T(0)) - v * y[i] + log1p_unit(e);
                d[i] = (v > 0 ? inv : e * inv) - y[i];
            }
        } else {
            for (int64_t i = 0; i < len; ++i) {
                const T v = x[i];
                l[i] = (v > 0 ? v : T(0)) - v * y[i] + log1p_unit(exp_neg(-absolute(v)));
            }
        }
    });
}

template <class T>
void softmax_row(const T* x, T* out, int64_t n, bool log_form) {
    T m;
    double sum;
    const bool is_long = n * (int64_t)sizeof(T) > kLongBytes;
    if (is_long) {
        sum = online(x, n, &m);
    } else {
        m = max_of(x, n);
        sum = log_form ? sum_exp(x, n, m) : store_exp(x, out, n, m);
    }
    if (log_form) {
        const T logsum = (T)log(sum);
        for (int64_t c = 0; c < n; ++c) out[c] = (x[c] - m) - logsum;
    } else {
        const T k = (T)(1 / sum);
        if (is_long)
            for (int64_t c = 0; c < n; ++c) out[c] = exp_neg(x[c] - m) * k;
        else
            for (int64_t c = 0; c < n; ++c) out[c] *= k;
    }
}

template <class T>
void softmax_narrow(const T* x, T* out, int64_t n, int count, bool log_form) {
    alignas(64) T t[kSmall * kLanes], m[kLanes], s[kLanes];
    load_lanes(x, n, count, t);
    max_lanes(t, n, m);
    exp_lanes(t, n, m, s);
    if (log_form) {
        for (int r = 0; r < kLanes; ++r) s[r] = log_pos(s[r]);
        for (int r = 0; r < count; ++r)
            for (int64_t c = 0; c < n; ++c) out[r * n + c] = (x[r * n + c] - m[r]) - s[r];
        return;
    }
    for (int r = 0; r < kLanes; ++r) s[r] = T(1) / s[r];
    for (int64_t c = 0; c < n; ++c)
        for (int r = 0; r < kLanes; ++r) t[c * kLanes + r] *= s[r];
    store_lanes(t, n, count, out);
}

// Softmax, or log-softmax, over the last axis. Limit and idea as for the cross-entropy.
template <class T>
void softmax(const T* x, T* out, int64_t rows, int64_t classes, bool log_form) {
    if (classes <= kSmall)
        for_rows(rows, classes, kLanes, [&](int64_t i, int count) {
            softmax_narrow(x + i * classes, out + i * classes, classes, count, log_form);
        });
    else
        for_rows(rows, classes, 1,
                 [&](int64_t i, int) { softmax_row(x + i * classes, out + i * classes, classes, log_form); });
}

template <class T>
double dot_of(const T* a, const T* b, int64_t n) {  // b null: the sum of a
    double total = 0;
    for (int64_t i = 0; i < n; i += kBlock) {
        const int64_t len = smaller(kBlock, n - i);
        const T *p = a + i, *q = b ? b + i : nullptr;
        total += b ? group_sum<T>(len, [=](int64_t k) { return p[k] * q[k]; })
                   : group_sum<T>(len, [=](int64_t k) { return p[k]; });
    }
    return total;
}

// softmax: dx = out * (g - sum(g * out)); log-softmax: dx = g - exp(out) * sum(g). Reads g and out, the
// second time from cache, writes dx.
template <class T>
void softmax_backward(const T* g, const T* out, T* dx, int64_t rows, int64_t classes, bool log_form) {
    for_rows(rows, classes, 1, [&](int64_t i, int) {
        const T *gi = g + i * classes, *oi = out + i * classes;
        T* di = dx + i * classes;
        const T s = (T)dot_of(gi, log_form ? nullptr : oi, classes);
        if (log_form)
            for (int64_t c = 0; c < classes; ++c) di[c] = gi[c] - exp_neg(oi[c]) * s;
        else
            for (int64_t c = 0; c < classes; ++c) di[c] = oi[c] * (gi[c] - s);
    });
}

}  // namespace

extern const LossTable<float> loss_f32 = {cross_entropy<float>, sigmoid_cross_entropy<float>, softmax<float>,
                                          softmax_backward<float>};
extern const LossTable<double> loss_f64 = {cross_entropy<double>, sigmoid_cross_entropy<double>,
                                           softmax<double>, softmax_backward<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
