// depthwise_forward, depthwise_weight_grad: one filter per channel, x with its padding.
#include <memory>
#include <vector>

#include "arrays.h"
#include "tflbp/depthwise.h"

namespace tflbp {
namespace {

bool read_ints(py::handle h, int count, int64_t* to) {
    if (!PyTuple_Check(h.ptr()) || PyTuple_GET_SIZE(h.ptr()) != count) return false;
    for (int i = 0; i < kDepthwiseAxes - count; ++i) to[i] = 1;
    for (int i = 0; i < count; ++i)
        to[kDepthwiseAxes - count + i] = py::handle(PyTuple_GET_ITEM(h.ptr(), i)).cast<int64_t>();
    return true;
}

// w: (*window, 1, channels)
bool depthwise_shape(PyArrayObject* x, const std::vector<npy_intp>& w, py::handle strides,
                     py::handle dilation, DepthwiseShape* s, std::vector<npy_intp>* out) {
    const int ndim = PyArray_NDIM(x), axes = ndim - 2;
    if (!is_float(x) || axes < 1 || axes > kDepthwiseAxes || (int)w.size() != ndim || PyArray_SIZE(x) == 0)
        return false;
    s->batch = PyArray_DIM(x, 0), s->channels = PyArray_DIM(x, ndim - 1);
    if (w[axes] != 1 || w[axes + 1] != s->channels || !read_ints(strides, axes, s->stride) ||
        !read_ints(dilation, axes, s->dilation))
        return false;
    out->assign(1, s->batch);
    for (int a = 0; a < kDepthwiseAxes; ++a) {
        const int i = a - (kDepthwiseAxes - axes);
        s->in[a] = i < 0 ? 1 : PyArray_DIM(x, i + 1), s->window[a] = i < 0 ? 1 : w[i];
        const int64_t room = s->in[a] - (s->window[a] - 1) * s->dilation[a] - 1;
        if (room < 0 || s->window[a] < 1 || s->stride[a] < 1 || s->dilation[a] < 1) return false;
        s->out[a] = room / s->stride[a] + 1;
        if (i >= 0) out->push_back(s->out[a]);
    }
    out->push_back(s->channels);
    return true;
}

std::vector<npy_intp> shape_of(PyArrayObject* a) {
    return std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a));
}

template <class F>
void with_table(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(TFLBP_DISPATCH(depthwise_f32), 0.f);
    else
        f(TFLBP_DISPATCH(depthwise_f64), 0.0);
}

py::object forward(py::handle xh, py::handle wh, py::handle strides, py::handle dilation) {
    PyArrayObject* x = plain_array(xh);
    if (!x) return py::none();
    PyArrayObject* w = plain_array(wh, PyArray_TYPE(x));
    DepthwiseShape s;
    std::vector<npy_intp> shape;
    if (!w || !depthwise_shape(x, shape_of(w), strides, dilation, &s, &shape)) return py::none();
    py::object out = empty((int)shape.size(), shape.data(), PyArray_TYPE(x));
    with_table(PyArray_TYPE(x), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(out);
        Unlock unlock(PyArray_SIZE(x));
        table.forward(s, data<T>(x), data<T>(w), to);
    });
    return out;
}

py::object weight_grad(py::handle gh, py::handle xh, py::handle w_shape, py::handle strides,
                       py::handle dilation) {
    PyArrayObject* x = plain_array(xh);
    if (!x || !PyTuple_Check(w_shape.ptr())) return py::none();
    PyArrayObject* g = plain_array(gh, PyArray_TYPE(x));
    std::vector<npy_intp> w, shape;
    for (py::handle n : py::reinterpret_borrow<py::tuple>(w_shape)) w.push_back(n.cast<npy_intp>());
    DepthwiseShape s;
    if (!g || !depthwise_shape(x, w, strides, dilation, &s, &shape) || shape_of(g) != shape)
        return py::none();
    py::object dw = empty((int)w.size(), w.data(), PyArray_TYPE(x));
    std::unique_ptr<double[]> work(new double[size_t(s.batch * s.places() * s.channels)]);
    with_table(PyArray_TYPE(x), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(dw);
        Unlock unlock(PyArray_SIZE(x));
        table.weights(s, data<T>(x), data<T>(g), to, work.get());
    });
    return dw;
}

}  // namespace

void bind_depthwise(py::module_& m) {
    m.def("depthwise_forward", &forward, py::arg("x"), py::arg("w"), py::arg("strides"), py::arg("dilation"));
    m.def("depthwise_weight_grad", &weight_grad, py::arg("g"), py::arg("x"), py::arg("w_shape"),
          py::arg("strides"), py::arg("dilation"));
}

}  // namespace tflbp
