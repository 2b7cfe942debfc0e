// Limit: the products, 2 (features + units) columns a row and step forward, twice that backward.
//
// Some rows of the batch walk through time on one thread, without meeting the others: x w, h u onto it, and
// the cell, while the gates are in cache. (x w of all steps at once writes and reads them once more: 10 % of
// the time where they do not fit. It pays where a step has few rows.) Backward they walk back over a copy of
// u turned round once, as a product with a transposed matrix would turn it at every step, and the gradients
// of w, u and b are one product each over all steps. An element's sum depends neither on the rows beside it
// nor on the threads.
#include "cpu/recurrent.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/gemm.h"
#include "cpu/linear.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kStates = 0, kThrough = 1;             // scratch; linear.cpp has 2, gemm.cpp 3
constexpr int64_t kMostRows = 64, kFewestRows = 16;  // of a walk
constexpr double kOneThreadBelow = 200000;           // multiply-adds

const RecurrentTable<float>& table(float) { return TFLBP_DISPATCH(recurrent_f32); }
const RecurrentTable<double>& table(double) { return TFLBP_DISPATCH(recurrent_f64); }

// c += a b + bias; with `fresh`, c = a b + bias.
template <class T>
bool multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
              int64_t ldc, const T* bias = nullptr, bool fresh = false) {
    return gemm_here(GemmArgs<T>{m, n, k, {a, lda, false}, {b, ldb, false}, c, ldc, bias, false, !fresh});
}

// job(first row, rows) for pieces of the batch.
template <class F>
bool each_piece(const RecurrentShape& s, const F& job) {
    const int64_t share = (s.batch + num_threads() - 1) / num_threads();
    const int64_t rows = std::min(kMostRows, std::max(kFewestRows, share));
    const double work = double(s.steps) * double(s.batch) * double(s.columns()) * double(s.units);
    std::atomic<bool> ok{true};
    const auto one = [&](int64_t i) {
        const int64_t first = i * rows;
        if (!job(first, std::min(rows, s.batch - first))) ok.store(false, std::memory_order_relaxed);
    };
    const int64_t pieces = (s.batch + rows - 1) / rows;
    if (work < kOneThreadBelow)
        for (int64_t i = 0; i < pieces; i++) one(i);
    else
        parallel_for(pieces, one);
    return ok.load();
}

// Rows of (batch, steps, n) in the order of the steps taken, or back.
template <class T>
void order_rows(const RecurrentShape& s, int64_t n, const T* from, T* to, bool back) {
    const auto step = [&](int64_t t) {
        const int64_t at = s.reverse ? s.steps - 1 - t : t;
        for (int64_t b = 0; b < s.batch; b++) {
            const int64_t here = (b * s.steps + at) * n, there = (t * s.batch + b) * n;
            std::memcpy(to + (back ? here : there), from + (back ? there : here), size_t(n) * sizeof(T));
        }
    };
    if (s.steps * s.batch * n < kSerialBelow)
        for (int64_t t = 0; t < s.steps; t++) step(t);
    else
        parallel_for(s.steps, step);
}

template <class T>
void turn(int64_t rows, int64_t cols, const T* from, T* to) {
    constexpr int64_t kTile = 16;
    for (int64_t i0 = 0; i0 < rows; i0 += kTile)
        for (int64_t j0 = 0; j0 < cols; j0 += kTile)
            for (int64_t j = j0; j < std::min(cols, j0 + kTile); j++)
                for (int64_t i = i0; i < std::min(rows, i0 + kTile); i++)
                    to[j * rows + i] = from[i * cols + j];
}

const uint8_t* mask_of(const RecurrentShape& s, const uint8_t* mask, int64_t row, int64_t t) {
    return mask ? mask + row * s.steps + (s.reverse ? s.steps - 1 - t : t) : nullptr;
}

// ------------------------------------------------------------------ forward
// gates = x w + b for some rows of x, ldx apart, by `product`.
template <class T, class F>
bool project(const RecurrentForward<T>& a, int64_t rows, const T* x, int64_t ldx, T* gates,
             const F& product) {
    const RecurrentShape& s = a.shape;
    const int64_t n = s.units, columns = s.columns();
    GemmArgs<T> g{rows,     columns, s.features, {x, ldx, false}, {a.w, columns, false}, gates,
                  s.kept(), a.b,     false};
    if (s.kind != kGruAfter) return product(g);
    g.c = gates + n, g.n = 2 * n;  // z and r
    if (!product(g)) return false;
    g.c = gates, g.n = n, g.b.p = a.w + 2 * n;
    if (a.b) g.bias = a.b + 2 * n;
    return product(g);
}

