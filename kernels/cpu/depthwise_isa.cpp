// Convolution with one filter per channel, for one thread: see conv.h. A run of the plan is one element of
// the window.
//
// Limit: memory, x read and out written once; from the caches one load per multiply-add. Forward: up to
// eight positions of a line stay in registers over the window, a weight is loaded once for all of them.
// Weights: nine elements of the window stay in registers over some lines, so that x and g are read once.
#include <limits>

#include "cpu/conv.h"
#include "lanes.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int kPlaces = 9;
constexpr int64_t kPositions = 64;  // summed before they are added to the rest: float32 sums stay short

template <class T>
int64_t panels(const ConvPlan& p) {
    return p.runs * p.filters;
}

template <class T>
void pack(const ConvPlan& p, const T* w, T* to) {
    memcpy(to, w, size_t(p.runs * p.filters) * sizeof(T));
}

// W positions from x on
template <class L, int W, class T>
inline void positions(const ConvPlan& p, int64_t line, const T* x, const T* w, const T* bias, T low, T* out) {
    typename L::V sum[W];
    TFLBP_UNROLL for (int i = 0; i < W; i++) sum[i] = L::all(T(0));
    const int64_t first = p.line_first[line], last = first + p.line_count[line];
    for (int64_t r = first; r < last; r++) {
        const T* at = x + p.run_at[r];
        const auto weight = L::load(w + p.filter_run_at[r] * p.filters);
        TFLBP_UNROLL for (int i = 0; i < W; i++) sum[i] += L::load(at + i * p.step) * weight;
    }
    const auto least = L::all(low), offset = bias ? L::load(bias) : L::all(T(0));
    TFLBP_UNROLL for (int i = 0; i < W; i++) {
        const auto v = sum[i] + offset;
        L::store(out + i * p.filters, least > v ? least : v);  // NaN stays
    }
}

template <class T>
void forward(const ConvPlan& p, const CacheSizes&, const T* image, const T* w, const T* bias, bool relu,
             T* out, int64_t begin, int64_t end) {
    const T low = relu ? T(0) : -std::numeric_limits<T>::infinity();
    for (int64_t line = begin; line < end; line++) {
        const T* x = image + p.line_at[line];
        T* to = out + p.out_line_at[line] * p.filters;
        for (int64_t i = 0, n; i < p.line; i += n) {
            const int64_t rest = p.line - i;
            n = rest % 8 && rest % 7 == 0 ? 7
                : rest >= 8               ? 8
                : rest >= 4               ? 4
                                          : 1;  // lines of 7, 14, 28 are common
            each_block<T>(p.filters, [&](int64_t c, auto lanes) {
                typedef decltype(lanes) L;
                const T *from = x + i * p.step + c, *b = bias ? bias + c : nullptr;
                T* o = to + i * p.filters + c;
                if (n == 8)
                    positions<L, 8>(p, line, from, w + c, b, low, o);
                else if (n == 7)
                    positions<L, 7>(p, line, from, w + c, b, low, o);
                else if (n == 4)
                    positions<L, 4>(p, line, from, w + c, b, low, o);
                else
                    positions<L, 1>(p, line, from, w + c, b, low, o);
            });
        }
    }
}

// P elements of the window from r on, over lines [begin, end)
template <class L, int P, class T>
inline void places(const ConvPlan& p, const T* image, const T* g, T* dw, bool add, int64_t r, int64_t begin,
                   int64_t end) {
    typename L::V sum[P];
    TFLBP_UNROLL for (int q = 0; q < P; q++) sum[q] = L::all(T(0));
    for (int64_t line = begin; line < end; line++) {
        const T *x = image + p.line_at[line], *of = g + p.out_line_at[line] * p.filters, *at[P];
        TFLBP_UNROLL for (int q = 0; q < P; q++) at[q] = x + p.run_at[r + q];
        for (int64_t o = 0; o < p.line; o++) {
            const auto slope = L::load(of + o * p.filters);
            TFLBP_UNROLL for (int q = 0; q < P; q++) sum[q] += L::load(at[q] + o * p.step) * slope;
        }
    }
    TFLBP_UNROLL for (int q = 0; q < P; q++) {
        T* to = dw + (r + q) * p.filters;
        L::store(to, add ? L::load(to) + sum[q] : sum[q]);
    }
}

template <class T>
void weights(const ConvPlan& p, const T* image, const T* g, T* dw, bool add, int64_t begin, int64_t end) {
    const int64_t together = (kPositions - 1) / p.line + 1;  // lines
    for (int64_t line = 0; line < p.lines; line += together) {
        const int64_t last = line + together < p.lines ? line + together : p.lines;
        const bool more = add || line > 0;
        each_block<T>(p.filters, [&](int64_t c, auto lanes) {
            typedef decltype(lanes) L;
            int64_t r = begin;
            for (; r + kPlaces <= end; r += kPlaces)
                places<L, kPlaces>(p, image + c, g + c, dw + c, more, r, line, last);
            for (; r + 3 <= end; r += 3) places<L, 3>(p, image + c, g + c, dw + c, more, r, line, last);
            for (; r < end; r++) places<L, 1>(p, image + c, g + c, dw + c, more, r, line, last);
        });
    }
}

template <class T>
constexpr ConvFunctions<T> kDepthwise = {panels<T>, pack<T>, forward<T>, weights<T>};

}  // namespace

extern const ConvTable depthwise_table = {kDepthwise<float>, kDepthwise<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
