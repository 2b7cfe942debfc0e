// activation, activation_backward.
#include "arrays.h"
#include "tflbp/activations.h"

namespace tflbp {
namespace {

template <class F>
void with_table(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(TFLBP_DISPATCH(activation_f32), 0.f);
    else
        f(TFLBP_DISPATCH(activation_f64), 0.0);
}

py::object activation(int kind, py::handle h) {
    PyArrayObject* x = plain_array(h);
    if (!x || !is_float(x) || kind < kSigmoid || kind >= kActivations) return py::none();
    py::object out = empty_like(x);
    const int64_t n = PyArray_SIZE(x);
    with_table(PyArray_TYPE(x), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(out);
        Unlock unlock(n);
        table.forward[kind](data<T>(x), to, n);
    });
    return out;
}

py::object activation_backward(int kind, py::handle gh, py::handle h) {
    PyArrayObject *g = plain_array(gh), *kept = plain_array(h);
    if (!g || !kept || !is_float(g) || PyArray_TYPE(g) != PyArray_TYPE(kept) || !same_shape(g, kept) ||
        kind < 0 || kind >= kActivations)
        return py::none();
    py::object dx = empty_like(g);
    const int64_t n = PyArray_SIZE(g);
    with_table(PyArray_TYPE(g), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(dx);
        Unlock unlock(n);
        table.backward[kind](data<T>(g), data<T>(kept), to, n);
    });
    return dx;
}

}  // namespace

void bind_activation(py::module_& m) {
    m.def("activation", &activation, py::arg("kind"), py::arg("x"));
    m.def("activation_backward", &activation_backward, py::arg("kind"), py::arg("g"), py::arg("kept"));
    m.attr("ACTIVATIONS") = py::make_tuple("relu", "tanh", "sigmoid", "softplus", "log_sigmoid", "silu",
                                           "gelu", "gelu_tanh", "mish", "erf");
}

}  // namespace tflbp
