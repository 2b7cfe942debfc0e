// One step of the cells, activations and state in one pass over the gates: see recurrent.h.
//
// Limit: five exponentials and divisions an element for an LSTM forward, one backward, about a tenth of the
// products beside them at 128 units. Backward takes slopes from the activated gates; tanh(c) is computed
// again, cheaper than read from memory. Deterministic: elementwise.
#include "cpu/recurrent.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
inline T logistic(T x) {
    return Sigmoid<T>(x).value;
}

template <class T>
inline bool skipped(const uint8_t* mask, int64_t step, int64_t row) {
    return mask && !mask[row * step];
}

// kind(row, ...) for the rows that take part; the others hand their state on.
template <class T, class F>
inline void each_row(const CellForward<T>& a, int64_t width, const F& row) {
    for (int64_t r = 0; r < a.rows; ++r) {
        const int64_t at = r * a.units;
        if (skipped<T>(a.mask, a.mask_step, r)) {
            memcpy(a.h + at, a.h_before + at, (size_t)a.units * sizeof(T));
            if (a.c) memcpy(a.c + at, a.c_before + at, (size_t)a.units * sizeof(T));
        } else {
            row(a.gates + r * width * a.units, at);
        }
    }
}
template <class T, class F>
inline void each_row(const CellBackward<T>& a, int64_t kept, int64_t pre, const F& row) {
    for (int64_t r = 0; r < a.rows; ++r) {
        T* slopes = a.slopes + r * pre * a.units;
        if (skipped<T>(a.mask, a.mask_step, r))
            memset(slopes, 0, (size_t)(pre * a.units) * sizeof(T));
        else
            row(a.gates + r * kept * a.units, slopes, r * a.units);
    }
}

// ------------------------------------------------------------------------------------------ LSTM
// c = f c' + i g, h = o tanh(c) (Hochreiter and Schmidhuber 1997; Gers et al. 2000)
template <class T>
void lstm(const CellForward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, [&](T* gates, int64_t at) {
        const T* before = a.c_before + at;
        T *h = a.h + at, *carry = a.c + at, *i = gates, *f = gates + n, *g = gates + 2 * n,
          *o = gates + 3 * n;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T vi = logistic(i[j]), vf = logistic(f[j]), vg = tanh_of(g[j]), vo = logistic(o[j]);
            const T c = vf * before[j] + vi * vg;
            i[j] = vi, f[j] = vf, g[j] = vg, o[j] = vo;
            carry[j] = c;
            h[j] = vo * tanh_of(c);
        }
    });
}
template <class T>
void lstm_backward(const CellBackward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, 4, [&](const T* gates, T* s, int64_t at) {
        const T *before = a.c_before + at, *carry = a.c + at;
        T *dh = a.dh + at, *dc = a.dc + at;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T i = gates[j], f = gates[n + j], g = gates[2 * n + j], o = gates[3 * n + j];
            const T y = tanh_of(carry[j]), d = dh[j], c = dc[j] + d * o * (T(1) - y * y);
            s[j] = c * g * i * (T(1) - i);
            s[n + j] = c * before[j] * f * (T(1) - f);
            s[2 * n + j] = c * i * (T(1) - g * g);
            s[3 * n + j] = d * y * o * (T(1) - o);
            dc[j] = c * f;
            dh[j] = 0;
        }
    });
}

