#include "cpu/conv.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "cpu/linear.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kGradSlot = 3, kImageSlot = 2, kPanelSlot = 1, kPartialSlot = 0;
constexpr int64_t kMostLanes = 16;  // elements behind a copied image: see ConvFunctions::weights
constexpr int64_t kMostParts = 8;   // of a batch, each with weight gradients of its own
constexpr int64_t kPartialBytes = 16 << 20;
constexpr double kOneThreadBelow = 400000;  // multiply-adds

const ConvTable& table(const ConvShape& s) {
    return s.depthwise() ? TFLBP_DISPATCH(depthwise_table) : TFLBP_DISPATCH(conv_table);
}
const ConvFunctions<float>& functions(const ConvShape& s, float) { return table(s).f32; }
const ConvFunctions<double>& functions(const ConvShape& s, double) { return table(s).f64; }

struct Layout {
    ConvPlan plan;
    int64_t padded[kConvAxes], image, in_image,
        out_image;  // elements of an image, with its zeros and without
    bool pads;
    std::vector<int64_t> run_at, line_at, out_line_at, filter_run_at, line_first, line_count;

    explicit Layout(const ConvShape& s) {
        const int64_t c = s.channels;
        image = in_image = c, pads = false;
        for (int a = 0; a < kConvAxes; a++) {
            padded[a] = s.in[a] + s.low[a] + s.high[a];
            image *= padded[a], in_image *= s.in[a];
            pads |= padded[a] != s.in[a];
        }
        const int64_t row = padded[2] * c, plane = padded[1] * row;
        const bool whole = s.dilation[2] == 1 && s.groups == 1;  // a row of the window is one run
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
        const int64_t run = c / s.groups * (whole ? s.window[2] : 1);
        for (size_t i = 0; i < run_at.size(); i++) filter_run_at.push_back(int64_t(i) * run);
        const int64_t runs = int64_t(run_at.size()), per_row = whole ? 1 : s.window[2];
        for (int64_t i = 0; i < s.out[0]; i++)
            for (int64_t j = 0; j < s.out[1]; j++) {
                const auto outside = [&](int64_t r) {
                    const int64_t a = i * s.stride[0] + r / per_row / s.window[1] * s.dilation[0] - s.low[0];
                    const int64_t b = j * s.stride[1] + r / per_row % s.window[1] * s.dilation[1] - s.low[1];
                    return a < 0 || a >= s.in[0] || b < 0 || b >= s.in[1];
                };
                int64_t first = 0, count = 0;
                for (int64_t r = 0; r < runs && pads; r++) count += outside(r);
                if (count > 0) {
                    first = int64_t(run_at.size());
                    for (int64_t r = 0; r < runs; r++)
                        if (!outside(r)) run_at.push_back(run_at[r]), filter_run_at.push_back(r * run);
                }
                line_first.push_back(first), line_count.push_back(runs - count);
            }
        out_image = int64_t(line_at.size()) * s.out[2] * s.filters;
        plan = {s.depthwise() ? s.filters : s.filters / s.groups,
                s.filters,
                run,
                runs,
                run_at.data(),
                s.out[2],
                s.stride[2] * c,
                int64_t(line_at.size()),
                line_at.data(),
                out_line_at.data(),
                filter_run_at.data(),
                line_first.data(),
                line_count.data()};
    }
};

void mask(const MaskArgs<float>& a) { TFLBP_DISPATCH(linear_table).mask_f32(a); }
void mask(const MaskArgs<double>& a) { TFLBP_DISPATCH(linear_table).mask_f64(a); }

// An image x, times (out > 0) where `out` is given, with its zeros, and its positions added to `sums`, which
// may be null: in place where there is nothing to be written, else a copy in this thread's scratch. Null when
// out of memory.
template <class T>
const T* prepared(const ConvShape& s, const Layout& l, const T* x, const T* out, double* sums, bool copies,
                  int slot) {
    const int64_t c = s.channels, row = l.padded[2] * c, n = s.in[2] * c;
    if (!l.pads && !out && !copies) {
        if (sums) mask(MaskArgs<T>{l.in_image / c, c, x, nullptr, nullptr, 0, sums});
        return x;
    }
    T* to = static_cast<T*>(scratch(slot, size_t(l.image + kMostLanes) * sizeof(T)));
    if (!to) return nullptr;
    for (int64_t i = 0; i < l.padded[0]; i++)
        for (int64_t j = 0; j < l.padded[1]; j++) {
            T* line = to + (i * l.padded[1] + j) * row;
            const int64_t a = i - s.low[0], b = j - s.low[1], low = s.low[2] * c;
            if (a < 0 || a >= s.in[0] || b < 0 || b >= s.in[1]) {
                std::memset(line, 0, size_t(row) * sizeof(T));
                continue;
            }
            const int64_t at = (a * s.in[1] + b) * n;
            std::memset(line, 0, size_t(low) * sizeof(T));
            if (!out) std::memcpy(line + low, x + at, size_t(n) * sizeof(T));
            if (out || sums)
                mask(MaskArgs<T>{s.in[2], c, x + at, out ? out + at : nullptr, out ? line + low : nullptr, c,
                                 sums});
            std::memset(line + low + n, 0, size_t(s.high[2] * c) * sizeof(T));
        }
    std::memset(to + l.image, 0, size_t(kMostLanes) * sizeof(T));
    return to;
}

