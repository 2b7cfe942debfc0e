// Dao et al. 2022 (FlashAttention) keep a running maximum over blocks of keys; here a block is a cache line
// or two of queries against all keys they see: it fits a core's second-level cache up to some thousand keys,
// and a line from the third-level one serves 32 queries beyond.
//
// The scores are computed transposed, K Q^T: then K, V, the scores and both gradients are rows or columns of
// A or plain B for every one of the seven products (see gemm_pack.h), and only the block of queries is ever
// packed.
//
// Limit: the products, four multiply-adds forward and ten backward per score and depth. A causal block ends
// at its last row's key, so that all but half a block beyond the diagonal is never computed.
#include "cpu/attention.h"

#include <algorithm>
#include <atomic>

#include "cpu/gemm.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kScores = 0, kGradients = 1, kRows = 2;  // scratch; gemm.cpp has 3
constexpr double kOneThreadBelow = 200000;             // multiply-adds

const AttentionTable<float>& table(float) { return TFLBP_DISPATCH(attention_f32); }
const AttentionTable<double>& table(double) { return TFLBP_DISPATCH(attention_f64); }

// c = a b, or c += a b, on this thread.
template <class T>
bool multiply(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c, int64_t ldc,
              bool add = false) {
    return gemm_here(GemmArgs<T>{m, n, k, a, b, c, ldc, nullptr, false, add});
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A block's rows of one head, the keys that they see, and its scores.
template <class T>
struct Block {
    int64_t first, rows, keys;
    ScoreBlock<T> scores;

    Block(const AttentionShape& s, const AttentionMask& mask, int64_t b, int64_t h, int64_t i, T* memory)
        : first(i * kScoreRows<T>),
          rows(std::min(kScoreRows<T>, s.rows - first)),
          keys(s.causal ? std::min(s.keys, first + rows) : s.keys),
          scores{memory, rows, keys, s.causal ? std::min(first, s.keys) : s.keys, mask} {
        if (!mask.p) return;
        const int64_t at = b * mask.batch + h * mask.head + first * mask.row;
        scores.mask.p = static_cast<const char*>(mask.p) + at * (mask.added ? int64_t(sizeof(T)) : 1);
    }
};

template <class F>
bool each(const AttentionShape& s, int64_t jobs, const F& job) {
    std::atomic<bool> ok{true};
    const auto one = [&](int64_t i) {
        if (!job(i)) ok.store(false, std::memory_order_relaxed);
    };
    const double work = double(s.batch * s.heads) * double(s.rows) * double(s.keys);
    if (work * double(s.depth + s.width) < kOneThreadBelow)
        for (int64_t i = 0; i < jobs; i++) one(i);
    else
        parallel_for(jobs, one);
    return ok.load();
}

// Room for a block's scores; lanes that no query takes hold zeros, for the passes run over whole lines.
template <class T>
T* score_room(int slot, const AttentionShape& s) {
    T* p = scratch_of<T>(slot, kScoreRows<T> * s.keys);
    if (p && s.rows % kScoreRows<T>) std::fill(p, p + kScoreRows<T> * s.keys, T(0));
    return p;
}

}  // namespace

template <class T>
bool attention_forward(const AttentionForward<T>& a) {
    constexpr int64_t R = kScoreRows<T>;
    const AttentionShape& s = a.shape;
    const AttentionTable<T>& t = table(T());
    const int64_t blocks = ceil_div(s.rows, R);
    return each(s, s.batch * s.heads * blocks, [&](int64_t i) {
        const int64_t head = i / blocks, b = head / s.heads, h = head % s.heads;
        T* p = score_room<T>(kScores, s);
        T* scaled = scratch_of<T>(kRows, R * (s.depth + 1));
        if (!p || !scaled) return false;
        const Block<T> at(s, a.mask, b, h, i % blocks, p);
        T *inverse = scaled + R * s.depth, *out = a.out.at(b, h) + at.first * a.out.row;
        const T *q = a.q.at(b, h) + at.first * a.q.row, *k = a.k.at(b, h), *v = a.v.at(b, h);
        t.scale(scaled, s.depth, q, a.q.row, at.rows, s.depth, nullptr, T(s.scale));
        if (!multiply<T>(at.keys, at.rows, s.depth, {k, a.k.row, false}, {scaled, s.depth, true}, p, R))
            return false;
        t.softmax(at.scores, inverse, a.lse + head * s.rows + at.first);
        if (!multiply<T>(at.rows, s.width, at.keys, {p, R, true}, {v, a.v.row, false}, out, a.out.row))
            return false;
        t.scale(out, a.out.row, out, a.out.row, at.rows, s.width, inverse, T(0));
        return true;
    });
}

template <class T>
bool attention_backward(const AttentionBackward<T>& a) {
    constexpr int64_t R = kScoreRows<T>;
    const AttentionShape& s = a.shape;
    const AttentionTable<T>& t = table(T());
    return each(
        s, s.batch * s.heads, [&](int64_t head) {  // a head's blocks add into dk and dv in their order
            const int64_t b = head / s.heads, h = head % s.heads;
            T *p = score_room<T>(kScores, s), *dp = score_room<T>(kGradients, s);
            T* scaled = scratch_of<T>(kRows, R * (s.depth + 1));
            if (!p || !dp || !scaled) return false;
            T* share = scaled + R * s.depth;
            const T *k = a.k.at(b, h), *v = a.v.at(b, h);
            T *dk = a.dk.at(b, h), *dv = a.dv.at(b, h);
            for (int64_t j = 0; j < s.keys; j++) {
                std::fill_n(dk + j * a.dk.row, s.depth, T(0));
                std::fill_n(dv + j * a.dv.row, s.width, T(0));
            }
            for (int64_t i = 0; i * R < s.rows; i++) {
                const Block<T> at(s, a.mask, b, h, i, p);
                const int64_t rows = at.rows, keys = at.keys;
                const T *q = a.q.at(b, h) + at.first * a.q.row, *g = a.g.at(b, h) + at.first * a.g.row,
                        *out = a.out.at(b, h) + at.first * a.out.row;
                T* dq = a.dq.at(b, h) + at.first * a.dq.row;
                t.scale(scaled, s.depth, q, a.q.row, rows, s.depth, nullptr, T(s.scale));
                t.share({g, 0, 0, a.g.row}, {out, 0, 0, a.out.row}, share, rows, s.width);
                if (!multiply<T>(keys, rows, s.depth, {k, a.k.row, false}, {scaled, s.depth, true}, p, R) ||
                    !multiply<T>(keys, rows, s.width, {v, a.v.row, false}, {g, a.g.row, true}, dp, R))
                    return false;
                t.gradient(at.scores, a.lse + head * s.rows + at.first, dp, share);
                if (!multiply<T>(keys, s.width, rows, {p, R, false}, {g, a.g.row, false}, dv, a.dv.row,
                                 true) ||
                    !multiply<T>(keys, s.depth, rows, {dp, R, false}, {scaled, s.depth, false}, dk, a.dk.row,
                                 true) ||
                    !multiply<T>(rows, s.depth, keys, {dp, R, true}, {k, a.k.row, false}, dq, a.dq.row))
                    return false;
                t.scale(dq, a.dq.row, dq, a.dq.row, rows, s.depth, nullptr, T(s.scale));
            }
            return true;
        });
}

template bool attention_forward<float>(const AttentionForward<float>&);
template bool attention_forward<double>(const AttentionForward<double>&);
template bool attention_backward<float>(const AttentionBackward<float>&);
template bool attention_backward<double>(const AttentionBackward<double>&);

}  // namespace tflbp
