// Activations and normalisations of rows and groups: see driver.cpp.
#include <initializer_list>

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

}  // namespace

void run_fused() {
    run_all(TFLBP_DISPATCH(activation_f32), TFLBP_DISPATCH(row_norm_f32));
    run_all(TFLBP_DISPATCH(activation_f64), TFLBP_DISPATCH(row_norm_f64));
}
