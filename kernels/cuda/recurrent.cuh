// One step of a recurrent layer, behind the product of its state: gates, state, mask, forward and backward.
//
// gates (batch, steps, columns) holds x w + b of all steps, from one product, and gets the activated gates:
// what backward reads. A step is taken at `t` and is the k-th; reversed, t runs down. h and c hold the states
// before their step, (batch, slots, units): all steps where backward will come, else two. For "gru_before" a
// step has two products, and so two kernels: GRU_RESET gives r h for the second.
//
// Limit: a launch, as a rule; else one read and one write of the step's gates and states. Elementwise over
// (batch, units): deterministic. Formulas and references: backend/recurrent.py.
#pragma once

#include "cuda/activation.cuh"

enum { LSTM, GRU, GRU_RESET, GRU_CANDIDATE, RNN_TANH, RNN_RELU };

// Which element of (batch, units) this thread takes, and where that is in the arrays of all steps.
struct Cell {
    int64_t i, row, unit, at;
    bool inside;

    __device__ __forceinline__ Cell(int64_t batch, int64_t units, int64_t steps, int64_t t)
        : i(int64_t(blockIdx.x) * blockDim.x + threadIdx.x),
          row(i / units),
          unit(i - row * units),
          at(row * steps + t),
          inside(i < batch * units) {}
};

