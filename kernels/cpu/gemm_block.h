// The loops around the micro-kernel, for one thread.
//
//     for blocks of columns (the packed block of B stays in L3)
//       for blocks of k (a panel of B, kBlock x one tile's width, stays in L1 or L2)
//         for blocks of rows (the block of A stays in L2)
//           for panels of B: for row panels of A: one tile
//
// (Goto and van de Geijn 2008.) How k is cut depends on k alone, so an element of C is always summed in the
// same order.
#pragma once

#include "cpu/gemm_pack.h"

#ifndef TFLBP_GEMM_KBLOCK
#define TFLBP_GEMM_KBLOCK 512
#endif

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// The tile for a problem: few rows get a wide one, few columns a high one; the accumulators must hide the
// FMA's latency.
struct Shape {
    int rows, vectors;
};
template <class T>
Shape tile_shape(int64_t m, int64_t n) {
    const int64_t width = ceil_div(n, kLanes<T>);
    int vectors = kMaxVectors;
    while (vectors > 2 && m > max_rows(vectors)) vectors--;
    if (width <= 3 && width != 2) vectors = int(width);
    if (vectors > width) vectors = int(width);
    return {max_rows(vectors), vectors};
}

template <class T>
struct Blocking {
    Shape shape;
    int64_t nr;          // columns of a tile
    int64_t kc, mc, nc;  // blocks of k, rows, columns
    int64_t lda;         // of packed rows: an odd number of cache lines, no two rows in one cache set
    int64_t panels;      // panels of B kept at a time

    Blocking(const GemmArgs<T>& g, const CacheSizes& cache) {
        constexpr int64_t line = 64 / int64_t(sizeof(T)), bytes = sizeof(T);
        shape = tile_shape<T>(g.m, g.n);
        nr = shape.vectors * kLanes<T>;
        kc = ceil_div(g.k, ceil_div(g.k, kBlock));
        mc = max64(shape.rows, cache.l2 * 3 / 4 / (kc * bytes));
        mc = ceil_div(g.m, ceil_div(g.m, mc));
        nc = max64(nr, cache.l3 / (kc * bytes) / nr * nr);
        lda = (ceil_div(kc, line) | 1) * line;
        panels = g.m <= mc ? 1 : ceil_div(min64(nc, g.n), nr) + 1;
    }
    int64_t a_elements() const { return ceil_div((mc + kMaxRows) * (lda + kMaxRows), 16) * 16; }
    int64_t scratch() const { return a_elements() + panels * nr * kc + 64; }

    // A panel of 512 x 16 floats, 32 KiB, comes from L2 for half of the tile's time; halving it costs a pass
    // over C more (1024^3 on Zen 3: 89 GFLOP/s at 256, 92 at 512).
    static constexpr int64_t kBlock = TFLBP_GEMM_KBLOCK * 4 / int64_t(sizeof(T));
};

// The next panel's width. A rest of between one and two tiles is cut so that none is narrower than a vector,
// which costs no vector more.
template <class T>
int64_t panel_width(int64_t rest, int64_t nr) {
    if (rest <= nr) return rest;
    return rest < nr + kLanes<T> ? rest - kLanes<T> : nr;
}

template <class T>
int64_t gemm_scratch(const GemmArgs<T>& g, const CacheSizes& cache) {
    return g.k > 0 ? Blocking<T>(g, cache).scratch() : 0;
}

template <class T>
void fill_with_bias(const GemmArgs<T>& g) {  // k = 0: the sum is empty
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = 0; j < g.n; j++) {
            const T v = (g.add ? g.c[i * g.ldc + j] : T(0)) + (g.bias ? g.bias[j] : T(0));
            g.c[i * g.ldc + j] = g.relu && v < 0 ? T(0) : v;
        }
}

// Heights are balanced: 64 rows are 13 + 13 + 13 + 13 + 12, not 4 * 14 + 8; a short tile has too few
// accumulators.
struct Rows {
    int64_t total, panels, height, higher;
    Rows(int64_t m, int64_t max)
        : total(m), panels(ceil_div(m, max)), height(m / panels), higher(m % panels) {}
    int operator[](int64_t i) const { return int(height + (i < higher)); }
};

constexpr int64_t kNowhere[] = {0};  // one segment, where the operand starts

