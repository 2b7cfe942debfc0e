// One piece of an optimiser step, and of a sum of squares. The caller spreads the pieces of all arrays over
// the threads.
//
// Limit: memory. Adam reads four arrays and writes three: 28 bytes per float32 parameter.
// Deterministic: elementwise; the partial sums of squares are added in the order of the pieces.

#include "tflbp/kernels.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// Keras: v = momentum v - lr g; p += v, or with Nesterov p += momentum v - lr g.
template <class T>
void sgd(const SgdRule& rule, T* __restrict p, const T* __restrict g, T* __restrict v, int64_t n) {
    const T step = (T)(rule.lr * rule.scale), momentum = (T)rule.momentum,
            keep = (T)(1 - rule.weight_decay * rule.lr);
    if (!v) {
        for (int64_t i = 0; i < n; ++i) p[i] = p[i] * keep - g[i] * step;
    } else if (rule.nesterov) {
        for (int64_t i = 0; i < n; ++i) {
            const T d = g[i] * step, next = momentum * v[i] - d;
            v[i] = next;
            p[i] = p[i] * keep + (momentum * next - d);
        }
    } else {
        for (int64_t i = 0; i < n; ++i) {
            const T next = momentum * v[i] - g[i] * step;
            v[i] = next;
            p[i] = p[i] * keep + next;
        }
    }
}

// Kingma and Ba 2015 in Keras' form; decoupled weight decay (Loshchilov and Hutter 2019); AMSGrad (Reddi et
// al. 2018).
template <class T>
void adam(const AdamRule& rule, T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
          T* __restrict vhat, int64_t n) {
    const T scale = (T)rule.scale, rest1 = (T)(1 - rule.beta1), rest2 = (T)(1 - rule.beta2),
            alpha = (T)rule.alpha, eps = (T)rule.eps, keep = (T)(1 - rule.weight_decay * rule.lr);
    if (vhat) {
        for (int64_t i = 0; i < n; ++i) {
            const T d = g[i] * scale, mi = m[i] + (d - m[i]) * rest1, vi = v[i] + (d * d - v[i]) * rest2;
            const T top = larger(vhat[i], vi);
            m[i] = mi, v[i] = vi, vhat[i] = top;
            p[i] = p[i] * keep - mi * alpha / (root(top) + eps);
        }
    } else {
        for (int64_t i = 0; i < n; ++i) {
            const T d = g[i] * scale, mi = m[i] + (d - m[i]) * rest1, vi = v[i] + (d * d - v[i]) * rest2;
            m[i] = mi, v[i] = vi;
            p[i] = p[i] * keep - mi * alpha / (root(vi) + eps);
        }
    }
}

template <class T>
double sum_of_squares(const T* x, int64_t n) {
    return group_sum<double>(n, [=](int64_t i) { return (double)x[i] * (double)x[i]; });
}

}  // namespace

extern const OptimizerTable<float> optimizer_f32 = {sgd<float>, adam<float>, sum_of_squares<float>};
extern const OptimizerTable<double> optimizer_f64 = {sgd<double>, adam<double>, sum_of_squares<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
