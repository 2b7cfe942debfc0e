// The passes over a block of scores between the products: see attention.h. A block stays in the second-level
// cache up to some thousand keys.
#include "cpu/attention.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
constexpr T kNever = -T(__builtin_inff());

// The scores of `count` keys from j0 on, masked; a mask's rows are read along their keys, not across.
template <class T, class M, class F>
void masked(const ScoreBlock<T>& b, const M* mask, const F& apply) {
    constexpr int64_t R = kScoreRows<T>, J = 16;
    const int64_t row = b.mask.row, key = b.mask.key;
    if (row == 0) {  // one line of keys for all queries
        for (int64_t j = 0; j < b.keys; ++j) {
            const M m = mask[j * key];
            T* s = b.s + j * R;
            for (int64_t r = 0; r < R; ++r) s[r] = apply(s[r], m);
        }
        return;
    }
    M tile[J * R];
    memset(tile, 0, sizeof tile);
    for (int64_t j0 = 0; j0 < b.keys; j0 += J) {
        const int64_t n = smaller(J, b.keys - j0);
        for (int64_t r = 0; r < b.rows; ++r)
            for (int64_t j = 0; j < n; ++j) tile[j * R + r] = mask[r * row + (j0 + j) * key];
        for (int64_t j = 0; j < n; ++j) {
            T* s = b.s + (j0 + j) * R;
            for (int64_t r = 0; r < R; ++r) s[r] = apply(s[r], tile[j * R + r]);
        }
    }
}

// What a row does not see becomes minus infinity.
template <class T>
void hide(const ScoreBlock<T>& b) {
    constexpr int64_t R = kScoreRows<T>;
    if (b.mask.p && b.mask.added)
        masked(b, static_cast<const T*>(b.mask.p), [](T s, T m) { return s + m; });
    else if (b.mask.p)
        masked(b, static_cast<const uint8_t*>(b.mask.p), [](T s, uint8_t m) { return m ? s : kNever<T>; });
    for (int64_t j = b.diagonal + 1; j < b.keys; ++j)
        for (int64_t r = 0; r < R; ++r)
            if (b.diagonal + r < j) b.s[j * R + r] = kNever<T>;
}

template <class T>
void softmax(const ScoreBlock<T>& b, T* inverse, T* lse) {
    constexpr int64_t R = kScoreRows<T>, U = 4;  // keys at a time: as many chains of additions
    T* __restrict s = b.s;
    const int64_t n = b.keys;
    hide(b);
    T top[R], sum[U][R];
    for (int64_t r = 0; r < R; ++r) top[r] = kNever<T>;
    int64_t j = 0;
    for (; j + U <= n; j += U)
        for (int64_t r = 0; r < R; ++r) {
            const T* p = s + j * R + r;
            top[r] = larger(larger(p[0], p[R]), larger(larger(p[2 * R], p[3 * R]), top[r]));
        }
    for (; j < n; ++j)
        for (int64_t r = 0; r < R; ++r) top[r] = larger(s[j * R + r], top[r]);
    for (int64_t r = 0; r < R; ++r) {  // a row that sees nothing, or an infinite score
        top[r] = absolute(top[r]) < T(__builtin_inff()) ? top[r] : T(0);
        for (int64_t u = 0; u < U; ++u) sum[u][r] = 0;
    }
    for (j = 0; j < n; ++j) {
        T* p = s + j * R;
        T* total = sum[j % U];
        for (int64_t r = 0; r < R; ++r) {
            const T e = exp_neg(p[r] - top[r]);
            p[r] = e;
            total[r] += e;
        }
    }
    for (int64_t r = 0; r < b.rows; ++r) {
        const T total = (sum[0][r] + sum[1][r]) + (sum[2][r] + sum[3][r]);
        const bool sees = !(total <= 0);
        inverse[r] = sees ? T(1) / total : T(0);
        lse[r] = sees ? top[r] + (T)log((double)total) : T(__builtin_inff());
    }
}

template <class T>
void gradient(const ScoreBlock<T>& b, const T* lse, T* dp, const T* share) {
    constexpr int64_t R = kScoreRows<T>;
    hide(b);
    T shift[R], off[R];
    for (int64_t r = 0; r < R; ++r)
        shift[r] = r < b.rows ? lse[r] : T(0), off[r] = r < b.rows ? share[r] : T(0);
    T* __restrict s = b.s;
    T* __restrict d = dp;
    for (int64_t j = 0; j < b.keys; ++j, s += R, d += R)
        for (int64_t r = 0; r < R; ++r) {
            const T p = exp_neg(s[r] - shift[r]);
            s[r] = p;
            d[r] = p * (d[r] - off[r]);
        }
}

template <class T>
void share(Heads<const T> g, Heads<const T> out, T* to, int64_t rows, int64_t width) {
    for (int64_t r = 0; r < rows; ++r) {
        const T *a = g.p + r * g.row, *b = out.p + r * out.row;
        to[r] = group_sum<T>(width, [=](int64_t j) { return a[j] * b[j]; });
    }
}

template <class T>
void scale(T* to, int64_t ldto, const T* from, int64_t ldfrom, int64_t rows, int64_t n, const T* by, T all) {
    for (int64_t r = 0; r < rows; ++r, to += ldto, from += ldfrom) {
        const T k = by ? by[r] : all;
        for (int64_t j = 0; j < n; ++j) to[j] = from[j] * k;
    }
}

}  // namespace

extern const AttentionTable<float> attention_f32 = {softmax<float>, gradient<float>, share<float>,
                                                    scale<float>};
extern const AttentionTable<double> attention_f64 = {softmax<double>, gradient<double>, share<double>,
                                                     scale<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