// Some rows through all steps.
template <class T>
bool walk(const RecurrentForward<T>& a, int64_t first, int64_t rows) {
    const RecurrentShape& s = a.shape;
    const int64_t n = s.units, size = s.batch * n, columns = s.columns();
    const RecurrentTable<T>& cells = table(T());
    const auto slot = [&](int64_t t) { return (a.keeps ? t : t & 1) * size + first * n; };
    std::memcpy(a.hs + slot(0), a.h0 + first * n, size_t(rows * n) * sizeof(T));
    if (a.cs) std::memcpy(a.cs + slot(0), a.c0 + first * n, size_t(rows * n) * sizeof(T));
    for (int64_t t = 0; t < s.steps; t++) {
        T* gates = a.gates + (t * s.batch + first) * s.kept();
        const CellForward<T> cell{rows,
                                  n,
                                  mask_of(s, a.mask, first, t),
                                  s.steps,
                                  gates,
                                  a.hs + slot(t),
                                  a.cs ? a.cs + slot(t) : nullptr,
                                  a.hs + slot(t + 1),
                                  a.cs ? a.cs + slot(t + 1) : nullptr};
        const int64_t at = s.reverse ? s.steps - 1 - t : t;
        if (!s.projects_first() && !project(a, rows, a.x + (first * s.steps + at) * s.features,
                                            s.steps * s.features, gates, gemm_here<T>))
            return false;
        const T* h = cell.h_before;
        if (s.kind == kGruAfter) {
            for (int64_t r = 0; r < rows; r++) {
                T* q = gates + r * 4 * n + 3 * n;
                std::fill(q, q + n, T(0));
            }
            if (!multiply(rows, columns, n, h, n, a.u, columns, gates + n, 4 * n,
                          a.b ? a.b + columns : nullptr))
                return false;
        } else if (s.kind == kGruBefore) {
            if (!multiply(rows, 2 * n, n, h, n, a.u, columns, gates, 4 * n)) return false;
            cells.reset(cell);
            if (!multiply(rows, n, n, gates + 3 * n, 4 * n, a.u + 2 * n, columns, gates + 2 * n, 4 * n))
                return false;
        } else if (!multiply(rows, columns, n, h, n, a.u, columns, gates, columns)) {
            return false;
        }
        cells.forward[s.kind](cell);
        if (a.out)
            for (int64_t r = 0; r < rows; r++)
                std::memcpy(a.out + ((first + r) * s.steps + t) * n, cell.h + r * n, size_t(n) * sizeof(T));
    }
    return true;
}

// ------------------------------------------------------------------ backward
// Some rows back through all steps: the slopes of every step, and the cotangents of h0 and c0.
template <class T>
bool walk_back(const RecurrentBackward<T>& a, int64_t first, int64_t rows) {
    const RecurrentShape& s = a.shape;
    const int64_t n = s.units, size = s.batch * n, pre = s.pre();
    const RecurrentTable<T>& cells = table(T());
    T* dh = scratch_of<T>(kStates, 2 * rows * n);
    T* through = s.kind == kGruBefore ? scratch_of<T>(kThrough, rows * n) : nullptr;
    if (!dh || (s.kind == kGruBefore && !through)) return false;
    T* dc = dh + rows * n;
    const auto start = [&](const T* g, T* to) {
        if (g)
            std::memcpy(to, g + first * n, size_t(rows * n) * sizeof(T));
        else
            std::fill(to, to + rows * n, T(0));
    };
    start(a.g_h, dh), start(a.g_c, dc);
    for (int64_t t = s.steps - 1; t >= 0; t--) {
        if (a.g_out)
            for (int64_t r = 0; r < rows; r++) {
                const T* g = a.g_out + ((first + r) * s.steps + t) * n;
                T* d = dh + r * n;
                for (int64_t j = 0; j < n; j++) d[j] += g[j];
            }
        const int64_t before = t * size + first * n, after = before + size;
        T* slopes = a.slopes + (t * s.batch + first) * pre;
        const CellBackward<T> cell{rows,
                                   n,
                                   mask_of(s, a.mask, first, t),
                                   s.steps,
                                   a.gates + (t * s.batch + first) * s.kept(),
                                   a.hs + before,
                                   a.hs + after,
                                   a.cs ? a.cs + before : nullptr,
                                   a.cs ? a.cs + after : nullptr,
                                   dh,
                                   dc,
                                   slopes,
                                   through};
        cells.backward[s.kind](cell);
        bool ok = true;
        if (s.kind == kGruBefore) {
            ok = multiply(rows, n, n, slopes + 2 * n, pre, a.turned + 2 * n * n, n, through, n,
                          (const T*)nullptr, true);
            cells.reset_backward(cell);
        }
        if (t == 0 && !a.dh0) break;  // where the first state is a constant
        if (s.kind == kGruBefore)
            ok = ok && multiply(rows, n, 2 * n, slopes, pre, a.turned, n, dh, n);
        else if (s.kind == kGruAfter)
            ok = multiply(rows, n, 3 * n, slopes + n, pre, a.turned, n, dh, n);
        else
            ok = multiply(rows, n, pre, slopes, pre, a.turned, n, dh, n);
        if (!ok) return false;
    }
    if (a.dh0) std::memcpy(a.dh0 + first * n, dh, size_t(rows * n) * sizeof(T));
    if (a.dc0) std::memcpy(a.dc0 + first * n, dc, size_t(rows * n) * sizeof(T));
    return true;
}

