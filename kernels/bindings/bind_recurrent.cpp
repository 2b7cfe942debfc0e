// recurrent_forward, recurrent_backward: see cpu/recurrent.h. What is kept for backward is
// (gates, states, carries or None).
#include "arrays.h"
#include "cpu/gemm.h"
#include "cpu/recurrent.h"

namespace tflbp {
namespace {

// An array of that type and shape; null with *fits = false when it is not.
PyArrayObject* shaped(py::handle h, int type, std::initializer_list<int64_t> shape, bool optional,
                      bool* fits) {
    if (optional && h.is_none()) return nullptr;
    PyArrayObject* a = plain_array(h, type);
    *fits = *fits && a && PyArray_NDIM(a) == int(shape.size());
    if (!*fits) return nullptr;
    int i = 0;
    for (int64_t n : shape) *fits = *fits && PyArray_DIM(a, i++) == n;
    return a;
}

bool shape_of(int kind, PyArrayObject* x, PyArrayObject* u, bool reverse, RecurrentShape* s) {
    if (!x || !u || !is_float(x) || PyArray_NDIM(x) != 3 || PyArray_NDIM(u) != 2 || !gemm_available() ||
        kind < 0 || kind >= kRecurrents)
        return false;
    *s = {Recurrent(kind),   PyArray_DIM(x, 0), PyArray_DIM(x, 1),
          PyArray_DIM(x, 2), PyArray_DIM(u, 0), reverse};
    return PyArray_SIZE(x) > 0 && s->units > 0;
}

py::object array(int type, std::initializer_list<int64_t> shape) {
    npy_intp dims[4];
    int n = 0;
    for (int64_t i : shape) dims[n++] = npy_intp(i);
    return empty(n, dims, type);
}

// Room for x in the order of the steps.
py::object ordered(const RecurrentShape& s, int type, bool wanted) {
    return wanted && !s.in_order() ? array(type, {s.steps, s.batch, s.features}) : py::object(py::none());
}

template <class T>
T* at(const py::object& a) {
    return a.is_none() ? nullptr : data<T>(a);
}
template <class T>
T* at(PyArrayObject* a) {
    return a ? data<T>(a) : nullptr;
}

template <class F>
void run(int type, const RecurrentShape& s, const F& f) {
    bool enough;
    {
        Unlock unlock(s.steps * s.batch * s.columns() * (s.features + s.units) / 32);
        enough = type == NPY_FLOAT32 ? f(0.f) : f(0.0);
    }
    if (enough) return;
    PyErr_NoMemory();
    throw py::error_already_set();
}

py::object forward(int kind, py::handle xh, py::handle h0h, py::handle c0h, py::handle wh, py::handle uh,
                   py::handle bh, py::handle maskh, bool reverse, bool sequences, bool keeps) {
    PyArrayObject *x = plain_array(xh), *u = plain_array(uh);
    RecurrentShape s;
    if (!shape_of(kind, x, u, reverse, &s)) return py::none();
    const int type = PyArray_TYPE(x);
    const int64_t columns = s.columns();
    const bool lstm = s.kind == kLstm;
    bool fits = true;
    PyArrayObject *h0 = shaped(h0h, type, {s.batch, s.units}, false, &fits),
                  *c0 = shaped(c0h, type, {s.batch, s.units}, !lstm, &fits),
                  *w = shaped(wh, type, {s.features, columns}, false, &fits),
                  *b = s.kind == kGruAfter ? shaped(bh, type, {2, columns}, true, &fits)
                                           : shaped(bh, type, {columns}, true, &fits),
                  *mask = shaped(maskh, NPY_BOOL, {s.batch, s.steps}, true, &fits);
    shaped(uh, type, {s.units, columns}, false, &fits);
    if (!fits) return py::none();
    const int64_t slots = keeps ? s.steps + 1 : 2;
    const py::object none = py::none(), x_ordered = ordered(s, type, s.projects_first()),
                     gates = array(type, {s.steps, s.batch, s.kept()}),
                     hs = array(type, {slots, s.batch, s.units}),
                     cs = lstm ? array(type, {slots, s.batch, s.units}) : none,
                     out = sequences ? array(type, {s.batch, s.steps, s.units}) : none;
    run(type, s, [&](auto zero) {
        using T = decltype(zero);
        return recurrent_forward<T>({s, at<T>(x), at<T>(w), at<T>(u), at<T>(b), at<T>(h0), at<T>(c0),
                                     at<uint8_t>(mask), keeps, at<T>(x_ordered), at<T>(gates), at<T>(hs),
                                     at<T>(cs), at<T>(out)});
    });
    const auto last = [&](const py::object& states) -> py::object {
        return states.is_none() ? none : states[py::int_(keeps ? s.steps : s.steps & 1)].attr("copy")();
    };
    return py::make_tuple(out, last(hs), last(cs), keeps ? py::make_tuple(gates, hs, cs) : none);
}

// needs: whether the gradients of x, h0, c0, w, u and b are wanted; None for the others.
py::object backward(int kind, py::handle g_outh, py::handle g_hh, py::handle g_ch, py::handle xh,
                    py::handle wh, py::handle uh, py::handle maskh, bool reverse, py::handle gatesh,
                    py::handle hsh, py::handle csh, const py::tuple& needs) {
    PyArrayObject *x = plain_array(xh), *u = plain_array(uh);
    RecurrentShape s;
    if (!shape_of(kind, x, u, reverse, &s)) return py::none();
    const int type = PyArray_TYPE(x);
    const int64_t columns = s.columns();
    const bool lstm = s.kind == kLstm;
    bool fits = true;
    PyArrayObject *g_out = shaped(g_outh, type, {s.batch, s.steps, s.units}, true, &fits),
                  *g_h = shaped(g_hh, type, {s.batch, s.units}, true, &fits),
                  *g_c = shaped(g_ch, type, {s.batch, s.units}, true, &fits),
                  *w = shaped(wh, type, {s.features, columns}, false, &fits),
                  *mask = shaped(maskh, NPY_BOOL, {s.batch, s.steps}, true, &fits),
                  *gates = shaped(gatesh, type, {s.steps, s.batch, s.kept()}, false, &fits),
                  *hs = shaped(hsh, type, {s.steps + 1, s.batch, s.units}, false, &fits),
                  *cs = shaped(csh, type, {s.steps + 1, s.batch, s.units}, !lstm, &fits);
    shaped(uh, type, {s.units, columns}, false, &fits);
    if (!fits) return py::none();
    const auto wanted = [&](int i, std::initializer_list<int64_t> shape) -> py::object {
        return needs[size_t(i)].cast<bool>() ? array(type, shape) : py::object(py::none());
    };
    const py::object none = py::none(), dx = wanted(0, {s.batch, s.steps, s.features}),
                     dh0 = wanted(1, {s.batch, s.units}), dc0 = lstm ? wanted(2, {s.batch, s.units}) : none,
                     dw = wanted(3, {s.features, columns}), du = wanted(4, {s.units, columns}),
                     db = s.kind == kGruAfter ? wanted(5, {2, columns}) : wanted(5, {columns}),
                     x_ordered = ordered(s, type, !dx.is_none() || !dw.is_none()),
                     slopes = array(type, {s.steps, s.batch, s.pre()}),
                     turned = array(type, {columns, s.units});
    run(type, s, [&](auto zero) {
        using T = decltype(zero);
        return recurrent_backward<T>(
            {s,          at<T>(g_out),     at<T>(g_h),        at<T>(g_c),    at<T>(x),
             at<T>(w),   at<T>(u),         at<uint8_t>(mask), at<T>(gates),  at<T>(hs),
             at<T>(cs),  at<T>(x_ordered), at<T>(slopes),     at<T>(turned), at<T>(dx),
             at<T>(dh0), at<T>(dc0),       at<T>(dw),         at<T>(du),     at<T>(db)});
    });
    return py::make_tuple(dx, dh0, dc0, dw, du, db);
}

}  // namespace

void bind_recurrent(py::module_& m) {
    m.attr("RECURRENTS") = py::make_tuple("lstm", "gru", "gru_before", "tanh", "relu");  // enum Recurrent
    m.def("recurrent_forward", &forward, py::arg("kind"), py::arg("x"), py::arg("h0"), py::arg("c0"),
          py::arg("w"), py::arg("u"), py::arg("b"), py::arg("mask"), py::arg("reverse"), py::arg("sequences"),
          py::arg("keeps"));
    m.def("recurrent_backward", &backward, py::arg("kind"), py::arg("g_out"), py::arg("g_h"), py::arg("g_c"),
          py::arg("x"), py::arg("w"), py::arg("u"), py::arg("mask"), py::arg("reverse"), py::arg("gates"),
          py::arg("hs"), py::arg("cs"), py::arg("needs"));
}

}  // namespace tflbp
