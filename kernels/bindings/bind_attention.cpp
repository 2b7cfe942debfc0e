// attention_forward, attention_backward: heads together on the first axis, no mask but the causal one.
#include "arrays.h"
#include "cpu/attention.h"
#include "cpu/gemm.h"

namespace tflbp {
namespace {

bool attention_shape(PyArrayObject* q, PyArrayObject* k, PyArrayObject* v, bool causal, double scale,
                     AttentionShape* s) {
    if (!q || !k || !v || !gemm_available() || !is_float(q)) return false;
    if (PyArray_NDIM(q) != 3 || PyArray_NDIM(k) != 3 || PyArray_NDIM(v) != 3) return false;
    *s = {PyArray_DIM(q, 0),
          PyArray_DIM(q, 1),
          PyArray_DIM(k, 1),
          PyArray_DIM(q, 2),
          PyArray_DIM(v, 2),
          scale,
          causal};
    return PyArray_DIM(k, 0) == s->heads && PyArray_DIM(v, 0) == s->heads && PyArray_DIM(k, 2) == s->depth &&
           PyArray_DIM(v, 1) == s->keys && PyArray_SIZE(q) > 0 && PyArray_SIZE(k) > 0 && PyArray_SIZE(v) > 0;
}

template <class F>
void run(int type, const F& f) {
    bool enough;
    {
        Unlock unlock(int64_t(1) << 20);
        enough = type == NPY_FLOAT32 ? f(0.f) : f(0.0);
    }
    if (enough) return;
    PyErr_NoMemory();
    throw py::error_already_set();
}

py::object forward(py::handle qh, py::handle kh, py::handle vh, bool causal, double scale) {
    PyArrayObject* q = plain_array(qh);
    if (!q) return py::none();
    const int type = PyArray_TYPE(q);
    PyArrayObject *k = plain_array(kh, type), *v = plain_array(vh, type);
    AttentionShape s;
    if (!attention_shape(q, k, v, causal, scale, &s)) return py::none();
    const npy_intp shape[3] = {npy_intp(s.heads), npy_intp(s.rows), npy_intp(s.width)};
    const npy_intp column[3] = {shape[0], shape[1], 1};
    py::object out = empty(3, shape, type), lse = empty(3, column, type);
    run(type, [&](auto zero) {
        using T = decltype(zero);
        return attention_forward<T>({s, data<T>(q), data<T>(k), data<T>(v), data<T>(out), data<T>(lse)});
    });
    return py::make_tuple(std::move(out), std::move(lse));
}

py::object backward(py::handle gh, py::handle qh, py::handle kh, py::handle vh, py::handle outh,
                    py::handle lseh, bool causal, double scale) {
    PyArrayObject* q = plain_array(qh);
    if (!q) return py::none();
    const int type = PyArray_TYPE(q);
    PyArrayObject *k = plain_array(kh, type), *v = plain_array(vh, type), *g = plain_array(gh, type),
                  *out = plain_array(outh, type), *lse = plain_array(lseh, type);
    AttentionShape s;
    if (!attention_shape(q, k, v, causal, scale, &s) || !g || !out || !lse || !same_shape(g, out) ||
        PyArray_SIZE(out) != s.heads * s.rows * s.width || PyArray_SIZE(lse) != s.heads * s.rows)
        return py::none();
    py::object dq = empty_like(q), dk = empty_like(k), dv = empty_like(v);
    run(type, [&](auto zero) {
        using T = decltype(zero);
        return attention_backward<T>({s, data<T>(g), data<T>(q), data<T>(k), data<T>(v), data<T>(out),
                                      data<T>(lse), data<T>(dq), data<T>(dk), data<T>(dv)});
    });
    return py::make_tuple(std::move(dq), std::move(dk), std::move(dv));
}

}  // namespace

void bind_attention(py::module_& m) {
    m.def("attention_forward", &forward, py::arg("q"), py::arg("k"), py::arg("v"), py::arg("causal"),
          py::arg("scale"));
    m.def("attention_backward", &backward, py::arg("g"), py::arg("q"), py::arg("k"), py::arg("v"),
          py::arg("out"), py::arg("lse"), py::arg("causal"), py::arg("scale"));
}

}  // namespace tflbp
