// Scaled dot-product attention, block by block: the matrix of scores never exists as a whole.
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// q (heads, rows, depth), k (heads, keys, depth), v (heads, keys, width). causal: row i sees keys 0 to i.
struct AttentionShape {
    int64_t heads, rows, keys, depth, width;
    double scale;
    bool causal;
};

// out (heads, rows, width) and each row's logsumexp, which is all that backward needs of the scores.
template <class T>
struct AttentionForward {
    AttentionShape shape;
    const T *q, *k, *v;
    T *out, *lse;
};
template <class T>
struct AttentionBackward {
    AttentionShape shape;
    const T *g, *q, *k, *v, *out, *lse;
    T *dq, *dk, *dv;
};

// Both on all threads, false when out of memory. The bits do not depend on the number of threads.
template <class T>
bool attention_forward(const AttentionForward<T>&);
template <class T>
bool attention_backward(const AttentionBackward<T>&);

// A block of scores, `rows` from row `first` on, `keys` side by side; what a row does not see becomes 0.
template <class T>
struct ScoreBlock {
    T* s;
    int64_t rows, keys, first;
    T scale;
    bool causal;

    int64_t seen(int64_t row) const {
        const int64_t n = first + row + 1;
        return causal && n < keys ? n : keys;
    }
};
template <class T>
struct AttentionTable {
    // s becomes exp(scale s - maximum of the row); inverse sums, and logsumexp
    void (*softmax)(const ScoreBlock<T>&, T* inverse, T* lse);
    void (*divide)(T* out, const T* inverse, int64_t rows, int64_t width);  // out *= inverse, row by row
    void (*share)(const T* g, const T* out, T* share, int64_t rows,
                  int64_t width);  // sum of g out of each row
    // s becomes p = exp(scale s - lse), dp becomes scale p (dp - share)
    void (*gradient)(const ScoreBlock<T>&, const T* lse, T* dp, const T* share);
    void (*add)(T* to, const T* from, int64_t n);
};
TFLBP_DECLARE_TABLE(AttentionTable<float>, attention_f32)
TFLBP_DECLARE_TABLE(AttentionTable<double>, attention_f64)

}  // namespace tflbp
