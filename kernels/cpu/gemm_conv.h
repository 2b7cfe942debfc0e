// Convolution for one thread: see conv.h.
//
// Forward: a tile is neighbouring positions of one line by some filters. The rows of A are windows, `step`
// elements apart in the image (Georganas et al. 2018 call such a kernel batch-reduce); B is a packed panel of
// the filters. Weights: a tile is some elements of a run by some filters; k runs along the lines of the
// image, where x gives columns of A, and g is B as it stands.
//
// Limit: the FMAs. A position's window is read from the first-level cache, a panel from the second, where it
// stays for all lines.
#pragma once

#include "cpu/conv.h"
#include "cpu/gemm_block.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
struct Panels {
    Shape shape;
    int64_t nr, count, rows;
    Panels(const ConvPlan& p, int64_t m) {
        shape = tile_shape<T>(m, p.filters);
        nr = shape.vectors * kLanes<T>;
        rows = p.run * p.runs;
        count = 0;
        for (int64_t j = 0; j < p.filters; j += panel_width<T>(p.filters - j, nr)) count++;
    }
    int64_t size() const { return nr * rows; }  // elements of one
};

template <class T>
int64_t conv_panels(const ConvPlan& p) {
    const Panels<T> s(p, p.line);
    return s.count * s.size();
}

template <class T>
void conv_pack(const ConvPlan& p, const T* w, T* panels) {
    const Panels<T> s(p, p.line);
    for (int64_t j = 0, width; j < p.filters; j += width, panels += s.size()) {
        width = panel_width<T>(p.filters - j, s.nr);
        if (width < kLanes<T>) {
            pack_narrow(panels, w + j, p.all, 1, s.rows, width);
            continue;
        }
        for (int64_t k = 0; k < s.rows; k++)
            __builtin_memcpy(panels + k * s.nr, w + k * p.all + j, size_t(width) * sizeof(T));
    }
}

template <class T>
void conv_forward_lines(const ConvPlan& p, const CacheSizes& cache, const T* image, const T* panels,
                        const T* bias, bool relu, T* out, int64_t begin, int64_t end) {
    const Panels<T> s(p, p.line);
    const Rows rows(p.line, s.shape.rows);
    // As many panels at a time as stay in half of L2; of a deep window, as many runs as one panel's share.
    const int64_t share = cache.l2 / 2 / int64_t(sizeof(T));
    const int64_t together = max64(1, share / s.size());
    const int64_t runs = together > 1 ? p.runs : min64(p.runs, max64(1, share / (s.nr * p.run)));
    for (int64_t q = 0; q < p.runs; q += runs)
        for (int64_t first = 0, at = 0, next = 0; first < s.count; first += together, at = next)
            for (int64_t line = begin; line < end; line++) {
                const int64_t *a_at = p.run_at + p.line_first[line], *end_at = a_at + p.line_count[line];
                const int64_t* b_at = p.filter_run_at + p.line_first[line];
                while (a_at < end_at && *b_at < q * p.run) a_at++, b_at++;
                int64_t segments = 0;
                while (a_at + segments < end_at && b_at[segments] < (q + runs) * p.run) segments++;
                int64_t j = at;
                for (int64_t panel = first; panel < min64(first + together, s.count); panel++) {
                    const int64_t width = panel_width<T>(p.filters - j, s.nr);
                    Tile<T> t;
                    t.ldb = width < kLanes<T> ? kLanes<T> : s.nr;
                    t.lda = p.step, t.k = p.run, t.b = panels + panel * s.size();
                    t.segments = segments, t.a_at = a_at, t.b_at = b_at;
                    t.keep = nullptr, t.ldkeep = 0, t.ldc = p.all;
                    t.add = q > 0, t.finish = q + runs >= p.runs && (bias || relu);
                    t.bias = bias ? bias + j : nullptr, t.low = relu ? T(0) : -T(__builtin_inff());
                    for (int64_t i = 0, x = 0; i < rows.panels; x += rows[i++]) {
                        t.a = image + p.line_at[line] + x * p.step;
                        t.c = out + (p.out_line_at[line] + x) * p.all + j;
                        run_tile(t, rows[i], width, kRows, false);
                    }
                    j += width;
                }
                next = j;
            }
}

template <class T>
void conv_weight_runs(const ConvPlan& p, const T* image, const T* g, T* dw, bool add, int64_t begin,
                      int64_t end) {
    const Shape shape = tile_shape<T>(p.run, p.filters);
    const Rows rows(p.run, shape.rows);
    const int64_t nr = shape.vectors * kLanes<T>;
    Tile<T> t;
    t.lda = p.step, t.ldb = p.all, t.k = p.line, t.segments = p.lines;
    t.a_at = p.line_at, t.b_at = p.out_line_at;
    t.keep = nullptr, t.ldkeep = 0, t.ldc = p.all;
    t.add = add, t.finish = false, t.bias = nullptr, t.low = 0;
    for (int64_t j = 0, width; j < p.filters; j += width) {
        width = panel_width<T>(p.filters - j, nr);
        t.b = g + j;
        for (int64_t r = begin; r < end; r++)
            for (int64_t i = 0, x = 0; i < rows.panels; x += rows[i++]) {
                t.a = image + p.run_at[r] + x;
                t.c = dw + (r * p.run + x) * p.all + j;
                run_tile(t, rows[i], width, kColumns, false);
            }
    }
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