// A logistic function without __expf: its error would grow from step to step.
__device__ __forceinline__ float gate(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ double gate(double x) { return 1.0 / (1.0 + exp(-x)); }

// inner: h u of this step (GRU_CANDIDATE: (r h) u_g). extra (batch, steps, units): GRU's h u_g, GRU_RESET's
// r h. The new state goes to slot `next` of h and c, or after the last step (next < 0) to last_h and last_c;
// and to out[:, k] if there is an out.
template <class A>
__global__ void __launch_bounds__(256, 1)
    recurrent(A* gates, const A* __restrict__ inner, A* extra, const uint8_t* __restrict__ mask, A* h, A* c,
              A* __restrict__ last_h, A* __restrict__ last_c, A* __restrict__ out, int64_t batch,
              int64_t units, int64_t steps, int64_t t, int64_t k, int64_t slots, int64_t slot, int64_t next,
              int64_t kind) {
    const Cell own(batch, units, steps, t);
    if (!own.inside) return;
    const int64_t columns = kind == LSTM ? 4 : kind >= RNN_TANH ? 1 : 3;
    A* z = gates + own.at * columns * units + own.unit;
    const int64_t given = kind == GRU_RESET ? 2 : kind == GRU_CANDIDATE ? 1 : columns;
    const A* u = inner + own.row * given * units + own.unit;
    const int64_t from = (own.row * slots + slot) * units + own.unit;
    const A old = h[from];
    A state, cell = 0, before = 0;
    if (kind == LSTM) {
        const A i = gate(z[0] + u[0]), f = gate(z[units] + u[units]),
                g = hyperbolic_tangent(z[2 * units] + u[2 * units]), o = gate(z[3 * units] + u[3 * units]);
        before = c[from];
        cell = f * before + i * g;
        state = o * hyperbolic_tangent(cell);
        z[0] = i, z[units] = f, z[2 * units] = g, z[3 * units] = o;
    } else if (kind == GRU) {
        const A update = gate(z[0] + u[0]), reset = gate(z[units] + u[units]), q = u[2 * units],
                g = hyperbolic_tangent(z[2 * units] + reset * q);
        state = update * old + (A(1) - update) * g;
        z[0] = update, z[units] = reset, z[2 * units] = g;
        extra[own.at * units + own.unit] = q;
    } else if (kind == GRU_RESET) {
        const A reset = gate(z[units] + u[units]);
        z[0] = gate(z[0] + u[0]), z[units] = reset;
        extra[own.at * units + own.unit] = reset * old;
        return;
    } else if (kind == GRU_CANDIDATE) {
        const A update = z[0], g = hyperbolic_tangent(z[2 * units] + u[0]);
        state = update * old + (A(1) - update) * g;
        z[2 * units] = g;
    } else {
        const A sum = z[0] + u[0];
        state = kind == RNN_TANH ? hyperbolic_tangent(sum) : activated<RELU>(sum);
        z[0] = state;
    }
    if (mask && !mask[own.at]) state = old, cell = before;
    const int64_t to = next < 0 ? own.i : (own.row * slots + next) * units + own.unit;
    (next < 0 ? last_h : h)[to] = state;
    if (kind == LSTM) (next < 0 ? last_c : c)[to] = cell;
    if (out) out[(own.row * steps + k) * units + own.unit] = state;
}

// dh, dc (batch, units): in, the cotangents of the states after the step; out, those of the states before it,
// but for what comes through h u (for GRU_CANDIDATE: all that is known so far), which a product adds to dh.
// pre (batch, steps, columns): the slopes of x w + b; inner: those of h u, where they differ (GRU).
// through: GRU_RESET's cotangent of r h, the product that GRU_CANDIDATE's slopes make.
template <class A>
__global__ void __launch_bounds__(256, 1)
    recurrent_backward(const A* __restrict__ gates, const A* __restrict__ extra,
                       const uint8_t* __restrict__ mask, const A* __restrict__ h, const A* __restrict__ c,
                       const A* __restrict__ g_out, const A* __restrict__ through, A* dh, A* dc, A* pre,
                       A* __restrict__ inner, int64_t batch, int64_t units, int64_t steps, int64_t t,
                       int64_t k, int64_t kind) {
    const Cell own(batch, units, steps, t);
    if (!own.inside) return;
    const int64_t columns = kind == LSTM ? 4 : kind >= RNN_TANH ? 1 : 3, place = own.at * units + own.unit;
    const A* z = gates + own.at * columns * units + own.unit;
    A* to = pre + own.at * columns * units + own.unit;
    const bool on = !mask || mask[own.at];
    const A none = 0;
    A d = dh[own.i];
    if (g_out && kind != GRU_RESET) d += g_out[(own.row * steps + k) * units + own.unit];
    if (kind == LSTM) {
        const A i = z[0], f = z[units], g = z[2 * units], o = z[3 * units], before = c[place],
                y = hyperbolic_tangent(f * before + i * g), old = dc[own.i],
                slope = old + d * o * (A(1) - y * y);
        to[0] = on ? slope * g * i * (A(1) - i) : none;
        to[units] = on ? slope * before * f * (A(1) - f) : none;
        to[2 * units] = on ? slope * i * (A(1) - g * g) : none;
        to[3 * units] = on ? d * y * o * (A(1) - o) : none;
        dc[own.i] = on ? slope * f : old;
        dh[own.i] = on ? none : d;
    } else if (kind == GRU) {
        const A update = z[0], reset = z[units], g = z[2 * units], q = extra[place],
                dg = on ? d * (A(1) - update) * (A(1) - g * g) : none,
                dz = on ? d * (h[place] - g) * update * (A(1) - update) : none,
                dr = on ? dg * q * reset * (A(1) - reset) : none;
        A* also = inner + own.at * columns * units + own.unit;
        to[0] = also[0] = dz;
        to[units] = also[units] = dr;
        to[2 * units] = dg;
        also[2 * units] = dg * reset;
        dh[own.i] = on ? d * update : d;
    } else if (kind == GRU_CANDIDATE) {
        const A update = z[0], g = z[2 * units];
        to[2 * units] = on ? d * (A(1) - update) * (A(1) - g * g) : none;
        dh[own.i] = d;
    } else if (kind == GRU_RESET) {
        const A update = z[0], reset = z[units], g = z[2 * units], old = h[place], r = through[own.i];
        to[0] = on ? d * (old - g) * update * (A(1) - update) : none;
        to[units] = on ? r * old * reset * (A(1) - reset) : none;
        dh[own.i] = on ? d * update + r * reset : d;
    } else {
        const A y = z[0], slope = kind == RNN_TANH ? d * (A(1) - y * y) : y > 0 ? d : none;
        to[0] = on ? slope : none;
        dh[own.i] = on ? none : d;
    }
}