template <class T>
class Gemm {
  public:
    Gemm(const GemmArgs<T>& args, const CacheSizes& cache, T* scratch)
        : g(args), s(args, cache), a_copy(scratch), b_copy(scratch + s.a_elements()) {
        // Rows of A are read in place unless their stride aliases in the caches. Columns use a few bytes of
        // every line they touch and walk with a large stride: copied when many tiles use them.
        const bool alias = g.a.ld * int64_t(sizeof(T)) % 2048 == 0 && (g.a.trans ? g.k : g.m) > 16;
        copies_a = (g.n > s.nr && alias) || (g.n >= 4 * s.nr && g.a.trans && g.k > 64);
        packs_b = g.b.trans || g.n < kLanes<T>;
        keeps_all = s.panels > 1;
    }

    void run() {
        for (int64_t jc = 0, n; jc < g.n; jc += n) {
            n = g.n - jc < s.nc + kLanes<T> ? g.n - jc : s.nc;  // never a rest narrower than a vector
            for (int64_t kc = 0; kc < g.k; kc += s.kc)
                for (int64_t ic = 0; ic < g.m; ic += s.mc)
                    block(ic, min64(s.mc, g.m - ic), jc, n, kc, min64(s.kc, g.k - kc));
        }
    }

  private:
    void block(int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k0, int64_t k) {
        const Rows rows(m, s.shape.rows);
        if (copies_a) copy_a(rows, i0, k0, k);
        T* panel = b_copy;
        for (int64_t j = 0, width; j < n; j += width) {
            width = panel_width<T>(n - j, s.nr);
            column_of_tiles(rows, i0, j0 + j, width, k0, k, panel);
            if (keeps_all) panel += s.nr * s.kc;
        }
    }

    void copy_a(const Rows& rows, int64_t i0, int64_t k0, int64_t k) {
        if (g.a.trans) {
            // A few k at a time for all panels: the next panel continues in the cache lines of this one.
            for (int64_t q = 0; q < k; q += 16)
                for (int64_t p = 0, i = 0; p < rows.panels; i += rows[p++])
                    copy_columns<kMaxRows>(rows[p], a_copy + i * k + q * rows[p], g.a.at(i0 + i, k0 + q),
                                           g.a.ld, min64(16, k - q));
            return;
        }
        for (int64_t i = 0; i < rows.total; i++) copy_row(a_copy + i * s.lda, g.a.at(i0 + i, k0), k, g.a.ld);
    }

    void column_of_tiles(const Rows& rows, int64_t i0, int64_t j, int64_t width, int64_t k0, int64_t k,
                         T* panel) {
        const bool first = i0 == 0;  // the first visit of this panel
        const int64_t ldpanel = width < kLanes<T> ? kLanes<T> : s.nr;
        if (first && packs_b) {
            if (width < kLanes<T>)
                pack_narrow(panel, g.b.at(k0, j), g.b.trans ? 1 : g.b.ld, g.b.trans ? g.b.ld : 1, k, width);
            else
                pack_transposed(panel, ldpanel, g.b.at(k0, j), g.b.ld, k, width);
        }
        const bool in_place = first && !packs_b;  // the first tile reads B where it is
        const bool once = rows.panels == 1 && !keeps_all;
        Tile<T> t;
        t.k = k;
        t.segments = 1, t.a_at = t.b_at = kNowhere;
        t.keep = panel, t.ldkeep = ldpanel;
        t.ldc = g.ldc;
        t.add = g.add || k0 > 0;
        t.finish = k0 + k == g.k && (g.bias || g.relu);
        t.bias = g.bias ? g.bias + j : nullptr;
        t.low = g.relu ? T(0) : -T(__builtin_inff());
        for (int64_t p = 0, i = 0; p < rows.panels; i += rows[p++]) {
            if (!copies_a)
                t.a = g.a.at(i0 + i, k0), t.lda = g.a.ld;
            else if (g.a.trans)
                t.a = a_copy + i * k, t.lda = rows[p];
            else
                t.a = a_copy + i * s.lda, t.lda = s.lda;
            if (in_place && p == 0)
                t.b = g.b.at(k0, j), t.ldb = g.b.ld;
            else
                t.b = panel, t.ldb = ldpanel;
            t.c = g.c + (i0 + i) * g.ldc + j;
            run_tile(t, rows[p], width, g.a.trans ? kColumns : kRows, in_place && p == 0 && !once);
        }
    }

    const GemmArgs<T>& g;
    const Blocking<T> s;
    T *a_copy, *b_copy;
    bool copies_a, packs_b, keeps_all;
};

template <class T>
void gemm_block(const GemmArgs<T>& g, const CacheSizes& cache, T* scratch) {
    if (g.k == 0)
        fill_with_bias(g);
    else
        Gemm<T>(g, cache, scratch).run();
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