// ------------------------------------------------------------------------------------------ GRU
// h = z h' + (1 - z) g (Cho et al. 2014); g = tanh(x w + r (h' u + b)) as in cuDNN, or tanh(x w + (r h') u)
template <class T>
void gru_after(const CellForward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, [&](T* gates, int64_t at) {
        const T* before = a.h_before + at;
        T *h = a.h + at, *g = gates, *z = gates + n, *r = gates + 2 * n, *q = gates + 3 * n;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T vz = logistic(z[j]), vr = logistic(r[j]), vg = tanh_of(g[j] + vr * q[j]);
            g[j] = vg, z[j] = vz, r[j] = vr;
            h[j] = vz * before[j] + (T(1) - vz) * vg;
        }
    });
}
template <class T>
void gru_after_backward(const CellBackward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, 4, [&](const T* gates, T* s, int64_t at) {
        const T* before = a.h_before + at;
        T* dh = a.dh + at;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T g = gates[j], z = gates[n + j], r = gates[2 * n + j], q = gates[3 * n + j], d = dh[j];
            const T dg = d * (T(1) - z) * (T(1) - g * g);
            s[j] = dg;
            s[n + j] = d * (before[j] - g) * z * (T(1) - z);
            s[2 * n + j] = dg * q * r * (T(1) - r);
            s[3 * n + j] = dg * r;
            dh[j] = d * z;
        }
    });
}
template <class T>
void reset(const CellForward<T>& a) {  // of masked rows too: what the products read must be finite
    const int64_t n = a.units;
    for (int64_t row = 0; row < a.rows; ++row) {
        const T* before = a.h_before + row * n;
        T *z = a.gates + row * 4 * n, *r = z + n, *rh = z + 3 * n;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T vr = logistic(r[j]);
            z[j] = logistic(z[j]), r[j] = vr;
            rh[j] = vr * before[j];
        }
    }
}
template <class T>
void gru_before(const CellForward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, [&](T* gates, int64_t at) {
        const T *before = a.h_before + at, *z = gates;
        T *h = a.h + at, *g = gates + 2 * n;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T vg = tanh_of(g[j]);
            g[j] = vg;
            h[j] = z[j] * before[j] + (T(1) - z[j]) * vg;
        }
    });
}
template <class T>
void gru_before_backward(const CellBackward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, 3, [&](const T* gates, T* s, int64_t at) {
        const T* before = a.h_before + at;
        T* dh = a.dh + at;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T z = gates[j], g = gates[2 * n + j], d = dh[j];
            s[j] = d * (before[j] - g) * z * (T(1) - z);
            s[2 * n + j] = d * (T(1) - z) * (T(1) - g * g);
            dh[j] = d * z;
        }
    });
}
template <class T>
void reset_backward(const CellBackward<T>& a) {
    const int64_t n = a.units;
    each_row(a, 4, 3, [&](const T* gates, T* s, int64_t at) {
        const T *before = a.h_before + at, *e = a.through_reset + at;
        T* dh = a.dh + at;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            const T r = gates[n + j];
            s[n + j] = e[j] * before[j] * r * (T(1) - r);
            dh[j] += e[j] * r;
        }
    });
}

// ------------------------------------------------------------------------------------------ simple
template <class T, bool relu>
void simple(const CellForward<T>& a) {
    each_row(a, 1, [&](T* gates, int64_t at) {
        T* h = a.h + at;
#pragma omp simd
        for (int64_t j = 0; j < a.units; ++j)
            h[j] = relu ? (gates[j] > T(0) || gates[j] != gates[j] ? gates[j] : T(0)) : tanh_of(gates[j]);
    });
}
template <class T, bool relu>
void simple_backward(const CellBackward<T>& a) {
    each_row(a, 1, 1, [&](const T*, T* s, int64_t at) {
        const T* h = a.h + at;
        T* dh = a.dh + at;
#pragma omp simd
        for (int64_t j = 0; j < a.units; ++j) {
            s[j] = dh[j] * (relu ? (h[j] > T(0) ? T(1) : T(0)) : T(1) - h[j] * h[j]);
            dh[j] = 0;
        }
    });
}

template <class T>
constexpr RecurrentTable<T> make_table() {  // in the order of enum Recurrent
    return {{lstm<T>, gru_after<T>, gru_before<T>, simple<T, false>, simple<T, true>},
            {lstm_backward<T>, gru_after_backward<T>, gru_before_backward<T>, simple_backward<T, false>,
             simple_backward<T, true>},
            reset<T>,
            reset_backward<T>};
}

}  // namespace

extern const RecurrentTable<float> recurrent_f32 = make_table<float>();
extern const RecurrentTable<double> recurrent_f64 = make_table<double>();

}  // namespace TFLBP_ISA
}  // namespace tflbp
