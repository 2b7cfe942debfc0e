// Activations and their derivatives, element by element.
//
// Limit: memory, one array read and one written forward, two and one backward; the arithmetic (an
// exponential, a division, a polynomial) hides behind it from the second-level cache outwards. NumPy takes a
// pass over memory for each of the five to twelve steps of the composition. Every function is one expression
// without branches, so that the loop over it becomes vectors. Deterministic: elementwise.

#include "stream.h"
#include "tflbp/activations.h"
#include "tflbp/cache.h"
#include "tflbp/parallel.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int64_t kJob = 16384;

template <class T>
inline T positive_part(T x) {
    return x > 0 || x != x ? x : T(0);
}

// Each kind: value(x), and the derivative from what the op keeps, x or the result.
struct Relu {  // the forwards of relu and tanh are NumPy's
    template <class T>
    static T slope(T y) {
        return y > 0 ? T(1) : T(0);
    }
};
struct Tanh {
    template <class T>
    static T slope(T y) {
        return T(1) - y * y;
    }
};
struct Logistic {
    template <class T>
    static T value(T x) {
        return Sigmoid<T>(x).value;
    }
    template <class T>
    static T slope(T y) {
        return y * (T(1) - y);
    }
};
struct Softplus {
    template <class T>
    static T value(T x) {
        return positive_part(x) + log1p_unit(exp_neg(-absolute(x)));
    }
    template <class T>
    static T slope(T x) {
        return Sigmoid<T>(x).value;
    }
};
struct LogSigmoid {
    template <class T>
    static T value(T x) {
        return -Softplus::value(-x);
    }
    template <class T>
    static T slope(T x) {
        return Sigmoid<T>(x).rest;
    }
};
struct Silu {
    template <class T>
    static T value(T x) {
        return x * Sigmoid<T>(x).value;
    }
    template <class T>
    static T slope(T x) {
        const Sigmoid<T> s(x);
        return s.value * (T(1) + x * s.rest);
    }
};

// x Phi(x), Phi the normal distribution function; x Phi(x)' = Phi(x) + x phi(x).
struct Gelu {
    template <class T>
    static T value(T x) {
        const T u = absolute(x), tail = normal_tail(u, exp_neg(T(-0.5) * u * u));
        return x * (x > 0 ? T(1) - tail : tail);
    }
    template <class T>
    static T slope(T x) {
        const T u = absolute(x), e = exp_neg(T(-0.5) * u * u), tail = normal_tail(u, e);
        return (x > 0 ? T(1) - tail : tail) + x * (e * T(0.39894228040143267794));
    }
};
// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
    template <class T>
    static T value(T x) {
        return x * Sigmoid<T>(T(1.5957691216057307117) * (x + T(0.044715) * (x * x * x))).value;
    }
    template <class T>
    static T slope(T x) {
        const T k = T(1.5957691216057307117);
        const Sigmoid<T> s(k * (x + T(0.044715) * (x * x * x)));
        return s.value + x * (s.value * s.rest) * (k * (T(1) + T(3 * 0.044715) * (x * x)));
    }
};

// tanh(log(1 + exp(x))) as a quotient in e = exp(-|x|), and 1 - its square.
template <class T>
struct TanhSoftplus {
    T value, rest, e;
    explicit TanhSoftplus(T x) {
        e = exp_neg(-absolute(x));
        const T top = x > 0 ? T(1) + T(2) * e : e * (e + T(2)), gap = x > 0 ? T(2) * e * e : T(2);
        const T bottom = T(1) / (top + gap);
        value = top * bottom;
        rest = gap * (top + top + gap) * (bottom * bottom);
    }
};
struct Mish {
    template <class T>
    static T value(T x) {
        return x * TanhSoftplus<T>(x).value;
    }
    template <class T>
    static T slope(T x) {
        const TanhSoftplus<T> t(x);
        const T near = T(1) / (T(1) + t.e);
        return t.value + x * t.rest * (x > 0 ? near : t.e * near);
    }
};
struct Erf {
    template <class T>
    static T value(T x) {
        const T u = absolute(x), z = u < 1 ? u * u : T(1), v = u * T(1.4142135623730950488);
        const T y = u < 1 ? u * erf_core(z) : T(1) - T(2) * normal_tail(v, exp_neg(-u * u));
        return x < 0 ? -y : y;
    }
    template <class T>
    static T slope(T x) {
        return T(1.1283791670955125739) * exp_neg(-x * x);
    }
};

template <class A, class T>
void forward(const T* x, T* out, int64_t n) {
    const bool past = writes_past_cache(n * (int64_t)sizeof(T));
    parallel_chunks(n, kJob, [=](int64_t begin, int64_t end) {
        const StreamEnd streams{past};
        const T* from = x + begin;
        write_terms(out + begin, end - begin, past, [=](int64_t i) { return A::value(from[i]); });
    });
}
template <class A, class T>
void backward(const T* g, const T* kept, T* dx, int64_t n) {
    const bool past = writes_past_cache(n * (int64_t)sizeof(T));
    parallel_chunks(n, kJob, [=](int64_t begin, int64_t end) {
        const StreamEnd streams{past};
        const T *of = g + begin, *from = kept + begin;
        write_terms(dx + begin, end - begin, past, [=](int64_t i) { return of[i] * A::slope(from[i]); });
    });
}

template <class T, class... A>
constexpr ActivationTable<T> table_of() {
    return {{nullptr, nullptr, forward<A, T>...}, {backward<Relu, T>, backward<Tanh, T>, backward<A, T>...}};
}
template <class T>
constexpr ActivationTable<T> make_table() {  // in the order of enum Activation
    return table_of<T, Logistic, Softplus, LogSigmoid, Silu, Gelu, GeluTanh, Mish, Erf>();
}

}  // namespace

extern const ActivationTable<float> activation_f32 = make_table<float>();
extern const ActivationTable<double> activation_f64 = make_table<double>();

}  // namespace TFLBP_ISA
}  // namespace tflbp