double work(const ConvShape& s, const Layout& l) {
    return double(s.batch) * double(l.out_image) * double(l.plan.run * l.plan.runs);
}

template <class F>
void jobs(bool small, int64_t count, const F& job) {
    if (small)
        for (int64_t i = 0; i < count; i++) job(i);
    else
        parallel_for(count, job);
}

// The convolution that gives the gradient of x: of the cotangent with the kernel turned.
ConvShape mirrored(const ConvShape& s) {
    ConvShape m = s;
    std::swap(m.channels, m.filters);
    for (int a = 0; a < kConvAxes; a++) {
        const int64_t reach = (s.window[a] - 1) * s.dilation[a];
        std::swap(m.in[a], m.out[a]);
        m.low[a] = reach - s.low[a], m.high[a] = reach - s.high[a];
    }
    return m;
}

// w (*window, channels / groups, filters) as (*window backwards, filters / groups, channels), in squares that
// fit L1
template <class T>
void turn(const ConvShape& s, const T* w, T* to) {
    const int64_t places = s.window[0] * s.window[1] * s.window[2];
    const int64_t c = s.channels / s.groups, f = s.filters / s.groups;
    for (int64_t p = 0; p < places; p++) {
        const T* of = w + (places - 1 - p) * c * s.filters;
        T* at = to + p * f * s.channels;
        for (int64_t q = 0; q < s.groups; q++, of += f, at += c)
            for (int64_t j = 0; j < f; j += 16)
                for (int64_t i = 0; i < c; i++)
                    for (int64_t k = j; k < std::min(f, j + 16); k++)
                        at[k * s.channels + i] = of[i * s.filters + k];
    }
}

int64_t products(const ConvShape& s) { return s.depthwise() ? 1 : s.groups; }  // all channels in one

// body(group, its first channel, its first filter)
template <class F>
void each_group(const ConvShape& s, const F& body) {
    const int64_t groups = products(s);
    for (int64_t q = 0; q < groups; q++) body(q, q * s.channels / groups, q * s.filters / groups);
}

// The panels of all groups, in this thread's scratch; null when out of memory.
template <class T>
T* packed(const ConvShape& s, const Layout& l, const ConvFunctions<T>& f, const T* w) {
    const int64_t size = f.panels(l.plan);
    T* panels = static_cast<T*>(scratch(kPanelSlot, size_t(products(s) * size) * sizeof(T) + 64));
    if (!panels) return nullptr;
    each_group(s, [&](int64_t q, int64_t, int64_t j) { f.pack(l.plan, w + j, panels + q * size); });
    return panels;
}

}  // namespace

bool has_input_grad(const ConvShape& s) {
    const ConvShape m = mirrored(s);
    for (int a = 0; a < kConvAxes; a++)
        if (s.stride[a] != 1 || m.low[a] < 0 || m.high[a] < 0) return false;
    return true;
}

template <class T>
bool conv_forward(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* out) {
    const Layout l(s);
    const ConvFunctions<T>& f = functions(s, T());
    T* panels = packed(s, l, f, w);
    if (!panels) return false;
    const CacheSizes& cache = cache_sizes();
    // Few images are cut into lines as well; where, changes no bit.
    const int64_t cuts = std::min(l.plan.lines, std::max<int64_t>(1, 2 * num_threads() / s.batch));
    std::atomic<bool> ok{true};
    jobs(work(s, l) < kOneThreadBelow, s.batch * cuts, [&](int64_t i) {
        const int64_t n = i / cuts, part = i % cuts;
        const T* image = prepared<T>(s, l, x + n * l.in_image, nullptr, nullptr, false, kImageSlot);
        if (!image) return ok.store(false);
        each_group(s, [&](int64_t q, int64_t c, int64_t j) {
            f.forward(l.plan, cache, image + c, panels + q * f.panels(l.plan), bias ? bias + j : nullptr,
                      relu, out + n * l.out_image + j, l.plan.lines * part / cuts,
                      l.plan.lines * (part + 1) / cuts);
        });
    });
    return ok.load();
}

