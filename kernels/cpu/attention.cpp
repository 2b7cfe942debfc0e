// Dao et al. 2022 (FlashAttention) keep a running maximum over blocks of keys; here a block is some rows
// against all keys they see, which fits a core's cache up to some ten thousand keys and needs one pass.
//
// Limit: the products, four of them forward and ten backward per score and depth. A causal block ends at its
// last row's key, so that half of the square is never computed.
#include "cpu/attention.h"

#include <algorithm>
#include <atomic>

#include "cpu/gemm.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kScores = 0, kGradients = 1, kProducts = 2, kGemm = 3;  // scratch
constexpr int64_t kBlock = 1 << 16;                                   // scores of a block: 256 KiB in float32
constexpr int64_t kFewestRows = 16, kMostRows = 128;
constexpr double kOneThreadBelow = 200000;  // multiply-adds

const AttentionTable<float>& table(float) { return TFLBP_DISPATCH(attention_f32); }
const AttentionTable<double>& table(double) { return TFLBP_DISPATCH(attention_f64); }
const GemmFunctions<float>& products(float) { return TFLBP_DISPATCH(gemm_table).f32; }
const GemmFunctions<double>& products(double) { return TFLBP_DISPATCH(gemm_table).f64; }

template <class T>
T* room(int slot, int64_t n) {
    return static_cast<T*>(scratch(slot, size_t(n) * sizeof(T)));
}

// c = a b on this thread.
template <class T>
bool multiply(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c, int64_t ldc) {
    static const CacheSizes cache{cache_sizes().l2, 2 << 20};
    const GemmArgs<T> g{m, n, k, a, b, c, ldc, nullptr, false};
    const int64_t size = products(T()).scratch(g, cache);
    T* memory = room<T>(kGemm, size);
    if (!memory && size) return false;
    products(T()).block(g, cache, memory);
    return true;
}

int64_t rows_per_block(const AttentionShape& s) {
    return std::min(s.rows, std::min(kMostRows, std::max(kFewestRows, kBlock / s.keys)));
}

// A block's rows, and the keys that they see.
struct Block {
    int64_t first, rows, keys;
    Block(const AttentionShape& s, int64_t i)
        : first(i * rows_per_block(s)),
          rows(std::min(rows_per_block(s), s.rows - first)),
          keys(s.causal ? std::min(s.keys, first + rows) : s.keys) {}
};
int64_t blocks(const AttentionShape& s) { return (s.rows + rows_per_block(s) - 1) / rows_per_block(s); }

template <class F>
bool each(const AttentionShape& s, int64_t jobs, const F& job) {
    std::atomic<bool> ok{true};
    const auto one = [&](int64_t i) {
        if (!job(i)) ok.store(false, std::memory_order_relaxed);
    };
    if (double(s.heads) * double(s.rows) * double(s.keys) * double(s.depth + s.width) < kOneThreadBelow)
        for (int64_t i = 0; i < jobs; i++) one(i);
    else
        parallel_for(jobs, one);
    return ok.load();
}

}  // namespace

template <class T>
bool attention_forward(const AttentionForward<T>& a) {
    const AttentionShape& s = a.shape;
    const int64_t per_head = blocks(s);
    return each(s, s.heads * per_head, [&](int64_t i) {
        const int64_t h = i / per_head;
        const Block b(s, i % per_head);
        const int64_t row = h * s.rows + b.first;
        T* scores = room<T>(kScores, b.rows * b.keys);
        T* inverse = room<T>(kProducts, b.rows);
        if (!scores || !inverse) return false;
        if (!multiply<T>(b.rows, b.keys, s.depth, {a.q + row * s.depth, s.depth, false},
                         {a.k + h * s.keys * s.depth, s.depth, true}, scores, b.keys))
            return false;
        table(T()).softmax({scores, b.rows, b.keys, b.first, T(s.scale), s.causal}, inverse, a.lse + row);
        T* out = a.out + row * s.width;
        if (!multiply<T>(b.rows, s.width, b.keys, {scores, b.keys, false},
                         {a.v + h * s.keys * s.width, s.width, false}, out, s.width))
            return false;
        table(T()).divide(out, inverse, b.rows, s.width);
        return true;
    });
}

template <class T>
bool attention_backward(const AttentionBackward<T>& a) {
    const AttentionShape& s = a.shape;
    const AttentionTable<T>& t = table(T());
    return each(s, s.heads, [&](int64_t h) {  // a head's blocks add into its dk and dv, in their order
        const int64_t most = rows_per_block(s), deep = std::max(s.depth, s.width);
        T* p = room<T>(kScores, most * s.keys);
        T* dp = room<T>(kGradients, most * s.keys);
        T* part = room<T>(kProducts, s.keys * deep + most);
        if (!p || !dp || !part) return false;
        T* share = part + s.keys * deep;
        const T *k = a.k + h * s.keys * s.depth, *v = a.v + h * s.keys * s.width;
        T *dk = a.dk + h * s.keys * s.depth, *dv = a.dv + h * s.keys * s.width;
        std::fill(dk, dk + s.keys * s.depth, T(0));
        std::fill(dv, dv + s.keys * s.width, T(0));
        for (int64_t i = 0; i < blocks(s); i++) {
            const Block b(s, i);
            const int64_t row = h * s.rows + b.first, n = b.keys;
            const T *q = a.q + row * s.depth, *g = a.g + row * s.width;
            if (!multiply<T>(b.rows, n, s.depth, {q, s.depth, false}, {k, s.depth, true}, p, n)) return false;
            if (!multiply<T>(b.rows, n, s.width, {g, s.width, false}, {v, s.width, true}, dp, n))
                return false;
            t.share(g, a.out + row * s.width, share, b.rows, s.width);
            t.gradient({p, b.rows, n, b.first, T(s.scale), s.causal}, a.lse + row, dp, share);
            if (!multiply<T>(n, s.width, b.rows, {p, n, true}, {g, s.width, false}, part, s.width))
                return false;
            t.add(dv, part, n * s.width);
            if (!multiply<T>(n, s.depth, b.rows, {dp, n, true}, {q, s.depth, false}, part, s.depth))
                return false;
            t.add(dk, part, n * s.depth);
            if (!multiply<T>(b.rows, s.depth, n, {dp, n, false}, {k, s.depth, false}, a.dq + row * s.depth,
                             s.depth))
                return false;
        }
        return true;
    });
}

template bool attention_forward<float>(const AttentionForward<float>&);
template bool attention_forward<double>(const AttentionForward<double>&);
template bool attention_backward<float>(const AttentionBackward<float>&);
template bool attention_backward<double>(const AttentionBackward<double>&);

}  // namespace tflbp
