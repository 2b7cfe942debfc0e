// conv_forward, conv_weight_grad: one group, no negative padding.
#include <vector>

#include "arrays.h"
#include "cpu/conv.h"

namespace tflbp {
namespace {

// A row of a window must be a run worth the jump; below, patches written down are faster.
constexpr int64_t kShortestRun = 12;
// The weight gradient reads g in place, a vector of filters at a time (16 float32 with AVX-512).
constexpr int64_t kFewestFilters = 16;

bool read_ints(py::handle h, int count, int64_t first, int64_t* to) {
    if (!PyTuple_Check(h.ptr()) || PyTuple_GET_SIZE(h.ptr()) != count) return false;
    for (int i = 0; i < kConvAxes - count; ++i) to[i] = first;
    for (int i = 0; i < count; ++i)
        to[kConvAxes - count + i] = py::handle(PyTuple_GET_ITEM(h.ptr(), i)).cast<int64_t>();
    return true;
}

// From x's shape and w's, both of axes + 2.
bool conv_shape(PyArrayObject* x, const std::vector<npy_intp>& w, py::handle strides, py::handle pads,
                py::handle dilation, ConvShape* s, std::vector<npy_intp>* out) {
    const int ndim = PyArray_NDIM(x), axes = ndim - 2;
    if (axes < 1 || axes > kConvAxes || (int)w.size() != ndim || !is_float(x)) return false;
    s->batch = PyArray_DIM(x, 0), s->channels = PyArray_DIM(x, ndim - 1), s->filters = w.back();
    if (w[axes] != s->channels || !read_ints(strides, axes, 1, s->stride) ||
        !read_ints(dilation, axes, 1, s->dilation))
        return false;
    if (!PyTuple_Check(pads.ptr()) || PyTuple_GET_SIZE(pads.ptr()) != axes) return false;
    out->assign(1, s->batch);
    for (int a = 0; a < kConvAxes; ++a) {
        const int i = a - (kConvAxes - axes);
        s->in[a] = i < 0 ? 1 : PyArray_DIM(x, i + 1), s->window[a] = i < 0 ? 1 : w[i];
        s->low[a] = s->high[a] = 0;
        if (i >= 0) {
            py::handle pair(PyTuple_GET_ITEM(pads.ptr(), i));
            if (!PyTuple_Check(pair.ptr()) || PyTuple_GET_SIZE(pair.ptr()) != 2) return false;
            s->low[a] = py::handle(PyTuple_GET_ITEM(pair.ptr(), 0)).cast<int64_t>();
            s->high[a] = py::handle(PyTuple_GET_ITEM(pair.ptr(), 1)).cast<int64_t>();
        }
        const int64_t room = s->in[a] + s->low[a] + s->high[a] - (s->window[a] - 1) * s->dilation[a] - 1;
        if (room < 0 || s->low[a] < 0 || s->high[a] < 0 || s->stride[a] < 1 || s->dilation[a] < 1 ||
            s->window[a] < 1)
            return false;
        s->out[a] = room / s->stride[a] + 1;
        if (i >= 0) out->push_back(s->out[a]);
    }
    out->push_back(s->filters);
    return s->batch > 0 && s->filters > 0 &&
           s->channels * (s->dilation[2] == 1 ? s->window[2] : 1) >= kShortestRun;
}

std::vector<npy_intp> shape_of(PyArrayObject* a) {
    return std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a));
}

void check_memory(bool enough) {
    if (enough) return;
    PyErr_NoMemory();
    throw py::error_already_set();
}

// f() with the type's zero, the lock dropped; false when out of memory
template <class F>
void run(int type, const F& f) {
    bool enough;
    {
        Unlock unlock(int64_t(1) << 20);
        enough = type == NPY_FLOAT32 ? f(0.f) : f(0.0);
    }
    check_memory(enough);
}

py::object py_conv_forward(py::handle xh, py::handle wh, py::handle strides, py::handle pads,
                           py::handle dilation) {
    PyArrayObject* x = plain_array(xh);
    if (!x || !gemm_available()) return py::none();
    PyArrayObject* w = plain_array(wh, PyArray_TYPE(x));
    ConvShape s;
    std::vector<npy_intp> shape;
    if (!w || !conv_shape(x, shape_of(w), strides, pads, dilation, &s, &shape)) return py::none();
    py::object out = empty((int)shape.size(), shape.data(), PyArray_TYPE(x));
    run(PyArray_TYPE(x), [&](auto zero) {
        using T = decltype(zero);
        return conv_forward<T>(s, data<T>(x), data<T>(w), data<T>(out));
    });
    return out;
}

py::object py_conv_weight_grad(py::handle gh, py::handle xh, py::handle w_shape, py::handle strides,
                               py::handle pads, py::handle dilation) {
    PyArrayObject* x = plain_array(xh);
    if (!x || !gemm_available() || !PyTuple_Check(w_shape.ptr())) return py::none();
    PyArrayObject* g = plain_array(gh, PyArray_TYPE(x));
    std::vector<npy_intp> w, shape;
    for (py::handle n : py::reinterpret_borrow<py::tuple>(w_shape)) w.push_back(n.cast<npy_intp>());
    ConvShape s;
    if (!g || w.empty() || w.back() < kFewestFilters ||
        !conv_shape(x, w, strides, pads, dilation, &s, &shape) || shape_of(g) != shape)
        return py::none();
    py::object dw = empty((int)w.size(), w.data(), PyArray_TYPE(x));
    run(PyArray_TYPE(x), [&](auto zero) {
        using T = decltype(zero);
        return conv_weight_grad<T>(s, data<T>(x), data<T>(g), data<T>(dw));
    });
    return dw;
}

}  // namespace

void bind_conv(py::module_& m) {
    m.def("conv_forward", &py_conv_forward, py::arg("x"), py::arg("w"), py::arg("strides"), py::arg("pads"),
          py::arg("dilation"));
    m.def("conv_weight_grad", &py_conv_weight_grad, py::arg("g"), py::arg("x"), py::arg("w_shape"),
          py::arg("strides"), py::arg("pads"), py::arg("dilation"));
}

}  // namespace tflbp
