// Activations, normalisations of rows and groups, pooling, rows of a table, optimiser steps, attention,
// convolution, recurrent layers: see driver.cpp.
#include <cstring>
#include <initializer_list>
#include <vector>

#include "cpu/attention.h"
#include "cpu/conv.h"
#include "cpu/gemm_bf16.h"
#include "cpu/recurrent.h"
#include "driver.h"
#include "tflbp/kernels.h"

namespace {

using namespace tflbp;

template <class T>
void run_activations(const ActivationTable<T>& k, int64_t n) {
    Buffer<T> x(n), g(n), out(n);
    for (int kind = 0; kind < kActivations; ++kind) {
        if (k.forward[kind]) k.forward[kind](x, out, n), out.check("activation");
        k.backward[kind](g, x, out, n), out.check("activation_backward");
    }
}

template <class T>
void run_rows(const RowNormTable<T>& k, int64_t rows, int64_t n) {
    Buffer<T> x(rows * n), g(rows * n), out(rows * n), dx(rows * n), w(n), b(n), mean(rows), inv(rows), dw(n),
        db(n);
    Buffer<double> work((int64_t)(k.workspace(rows, n) / sizeof(double)));
    for (int form = 0; form < 4; ++form) {
        const bool centred = form & 1, affine = form & 2;
        k.forward({rows, n, x, affine ? w.p.get() : nullptr, affine && centred ? b.p.get() : nullptr, 1e-3,
                   centred, out, mean, inv});
        k.backward({rows, n, g, x, affine ? w.p.get() : nullptr, mean, inv, centred, dx,
                    affine ? dw.p.get() : nullptr, affine ? db.p.get() : nullptr, work});
        out.check("row_norm"), dx.check("row_norm dx"), dw.check("row_norm dw"), db.check("row_norm db");
    }
}

template <class T>
void run_groups(const RowNormTable<T>& k, GroupShape s) {
    const int64_t channels = s.groups * s.channels, n = s.batch * s.space * channels,
                  each = s.batch * s.groups;
    Buffer<T> x(n), g(n), out(n), dx(n), w(channels), b(channels), mean(each), inv(each), dw(channels),
        db(channels);
    Buffer<double> work(2 * s.batch * channels);
    k.group_forward({s, x, w, b, 1e-3, out, mean, inv});
    k.group_backward({s, g, x, w, mean, inv, dx, dw, db, work});
    out.check("group_norm"), dx.check("group_norm dx"), dw.check("group_norm dw"), db.check("group_norm db");
}

template <class T>
void run_all(const ActivationTable<T>& activations, const RowNormTable<T>& rows) {
    for (int64_t n : {0, 1, 7, 31, 64, 1000, 33001}) run_activations(activations, n);
    for (int64_t n : {1, 7, 32, 33, 100, 768, 5000})
        for (int64_t count : {0, 1, 3, 5, 70}) run_rows(rows, count, n);
    run_rows(rows, 900, 65);
    for (int64_t space : {1, 3, 70})
        for (int64_t groups : {1, 2, 5})
            for (int64_t channels : {1, 3, 16, 33}) run_groups(rows, {3, space, groups, channels});
}

template <class T>
void run_pool(const PoolTable<T>& k, const PoolShape& s) {
    int64_t in = s.batch * s.channels, out = in;
    for (int a = 0; a < kPoolAxes; ++a) in *= s.in[a], out *= s.out[a];
    Buffer<T> x(in), dx(in), y(out), g(out);
    std::unique_ptr<uint8_t[]> index(new uint8_t[(size_t)out]);
    k.max_forward(s, x, y, nullptr), k.max_forward(s, x, y, index.get()), y.check("max_pool");
    k.max_input_grad(s, g, index.get(), dx), dx.check("max_pool dx");
    k.avg_forward(s, x, y), y.check("avg_pool");
    k.avg_input_grad(s, g, dx), dx.check("avg_pool dx");
}

template <class T>
void run_rows_of_table(const RowsTable<T>& k, int64_t rows, int64_t n, int64_t count) {
    std::unique_ptr<int64_t[]> index(new int64_t[(size_t)count]);
    for (int64_t i = 0; i < count; ++i) index[(size_t)i] = (int64_t)(uniform() * (double)rows);
    std::unique_ptr<int32_t[]> heads(new int32_t[(size_t)(rows + count)]);
    Buffer<T> x(count * n), out(rows * n);
    k.scatter({rows, n, count, index.get(), x, out, heads.get()});
    out.check("scatter_rows");
}

template <class T>
void run_steps(const OptimizerTable<T>& k, int64_t n) {
    Buffer<T> p(n), g(n), s(n, 4, 5), mean(n, -0.5, 0.5), v(n);
    for (int form = 0; form < 4; ++form)
        k.rmsprop({0.1, 0.9, 0.5, 1e-3, 0.01, 1}, p, g, s, form & 1 ? mean.p.get() : nullptr,
                  form & 2 ? v.p.get() : nullptr, n);
    k.lion({0.1, 0.9, 0.99, 0.01, 1}, p, g, v, n);
    p.check("step");
}

template <class T>
void run_conv(const ConvShape& s) {
    int64_t in = s.batch * s.channels, out = s.batch * s.filters, w = s.channels / s.groups * s.filters;
    for (int a = 0; a < kConvAxes; ++a) in *= s.in[a], out *= s.out[a], w *= s.window[a];
    Buffer<T> x(in), filters(w), bias(s.filters), y(out), g(out), dx(in), dw(w), db(s.filters);
    if (!gemm_available()) return;
    for (bool fused : {false, true}) {
        if (!conv_forward<T>(s, x, filters, fused ? bias.p.get() : nullptr, fused, y)) std::exit(1);
        y.check("conv");
        T *to_x = has_input_grad(s) ? dx.p.get() : nullptr, *to_b = fused ? db.p.get() : nullptr;
        if (!conv_backward<T>({s, g, x, filters, fused ? y.p.get() : nullptr, to_x, dw, to_b})) std::exit(1);
        if (!conv_backward<T>({s, g, x, filters, nullptr, nullptr, dw, nullptr})) std::exit(1);
        if (!conv_backward<T>({s, g, x, filters, y, to_x, nullptr, db})) std::exit(1);
        dx.check("conv dx"), dw.check("conv dw"), db.check("conv db");
    }
    if (s.groups > 1) return;
    ConvShape two = s, each = s;
    two.groups = 2, two.channels = 2 * s.channels, two.filters = 2 * s.filters;
    each.groups = each.filters = s.channels;
    run_conv<T>(two);
    if (s.channels > 1) run_conv<T>(each);
}

template <class T>
void run_attention(int64_t heads, int64_t rows, int64_t keys, int64_t depth, int64_t width) {
    Buffer<T> q(heads * rows * depth), k(heads * keys * depth), v(heads * keys * width),
        out(heads * rows * width), g(heads * rows * width), lse(heads * rows), dq(q.size), dk(k.size),
        dv(v.size), added(rows * keys);
    if (!gemm_available()) return;
    std::unique_ptr<uint8_t[]> seen(new uint8_t[(size_t)(rows * keys)]);
    for (int64_t i = 0; i < rows * keys; ++i) seen[(size_t)i] = uniform() < 0.6;
    const AttentionMask masks[] = {{nullptr, false, 0, 0, 0, 0},
                                   {seen.get(), false, 0, 0, keys, 1},
                                   {added.p.get(), true, 0, 0, keys, 1},
                                   {seen.get(), false, 0, 0, 0, 1}};
    const auto dense = [&](auto* p, int64_t n) {  // heads within time
        return Heads<std::remove_pointer_t<decltype(p)>>{p, 0, n, heads * n};
    };
    const auto given = [&](const Buffer<T>& x, int64_t n) {
        return dense(static_cast<const T*>(x.p.get()), n);
    };
    for (const AttentionMask& mask : masks)
        for (bool causal : {false, true}) {
            const AttentionShape s{1, heads, rows, keys, depth, width, 0.5, causal};
            const auto qs = given(q, depth), ks = given(k, depth), vs = given(v, width);
            if (!attention_forward<T>({s, mask, qs, ks, vs, dense(out.p.get(), width), lse})) std::exit(1);
            if (!attention_backward<T>({s, mask, given(g, width), qs, ks, vs, given(out, width), lse,
                                        dense(dq.p.get(), depth), dense(dk.p.get(), depth),
                                        dense(dv.p.get(), width)}))
                std::exit(1);
            out.check("attention"), dq.check("attention dq"), dk.check("attention dk");
            dv.check("attention dv");
        }
}

template <class T>
void run_recurrent(const RecurrentShape& s, bool masked, bool keeps) {
    if (!gemm_available()) return;
    const int64_t rows = s.batch * s.steps, n = s.batch * s.units, columns = s.columns(),
                  slots = keeps ? s.steps + 1 : 2;
    Buffer<T> x(rows * s.features), w(s.features * columns), u(s.units * columns), b(2 * columns), h0(n),
        c0(n), ordered(x.size), gates(rows * s.kept()), hs(slots * n), cs(slots * n), out(rows * s.units);
    std::unique_ptr<uint8_t[]> mask(new uint8_t[(size_t)rows]);
    for (int64_t i = 0; i < rows; ++i) mask[(size_t)i] = uniform() < 0.6;
    const uint8_t* on = masked ? mask.get() : nullptr;
    const bool carries = s.kind == kLstm, orders = s.projects_first() && !s.in_order();
    if (!recurrent_forward<T>({s, x, w, u, b, h0, carries ? c0.p.get() : nullptr, on, keeps,
                               orders ? ordered.p.get() : nullptr, gates, hs, carries ? cs.p.get() : nullptr,
                               keeps ? out.p.get() : nullptr}))
        std::exit(1);
    if (!keeps) return;
    out.check("recurrent");
    Buffer<T> slopes(rows * s.pre()), turned(u.size), dx(x.size), dh0(n), dc0(n), dw(w.size), du(u.size),
        db(s.kind == kGruAfter ? 2 * columns : columns);
    for (bool all : {false, true}) {
        if (!recurrent_backward<T>({s,
                                    out,
                                    all ? h0.p.get() : nullptr,
                                    all ? c0.p.get() : nullptr,
                                    x,
                                    w,
                                    u,
                                    on,
                                    gates,
                                    hs,
                                    carries ? cs.p.get() : nullptr,
                                    s.in_order() ? nullptr : ordered.p.get(),
                                    slopes,
                                    turned,
                                    dx,
                                    all ? dh0.p.get() : nullptr,
                                    all ? dc0.p.get() : nullptr,
                                    dw,
                                    du,
                                    db}))
            std::exit(1);
    }
    dx.check("recurrent dx"), dh0.check("recurrent dh0"), dc0.check("recurrent dc0");
    dw.check("recurrent dw"), du.check("recurrent du"), db.check("recurrent db");
}

// bfloat16 numbers are uint16 here: halves of random floats.
struct Halves : Buffer<Bf16> {
    explicit Halves(int64_t n) : Buffer<Bf16>(n) {
        for (int64_t i = 0; i < n; ++i) {
            const float x = float(4 * uniform() - 2);
            uint32_t bits;
            std::memcpy(&bits, &x, 4);
            p[i] = Bf16(bits >> 16);
        }
    }
    void check(const char* where) {
        for (int64_t i = 0; i < size; ++i)
            if ((p[i] & 0x7f80) == 0x7f80) std::printf("%s: not finite\n", where), std::exit(1);
    }
};

void run_bf16(int64_t m, int64_t n, int64_t k) {
    if (!gemm_bf16_available()) return;
    for (int form = 0; form < 4; ++form) {
        const bool ta = form & 1, tb = form & 2;
        Halves a(m * k), b(k * n), c(m * n), bias(n);
        const Operand<Bf16> x{a, ta ? m : k, ta}, y{b, tb ? k : n, tb};
        if (!gemm_bf16({m, n, k, x, y, c, n, form % 3 ? bias.p.get() : nullptr, form == 2})) std::exit(1);
        c.check("gemm_bf16");
    }
}

void run_bf16_all() {
    for (int64_t m : {1, 3, 14, 15, 33})
        for (int64_t n : {1, 5, 16, 17, 33, 70})
            for (int64_t k : {0, 1, 2, 5, 31, 33, 64}) run_bf16(m, n, k);
    run_bf16(130, 129, 127);
}

// A stack of products: every a its own, one b for all, gaps in c.
template <class T>
void run_stack(int64_t count, int64_t m, int64_t n, int64_t k) {
    if (!gemm_available()) return;
    Buffer<T> a(count * m * k), b(k * n), c(count * m * (n + 1));
    std::vector<int64_t> at[3];
    for (int64_t i = 0; i < count; ++i)
        at[0].push_back(i * m * k), at[1].push_back(0), at[2].push_back(i * m * (n + 1));
    const Stack all{count, at[0].data(), at[1].data(), at[2].data()};
    for (bool t : {false, true})
        for (bool add : {false, true})
            if (!gemm_stack<T>({m, n, k, {a, t ? m : k, t}, {b, t ? k : n, t}, c, n + 1, nullptr, false, add},
                               all))
                std::exit(1);
    c.check("gemm_stack");
}

template <class T>
void run_stacks() {
    for (int64_t m : {1, 2, 17})
        for (int64_t n : {1, 5, 33})
            for (int64_t k : {0, 1, 17, 70}) run_stack<T>(3, m, n, k);
    run_stack<T>(1, 90, 70, 130), run_stack<T>(9, 33, 65, 64), run_stack<T>(300, 5, 7, 60);
}

template <class T>
void run_recurrents() {
    for (Recurrent kind : {kLstm, kGruAfter, kGruBefore, kTanhRnn, kReluRnn})
        for (bool reverse : {false, true})
            for (bool masked : {false, true})
                for (bool keeps : {false, true}) {
                    run_recurrent<T>({kind, 1, 1, 1, 1, reverse}, masked, keeps);
                    run_recurrent<T>({kind, 1, 4, 3, 5, reverse}, masked, keeps);
                    run_recurrent<T>({kind, 3, 2, 17, 33, reverse}, masked, keeps);
                    run_recurrent<T>({kind, 70, 3, 5, 16, reverse}, masked, keeps);
                }
}

template <class T>
void run_products() {
    run_attention<T>(1, 1, 1, 1, 1), run_attention<T>(3, 7, 5, 4, 6), run_attention<T>(2, 130, 130, 16, 17);
    run_attention<T>(2, 90, 700, 5, 33);
    for (int64_t channels : {1, 5, 17})
        for (int64_t filters : {1, 7, 16, 33, 70}) {
            run_conv<T>({2,
                         channels,
                         filters,
                         {1, 6, 7},
                         {1, 3, 3},
                         {1, 1, 1},
                         {1, 1, 1},
                         {1, 4, 5},
                         {0, 0, 0},
                         {0, 0, 0}});
            run_conv<T>({3,
                         channels,
                         filters,
                         {2, 5, 9},
                         {2, 3, 2},
                         {1, 2, 3},
                         {1, 1, 2},
                         {1, 3, 3},
                         {0, 1, 1},
                         {0, 1, 1}});
            run_conv<T>({1,
                         channels,
                         filters,
                         {1, 1, 9},
                         {1, 1, 4},
                         {1, 1, 1},
                         {1, 1, 1},
                         {1, 1, 9},
                         {0, 0, 3},
                         {0, 0, 0}});
        }
}

template <class T>
void run_rest(const PoolTable<T>& pool, const RowsTable<T>& rows, const OptimizerTable<T>& steps) {
    for (int64_t channels : {1, 8, 31, 33, 64, 100}) {
        run_pool(pool, {3, channels, {1, 6, 6}, {1, 3, 3}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}});
        run_pool(pool, {2, channels, {3, 5, 7}, {3, 3, 4}, {2, 3, 3}, {1, 2, 2}, {1, 1, 1}});
        run_pool(pool, {1, channels, {1, 1, 9}, {1, 1, 3}, {1, 1, 2}, {1, 1, 3}, {0, 0, 0}});
    }
    for (int64_t n : {1, 7, 33, 300}) run_rows_of_table(rows, 50, n, 200), run_rows_of_table(rows, 1, n, 3);
    for (int64_t n : {0, 1, 33, 1000}) run_steps(steps, n);
}

}  // namespace

void run_together() {
    for (Recurrent kind : {kLstm, kGruAfter, kGruBefore, kTanhRnn, kReluRnn}) {
        run_recurrent<float>({kind, 40, 4, 9, 33, false}, true, true);
        run_recurrent<double>({kind, 3, 20, 70, 65, true}, false, true);
    }
    run_stacks<float>(), run_bf16(150, 70, 129), run_bf16(20, 300, 200);
}

void run_fused() {
    run_stacks<float>(), run_stacks<double>(), run_bf16_all();
    run_products<float>(), run_products<double>();
    run_recurrents<float>(), run_recurrents<double>();
    run_rest(TFLBP_DISPATCH(pool_f32), TFLBP_DISPATCH(rows_f32), TFLBP_DISPATCH(optimizer_f32));
    run_rest(TFLBP_DISPATCH(pool_f64), TFLBP_DISPATCH(rows_f64), TFLBP_DISPATCH(optimizer_f64));
    run_all(TFLBP_DISPATCH(activation_f32), TFLBP_DISPATCH(row_norm_f32));
    run_all(TFLBP_DISPATCH(activation_f64), TFLBP_DISPATCH(row_norm_f64));
}
