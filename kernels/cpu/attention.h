// Scaled dot-product attention, block by block: the matrix of scores never exists as a whole.
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// Row r of head h of sample b is at p + b batch + h head + r row; its elements are side by side. Steps may be
// 0.
template <class T>
struct Heads {
    T* p;
    int64_t batch, head, row;

    T* at(int64_t b, int64_t h) const { return p + b * batch + h * head; }
};

// Element (b, h, row, key), each step in elements and maybe 0. added: floats for the scores, instead of
// bytes, of which 0 hides a key. Null without a mask.
struct AttentionMask {
    const void* p;
    bool added;
    int64_t batch, head, row, key;
};

// q (batch, heads, rows, depth), k (.., keys, depth), v (.., keys, width). causal: row i sees keys 0 to i.
struct AttentionShape {
    int64_t batch, heads, rows, keys, depth, width;
    double scale;
    bool causal;
};

// out (.., rows, width) and each row's logsumexp, dense, which is all that backward needs of the scores;
// infinite where a row sees nothing.
template <class T>
struct AttentionForward {
    AttentionShape shape;
    AttentionMask mask;
    Heads<const T> q, k, v;
    Heads<T> out;
    T* lse;
};
template <class T>
struct AttentionBackward {
    AttentionShape shape;
    AttentionMask mask;
    Heads<const T> g, q, k, v, out;
    const T* lse;
    Heads<T> dq, dk, dv;
};

// Both on all threads, false when out of memory. The bits do not depend on the number of threads.
template <class T>
bool attention_forward(const AttentionForward<T>&);
template <class T>
bool attention_backward(const AttentionBackward<T>&);

// A block of scores, transposed: a line of kScoreRows<T> queries for every key, of which `rows` are there. A
// vector then holds one key's scores of several queries, and no pass needs a sum across a vector.
template <class T>
constexpr int64_t kScoreRows = 128 / int64_t(sizeof(T));
template <class T>
struct ScoreBlock {
    T* s;
    int64_t rows, keys;
    int64_t diagonal;    // the first row sees keys up to this one, the next one more; `keys` if not causal
    AttentionMask mask;  // p: at the first row
};
template <class T>
struct AttentionTable {
    // s becomes exp(s - maximum of the row); inverse sums, and logsumexp
    void (*softmax)(const ScoreBlock<T>&, T* inverse, T* lse);
    // s becomes p = exp(s - lse), dp becomes p (dp - share)
    void (*gradient)(const ScoreBlock<T>&, const T* lse, T* dp, const T* share);
    // sum of g out of each row
    void (*share)(Heads<const T> g, Heads<const T> out, T* share, int64_t rows, int64_t width);
    // to = by from, rows of n; by[r] where by is an array
    void (*scale)(T* to, int64_t ldto, const T* from, int64_t ldfrom, int64_t rows, int64_t n, const T* by,
                  T all);
};
TFLBP_DECLARE_TABLE(AttentionTable<float>, attention_f32)
TFLBP_DECLARE_TABLE(AttentionTable<double>, attention_f64)

}  // namespace tflbp
