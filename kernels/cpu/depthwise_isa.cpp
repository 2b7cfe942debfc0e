// Depthwise convolution, forward and weight gradient.
//
// Limit: two loads per multiply-add, from the first-level cache. kBlock channels are summed in registers over
// the window (forward) or over a line of positions (weights). Deterministic: an example belongs to one job;
// the weight gradients of the examples are added in their order, in float64.
#include "tflbp/depthwise.h"
#include "tflbp/parallel.h"
#include "vector_math.h"
#if defined(__GNUC__)
#include "gemm_micro.h"
#endif

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// Sums of products of N neighbouring channels.
template <class T>
struct One {
    static constexpr int64_t channels = 1;
    T sum = 0;
    void add(const T* x, const T* y) { sum += *x * *y; }
    T at(int64_t) const { return sum; }
};
#if defined(__GNUC__)
template <class T, int N>
struct Several {
    static constexpr int64_t channels = N * kLanes<T>;
    vec<T> sum[N] = {};
    void add(const T* x, const T* y) {
        TFLBP_UNROLL for (int i = 0; i < N; ++i) sum[i] += load(x + i * kLanes<T>) * load(y + i * kLanes<T>);
    }
    T at(int64_t l) const { return sum[l / kLanes<T>][l % kLanes<T>]; }
};
#else
template <class T, int N>
using Several = One<T>;
#endif

// body(first channel, empty sums): all channels, the widest sums first.
template <class T, class F>
inline void each_block(int64_t channels, const F& body) {
    int64_t c = 0;
    for (; c + Several<T, 2>::channels <= channels; c += Several<T, 2>::channels) body(c, Several<T, 2>());
    for (; c + Several<T, 1>::channels <= channels; c += Several<T, 1>::channels) body(c, Several<T, 1>());
    for (; c < channels; ++c) body(c, One<T>());
}

inline int64_t size_of(const int64_t* n) { return n[0] * n[1] * n[2]; }

// Where element (i, j) of the window starts in the image, for a line of the output.
inline int64_t line_at(const DepthwiseShape& s, int64_t a, int64_t b, int64_t i, int64_t j) {
    const int64_t row = a * s.stride[0] + i * s.dilation[0], column = b * s.stride[1] + j * s.dilation[1];
    return (row * s.in[1] + column) * s.in[2] * s.channels;
}

template <class F>
inline void each_example(const DepthwiseShape& s, const F& body) {
    if (s.batch * size_of(s.out) * s.channels * s.places() <= 4 * kSerialBelow)
        for (int64_t b = 0; b < s.batch; ++b) body(b);
    else
        parallel_for(s.batch, body);
}

template <class T>
void forward(const DepthwiseShape& s, const T* x, const T* w, T* out) {
    each_example(s, [&](int64_t b) {
        const T* image = x + b * size_of(s.in) * s.channels;
        T* to = out + b * size_of(s.out) * s.channels;
        const int64_t step = s.stride[2] * s.channels, across = s.dilation[2] * s.channels;
        for (int64_t p = 0; p < s.out[0]; ++p)
            for (int64_t q = 0; q < s.out[1]; ++q)
                for (int64_t o = 0; o < s.out[2]; ++o, to += s.channels)
                    each_block<T>(s.channels, [&](int64_t c, auto sums) {
                        const T* of = w + c;
                        for (int64_t i = 0; i < s.window[0]; ++i)
                            for (int64_t j = 0; j < s.window[1]; ++j) {
                                const T* v = image + line_at(s, p, q, i, j) + o * step + c;
                                for (int64_t k = 0; k < s.window[2]; ++k, v += across, of += s.channels)
                                    sums.add(v, of);
                            }
                        for (int64_t l = 0; l < sums.channels; ++l) to[c + l] = sums.at(l);
                    });
    });
}

template <class T>
void weights(const DepthwiseShape& s, const T* x, const T* g, T* dw, double* work) {
    const int64_t size = s.places() * s.channels;
    each_example(s, [&](int64_t b) {
        const T *image = x + b * size_of(s.in) * s.channels, *of = g + b * size_of(s.out) * s.channels;
        double* total = work + b * size;
        for (int64_t i = 0; i < size; ++i) total[i] = 0;
        const int64_t step = s.stride[2] * s.channels;
        for (int64_t p = 0; p < s.out[0]; ++p)
            for (int64_t q = 0; q < s.out[1]; ++q, of += s.out[2] * s.channels)
                for (int64_t i = 0, place = 0; i < s.window[0]; ++i)
                    for (int64_t j = 0; j < s.window[1]; ++j)
                        for (int64_t k = 0; k < s.window[2]; ++k, ++place) {
                            const T* line = image + line_at(s, p, q, i, j) + k * s.dilation[2] * s.channels;
                            each_block<T>(s.channels, [&](int64_t c, auto sums) {
                                const T *v = line + c, *u = of + c;
                                for (int64_t o = 0; o < s.out[2]; ++o, v += step, u += s.channels)
                                    sums.add(v, u);
                                for (int64_t l = 0; l < sums.channels; ++l)
                                    total[place * s.channels + c + l] += (double)sums.at(l);
                            });
                        }
    });
    for (int64_t i = 0; i < size; ++i) {
        double total = 0;
        for (int64_t b = 0; b < s.batch; ++b) total += work[b * size + i];
        dw[i] = (T)total;
    }
}

}  // namespace

extern const DepthwiseTable<float> depthwise_f32 = {forward<float>, weights<float>};
extern const DepthwiseTable<double> depthwise_f64 = {forward<double>, weights<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
