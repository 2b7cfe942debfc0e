// The passes over a block of scores between the products: see attention.h. A block stays in the second-level
// cache.
#include "cpu/attention.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
void softmax(const ScoreBlock<T>& b, T* inverse, T* lse) {
    for (int64_t r = 0; r < b.rows; ++r) {
        T* s = b.s + r * b.keys;
        const int64_t n = b.seen(r);
        const T scale = b.scale;
        T side[kGroup<T>], top = s[0] * scale;
        for (int64_t j = 0; j < kGroup<T>; ++j) side[j] = top;
        int64_t i = 0;
        for (; i + kGroup<T> <= n; i += kGroup<T>)
            for (int64_t j = 0; j < kGroup<T>; ++j) side[j] = larger(s[i + j] * scale, side[j]);
        for (int64_t j = 0; j < kGroup<T>; ++j) top = larger(side[j], top);
        for (; i < n; ++i) top = larger(s[i] * scale, top);
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; ++j) {
            const T e = exp_neg(s[j] * scale - top);
            s[j] = e;
            sum += e;
        }
        memset(s + n, 0, (size_t)(b.keys - n) * sizeof(T));
        inverse[r] = T(1) / sum;
        lse[r] = top + (T)log((double)sum);
    }
}

template <class T>
void divide(T* out, const T* inverse, int64_t rows, int64_t width) {
    for (int64_t r = 0; r < rows; ++r) {
        const T k = inverse[r];
        T* o = out + r * width;
        for (int64_t j = 0; j < width; ++j) o[j] *= k;
    }
}

template <class T>
void share(const T* g, const T* out, T* to, int64_t rows, int64_t width) {
    for (int64_t r = 0; r < rows; ++r) {
        const T *a = g + r * width, *b = out + r * width;
        to[r] = group_sum<T>(width, [=](int64_t j) { return a[j] * b[j]; });
    }
}

template <class T>
void gradient(const ScoreBlock<T>& b, const T* lse, T* dp, const T* share) {
    for (int64_t r = 0; r < b.rows; ++r) {
        T* __restrict s = b.s + r * b.keys;
        T* __restrict d = dp + r * b.keys;
        const int64_t n = b.seen(r);
        const T scale = b.scale, shift = lse[r], off = share[r];
        for (int64_t j = 0; j < n; ++j) {
            const T p = exp_neg(s[j] * scale - shift);
            s[j] = p;
            d[j] = p * (d[j] - off) * scale;
        }
        memset(s + n, 0, (size_t)(b.keys - n) * sizeof(T));
        memset(d + n, 0, (size_t)(b.keys - n) * sizeof(T));
    }
}

template <class T>
void add(T* __restrict to, const T* __restrict from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

extern const AttentionTable<float> attention_f32 = {softmax<float>, divide<float>, share<float>,
                                                    gradient<float>, add<float>};
extern const AttentionTable<double> attention_f64 = {softmax<double>, divide<double>, share<double>,
                                                     gradient<double>, add<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
