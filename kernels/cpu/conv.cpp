#include "cpu/conv.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kImageSlot = 2, kPanelSlot = 1, kPartialSlot = 0;
constexpr int64_t kMostParts = 8;  // of a batch, each with weight gradients of its own
constexpr int64_t kPartialBytes = 16 << 20;
constexpr double kOneThreadBelow = 400000;  // multiply-adds

const ConvFunctions<float>& functions(float) { return TFLBP_DISPATCH(conv_table).f32; }
const ConvFunctions<double>& functions(double) { return TFLBP_DISPATCH(conv_table).f64; }

struct Layout {
    ConvPlan plan;
    int64_t padded[kConvAxes], image, in_image,
        out_image;  // elements of an image, with its zeros and without
    bool pads;
    std::vector<int64_t> run_at, line_at, out_line_at, filter_run_at;

    explicit Layout(const ConvShape& s) {
        const int64_t c = s.channels;
        image = in_image = c, pads = false;
        for (int a = 0; a < kConvAxes; a++) {
            padded[a] = s.in[a] + s.low[a] + s.high[a];
            image *= padded[a], in_image *= s.in[a];
            pads |= padded[a] != s.in[a];
        }
        const int64_t row = padded[2] * c, plane = padded[1] * row;
        const bool whole = s.dilation[2] == 1;  // a row of the window is one run
        for (int64_t i = 0; i < s.window[0]; i++)
            for (int64_t j = 0; j < s.window[1]; j++)
                for (int64_t k = 0; k < (whole ? 1 : s.window[2]); k++)
                    run_at.push_back(i * s.dilation[0] * plane + j * s.dilation[1] * row +
                                     k * s.dilation[2] * c);
        for (int64_t i = 0; i < s.out[0]; i++)
            for (int64_t j = 0; j < s.out[1]; j++) {
                out_line_at.push_back(int64_t(line_at.size()) * s.out[2]);
                line_at.push_back(i * s.stride[0] * plane + j * s.stride[1] * row);
            }
        const int64_t run = c * (whole ? s.window[2] : 1);
        for (size_t i = 0; i < run_at.size(); i++) filter_run_at.push_back(int64_t(i) * run);
        out_image = int64_t(line_at.size()) * s.out[2] * s.filters;
        plan = {s.filters,
                run,
                int64_t(run_at.size()),
                run_at.data(),
                s.out[2],
                s.stride[2] * c,
                int64_t(line_at.size()),
                line_at.data(),
                out_line_at.data(),
                filter_run_at.data()};
    }
};

// An image with its zeros: in place where there are none, else a copy in this thread's scratch; null: no
// memory.
template <class T>
const T* padded(const ConvShape& s, const Layout& l, const T* x) {
    if (!l.pads) return x;
    T* to = static_cast<T*>(scratch(kImageSlot, size_t(l.image) * sizeof(T)));
    if (!to) return nullptr;
    const int64_t c = s.channels, row = l.padded[2] * c;
    for (int64_t i = 0; i < l.padded[0]; i++)
        for (int64_t j = 0; j < l.padded[1]; j++) {
            T* line = to + (i * l.padded[1] + j) * row;
            const int64_t a = i - s.low[0], b = j - s.low[1];
            if (a < 0 || a >= s.in[0] || b < 0 || b >= s.in[1]) {
                std::memset(line, 0, size_t(row) * sizeof(T));
                continue;
            }
            const int64_t low = s.low[2] * c, n = s.in[2] * c;
            std::memset(line, 0, size_t(low) * sizeof(T));
            std::memcpy(line + low, x + (a * s.in[1] + b) * n, size_t(n) * sizeof(T));
            std::memset(line + low + n, 0, size_t(s.high[2] * c) * sizeof(T));
        }
    return to;
}

double work(const ConvShape& s, const Layout& l) {
    return double(s.batch) * double(l.out_image) * double(l.plan.run * l.plan.runs);
}

}  // namespace

template <class T>
bool conv_forward(const ConvShape& s, const T* x, const T* w, T* out) {
    const Layout l(s);
    const ConvFunctions<T>& f = functions(T());
    T* panels = static_cast<T*>(scratch(kPanelSlot, size_t(f.panels(l.plan)) * sizeof(T) + 64));
    if (!panels) return false;
    f.pack(l.plan, w, panels);
    const CacheSizes& cache = cache_sizes();
    // Few images are cut into lines as well; where, changes no bit.
    const int64_t cuts =
        std::min(l.plan.lines, std::max<int64_t>(1, 2 * num_threads() / std::max<int64_t>(s.batch, 1)));
    std::atomic<bool> ok{true};
    const auto job = [&](int64_t i) {
        const int64_t n = i / cuts, part = i % cuts;
        const T* image = padded(s, l, x + n * l.in_image);
        if (!image) return ok.store(false);
        f.forward(l.plan, cache, image, panels, out + n * l.out_image, l.plan.lines * part / cuts,
                  l.plan.lines * (part + 1) / cuts);
    };
    const int64_t jobs = s.batch * cuts;
    if (work(s, l) < kOneThreadBelow)
        for (int64_t i = 0; i < jobs; i++) job(i);
    else
        parallel_for(jobs, job);
    return ok.load();
}

template <class T>
bool conv_weight_grad(const ConvShape& s, const T* x, const T* g, T* dw) {
    const Layout l(s);
    const ConvFunctions<T>& f = functions(T());
    const int64_t size = l.plan.runs * l.plan.run * s.filters;
    // The batch is cut by its size and the gradient's alone; each part has sums of its own, added in order.
    const int64_t fit = kPartialBytes / std::max<int64_t>(1, size * int64_t(sizeof(T)));
    const int64_t parts = std::max<int64_t>(1, std::min({s.batch, kMostParts, fit}));
    T* partial = dw;
    if (parts > 1) partial = static_cast<T*>(scratch(kPartialSlot, size_t(parts * size) * sizeof(T)));
    if (!partial) return false;
    const int64_t cuts = parts > 1 ? 1 : std::min<int64_t>(l.plan.runs, 2 * num_threads());
    std::atomic<bool> ok{true};
    const auto job = [&](int64_t i) {
        const int64_t part = i / cuts, cut = i % cuts, first = s.batch * part / parts;
        for (int64_t n = first; n < s.batch * (part + 1) / parts; n++) {
            const T* image = padded(s, l, x + n * l.in_image);
            if (!image) return ok.store(false);
            f.weights(l.plan, image, g + n * l.out_image, partial + part * size, n > first,
                      l.plan.runs * cut / cuts, l.plan.runs * (cut + 1) / cuts);
        }
    };
    if (work(s, l) < kOneThreadBelow)
        for (int64_t i = 0; i < parts * cuts; i++) job(i);
    else
        parallel_for(parts * cuts, job);
    if (parts > 1)
        parallel_chunks(size, int64_t(16384), [&](int64_t begin, int64_t end) {
            std::memcpy(dw + begin, partial + begin, size_t(end - begin) * sizeof(T));
            for (int64_t k = 1; k < parts; k++)
                for (int64_t i = begin; i < end; i++) dw[i] += partial[k * size + i];
        });
    return ok.load();
}

template bool conv_forward<float>(const ConvShape&, const float*, const float*, float*);
template bool conv_forward<double>(const ConvShape&, const double*, const double*, double*);
template bool conv_weight_grad<float>(const ConvShape&, const float*, const float*, float*);
template bool conv_weight_grad<double>(const ConvShape&, const double*, const double*, double*);

}  // namespace tflbp