// to[:, at : at + n] = left^T right[:, from : from + n] over all rows of all steps.
template <class T>
bool weights(int64_t total, int64_t m, int64_t n, const T* left, int64_t ldl, const T* right, int64_t ldr,
             T* to, int64_t ldto) {
    return gemm(GemmArgs<T>{m, n, total, {left, ldl, true}, {right, ldr, false}, to, ldto, nullptr, false});
}

template <class T>
bool gradients(const RecurrentBackward<T>& a) {
    const RecurrentShape& s = a.shape;
    const int64_t n = s.units, k = s.features, total = s.steps * s.batch, columns = s.columns(),
                  pre = s.pre();
    const T* d = a.slopes;
    const bool after = s.kind == kGruAfter;
    if (a.dw) {
        const T* x = a.x;
        if (a.ordered) order_rows(s, k, a.x, a.ordered, false), x = a.ordered;
        const bool ok = after ? weights(total, k, 2 * n, x, k, d + n, pre, a.dw, columns) &&
                                    weights(total, k, n, x, k, d, pre, a.dw + 2 * n, columns)
                              : weights(total, k, columns, x, k, d, pre, a.dw, columns);
        if (!ok) return false;
    }
    if (a.du) {
        const T* h = a.hs;
        bool ok;
        if (after)
            ok = weights(total, n, columns, h, n, d + n, pre, a.du, columns);
        else if (s.kind == kGruBefore)
            ok = weights(total, n, 2 * n, h, n, d, pre, a.du, columns) &&
                 weights(total, n, n, a.gates + 3 * n, 4 * n, d + 2 * n, pre, a.du + 2 * n, columns);
        else
            ok = weights(total, n, columns, h, n, d, pre, a.du, columns);
        if (!ok) return false;
    }
    if (a.db) {
        T* sums = after ? scratch_of<T>(kStates, pre) : a.db;
        if (!sums) return false;
        LinearBackward<T> columns_of{};
        columns_of.m = total, columns_of.n = pre, columns_of.g = d, columns_of.db = sums;
        if (!linear_backward(columns_of)) return false;
        if (after) {  // (g, z, r, q) as (z, r, g) and (z, r, q)
            std::copy(sums + n, sums + 3 * n, a.db), std::copy(sums, sums + n, a.db + 2 * n);
            std::copy(sums + n, sums + 4 * n, a.db + 3 * n);
        }
    }
    if (a.dx) {
        T* to = a.ordered ? a.ordered : a.dx;
        GemmArgs<T> g{total, k, columns, {d, pre, false}, {a.w, columns, true}, to, k, nullptr, false};
        if (after) g.a.p = d + n, g.k = 2 * n;
        if (!gemm(g)) return false;
        if (after) {
            g.a.p = d, g.b.p = a.w + 2 * n, g.k = n, g.add = true;
            if (!gemm(g)) return false;
        }
        if (a.ordered) order_rows(s, k, a.ordered, a.dx, true);
    }
    return true;
}

}  // namespace

template <class T>
bool recurrent_forward(const RecurrentForward<T>& a) {
    const RecurrentShape& s = a.shape;
    if (s.projects_first()) {
        const T* x = a.x;
        if (a.ordered) order_rows(s, s.features, a.x, a.ordered, false), x = a.ordered;
        if (!project(a, s.steps * s.batch, x, s.features, a.gates, gemm<T>)) return false;
    }
    return each_piece(s, [&](int64_t first, int64_t rows) { return walk(a, first, rows); });
}

template <class T>
bool recurrent_backward(const RecurrentBackward<T>& a) {
    const RecurrentShape& s = a.shape;
    turn(s.units, s.columns(), a.u, a.turned);
    return each_piece(s, [&](int64_t first, int64_t rows) { return walk_back(a, first, rows); }) &&
           gradients(a);
}

template bool recurrent_forward<float>(const RecurrentForward<float>&);
template bool recurrent_forward<double>(const RecurrentForward<double>&);
template bool recurrent_backward<float>(const RecurrentBackward<float>&);
template bool recurrent_backward<double>(const RecurrentBackward<double>&);

}  // namespace tflbp