template <class T>
bool conv_backward(const ConvBackward<T>& a) {
    const ConvShape &s = a.shape, m = mirrored(s);
    const Layout l(s), back(m);
    const ConvFunctions<T>& f = functions(s, T());
    const int64_t size = a.dw ? l.plan.runs * l.plan.run * s.filters : 0;
    // The batch is cut by its size and the gradient's alone; each part has sums of its own, added in order.
    const int64_t fit = kPartialBytes / std::max<int64_t>(1, size * int64_t(sizeof(T)));
    const int64_t parts = std::max<int64_t>(1, std::min({s.batch, kMostParts, fit}));
    double* sums = static_cast<double*>(
        scratch(kPartialSlot, size_t(parts * s.filters) * sizeof(double) + size_t(parts * size) * sizeof(T)));
    if (!sums) return false;
    std::fill(sums, sums + parts * s.filters, 0.0);
    T* partial = parts > 1 ? reinterpret_cast<T*>(sums + parts * s.filters) : a.dw;
    T* panels = nullptr;
    if (a.dx) {
        T* turned = static_cast<T*>(
            scratch(kImageSlot, size_t(l.plan.runs * l.plan.run * s.filters) * sizeof(T) + 64));
        if (!turned) return false;
        turn(s, a.w, turned);
        panels = packed(m, back, f, turned);
        if (!panels) return false;
    }
    // h has the zeros that dx needs around it: there dw finds its lines.
    ConvShape of_h = m;
    if (!a.dx)
        for (int i = 0; i < kConvAxes; i++) of_h.low[i] = of_h.high[i] = 0;
    const Layout h_layout(of_h);
    ConvPlan weights = l.plan;
    std::vector<int64_t> h_line_at;
    for (int64_t i = 0; i < s.out[0]; i++)
        for (int64_t j = 0; j < s.out[1]; j++)
            h_line_at.push_back(((i + of_h.low[0]) * h_layout.padded[1] + j + of_h.low[1]) *
                                    h_layout.padded[2] +
                                of_h.low[2]);
    weights.out_line_at = h_line_at.data();

    const CacheSizes& cache = cache_sizes();
    const int64_t threads = num_threads();
    const int64_t cuts =
        threads == 1 ? 1 : std::min(std::max(l.plan.runs, back.plan.lines), (2 * threads - 1) / parts + 1);
    std::atomic<bool> ok{true};
    jobs(work(s, l) < kOneThreadBelow, parts * cuts, [&](int64_t i) {
        const int64_t part = i / cuts, cut = i % cuts, first = s.batch * part / parts,
                      end = s.batch * (part + 1) / parts;
        for (int64_t n = first; n < end; n++) {
            const T *g = a.g + n * l.out_image, *out = a.out ? a.out + n * l.out_image : nullptr;
            const T* h =
                prepared(of_h, h_layout, g, out, a.db && cut == 0 ? sums + part * s.filters : nullptr,
                         a.dw && l.plan.filters < kMostLanes, kGradSlot);
            if (!h) return ok.store(false);
            if (a.dw) {
                const T* x = a.x + n * l.in_image;
                const T* image = prepared<T>(s, l, x, nullptr, nullptr, false, kImageSlot);
                if (!image) return ok.store(false);
                each_group(s, [&](int64_t, int64_t c, int64_t j) {
                    f.weights(weights, image + c, h + j, partial + part * size + j, n > first,
                              l.plan.runs * cut / cuts, l.plan.runs * (cut + 1) / cuts);
                });
            }
            if (a.dx)
                each_group(m, [&](int64_t q, int64_t j, int64_t c) {
                    f.forward(back.plan, cache, h + j, panels + q * f.panels(back.plan), nullptr, false,
                              a.dx + n * l.in_image + c, back.plan.lines * cut / cuts,
                              back.plan.lines * (cut + 1) / cuts);
                });
        }
    });
    if (a.dw && parts > 1)
        parallel_chunks(size, int64_t(16384), [&](int64_t begin, int64_t end) {
            std::memcpy(a.dw + begin, partial + begin, size_t(end - begin) * sizeof(T));
            for (int64_t k = 1; k < parts; k++)
                for (int64_t i = begin; i < end; i++) a.dw[i] += partial[k * size + i];
        });
    if (a.db)
        for (int64_t j = 0; j < s.filters; j++) {
            double total = 0;
            for (int64_t k = 0; k < parts; k++) total += sums[k * s.filters + j];
            a.db[j] = T(total);
        }
    return ok.load();
}

template bool conv_forward<float>(const ConvShape&, const float*, const float*, const float*, bool, float*);
template bool conv_forward<double>(const ConvShape&, const double*, const double*, const double*, bool,
                                   double*);
template bool conv_backward<float>(const ConvBackward<float>&);
template bool conv_backward<double>(const ConvBackward<double>&);

}  // namespace tflbp
