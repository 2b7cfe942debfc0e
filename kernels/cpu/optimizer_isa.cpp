// One piece of an optimiser step, and of a sum of squares. The caller spreads the pieces of all arrays over
// the threads.
//
// Limit: memory. Adam reads four arrays and writes three: 28 bytes per float32 parameter.
// Deterministic: elementwise; the partial sums of squares are added in the order of the pieces.

#include "tflbp/optimizers.h"
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

// Hinton 2012 in Keras' form: square = rho square + (1 - rho) g^2; g / sqrt(square - mean^2 + eps).
template <class T, bool centred, bool moving>
void rmsprop_form(const RmspropRule& rule, T* __restrict p, const T* __restrict g, T* __restrict square,
                  T* __restrict mean, T* __restrict v, int64_t n) {
    const T scale = (T)rule.scale, rho = (T)rule.rho, rest = (T)(1 - rule.rho), lr = (T)rule.lr,
            eps = (T)rule.eps, momentum = (T)rule.momentum, keep = (T)(1 - rule.weight_decay * rule.lr);
    for (int64_t i = 0; i < n; ++i) {
        const T d = g[i] * scale, s = square[i] * rho + d * d * rest;
        T below = s + eps;
        square[i] = s;
        if (centred) {
            const T a = mean[i] * rho + d * rest;
            mean[i] = a;
            below = (s - a * a) + eps;
        }
        T step = d * lr / root(below);
        if (moving) {
            step += v[i] * momentum;
            v[i] = step;
        }
        p[i] = p[i] * keep - step;
    }
}
template <class T>
void rmsprop(const RmspropRule& rule, T* p, const T* g, T* square, T* mean, T* v, int64_t n) {
    if (mean)
        v ? rmsprop_form<T, true, true>(rule, p, g, square, mean, v, n)
          : rmsprop_form<T, true, false>(rule, p, g, square, mean, v, n);
    else
        v ? rmsprop_form<T, false, true>(rule, p, g, square, mean, v, n)
          : rmsprop_form<T, false, false>(rule, p, g, square, mean, v, n);
}

// Chen et al. 2023: p -= lr sign(beta1 m + (1 - beta1) g), then m moves to g by beta2.
template <class T>
void lion(const LionRule& rule, T* __restrict p, const T* __restrict g, T* __restrict m, int64_t n) {
    const T scale = (T)rule.scale, beta1 = (T)rule.beta1, rest1 = (T)(1 - rule.beta1), beta2 = (T)rule.beta2,
            rest2 = (T)(1 - rule.beta2), lr = (T)rule.lr, keep = (T)(1 - rule.weight_decay * rule.lr);
    for (int64_t i = 0; i < n; ++i) {
        const T d = g[i] * scale, c = m[i] * beta1 + d * rest1;
        const T sign = c > 0 ? T(1) : c < 0 ? T(-1) : c;  // NaN stays NaN
        m[i] = m[i] * beta2 + d * rest2;
        p[i] = p[i] * keep - sign * lr;
    }
}

template <class T>
double sum_of_squares(const T* x, int64_t n) {
    return group_sum<double>(n, [=](int64_t i) { return (double)x[i] * (double)x[i]; });
}

}  // namespace

extern const OptimizerTable<float> optimizer_f32 = {sgd<float>, adam<float>, rmsprop<float>, lion<float>,
                                                    sum_of_squares<float>};
extern const OptimizerTable<double> optimizer_f64 = {sgd<double>, adam<double>, rmsprop<double>, lion<double>,
                                                     sum_of_squares<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
