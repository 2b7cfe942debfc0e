// conv_forward, conv_backward: no negative padding.
#include <vector>

#include "arrays.h"
#include "cpu/conv.h"

namespace tflbp {
namespace {

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
    if (w[axes] < 1 || s->channels % w[axes]) return false;
    s->groups = s->channels / w[axes];
    if (s->groups < 1 || s->filters % s->groups || !read_ints(strides, axes, 1, s->stride) ||
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
    return s->batch > 0 && s->filters > 0 && s->channels > 0 && (s->depthwise() || gemm_available());
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

bool has_length(PyArrayObject* a, int64_t n) { return a && PyArray_NDIM(a) == 1 && PyArray_DIM(a, 0) == n; }

py::object py_conv_forward(py::handle xh, py::handle wh, py::handle bh, bool relu, py::handle strides,
                           py::handle pads, py::handle dilation) {
    PyArrayObject *x = plain_array(xh), *b = nullptr;
    if (!x) return py::none();
    PyArrayObject* w = plain_array(wh, PyArray_TYPE(x));
    ConvShape s;
    std::vector<npy_intp> shape;
    if (!w || !conv_shape(x, shape_of(w), strides, pads, dilation, &s, &shape)) return py::none();
    if (!bh.is_none() && !has_length(b = plain_array(bh, PyArray_TYPE(x)), s.filters)) return py::none();
    py::object out = empty((int)shape.size(), shape.data(), PyArray_TYPE(x));
    run(PyArray_TYPE(x), [&](auto zero) {
        using T = decltype(zero);
        return conv_forward<T>(s, data<T>(x), data<T>(w), b ? data<T>(b) : nullptr, relu, data<T>(out));
    });
    return out;
}

py::object py_conv_backward(py::handle gh, py::handle xh, py::handle wh, py::handle outh, bool need_dx,
                            bool need_dw, bool need_db, py::handle strides, py::handle pads,
                            py::handle dilation) {
    PyArrayObject *x = plain_array(xh), *w = nullptr, *out = nullptr;
    if (!x) return py::none();
    const int type = PyArray_TYPE(x);
    PyArrayObject* g = plain_array(gh, type);
    std::vector<npy_intp> w_shape, shape;
    if (!PyTuple_Check(wh.ptr())) {
        if (!(w = plain_array(wh, type))) return py::none();
        w_shape = shape_of(w);
    } else if (!need_dx) {
        for (py::handle n : py::reinterpret_borrow<py::tuple>(wh)) w_shape.push_back(n.cast<npy_intp>());
    }
    ConvShape s;
    if (!g || w_shape.empty() || !conv_shape(x, w_shape, strides, pads, dilation, &s, &shape) ||
        shape_of(g) != shape || (need_dx && !has_input_grad(s)))
        return py::none();
    if (!outh.is_none() && (!(out = plain_array(outh, type)) || shape_of(out) != shape)) return py::none();
    py::object dx, dw, db;
    if (need_dx) dx = empty_like(x);
    if (need_dw) dw = empty((int)w_shape.size(), w_shape.data(), type);
    if (need_db) db = empty(1, &w_shape.back(), type);
    run(type, [&](auto zero) {
        using T = decltype(zero);
        const auto at = [](const py::object& a) { return a ? data<T>(a) : nullptr; };
        return conv_backward<T>({s, data<T>(g), data<T>(x), w ? data<T>(w) : nullptr,
                                 out ? data<T>(out) : nullptr, at(dx), at(dw), at(db)});
    });
    const auto or_none = [](py::object& a) { return a ? std::move(a) : py::object(py::none()); };
    return py::make_tuple(or_none(dx), or_none(dw), or_none(db));
}

}  // namespace

void bind_conv(py::module_& m) {
    m.def("conv_forward", &py_conv_forward, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("relu"),
          py::arg("strides"), py::arg("pads"), py::arg("dilation"));
    m.def("conv_backward", &py_conv_backward, py::arg("g"), py::arg("x"), py::arg("w"), py::arg("out"),
          py::arg("need_dx"), py::arg("need_dw"), py::arg("need_db"), py::arg("strides"), py::arg("pads"),
          py::arg("dilation"),
          "(dx, dw, db) of conv_forward, None for those not needed. out: what it gave when it applied ReLU, "
          "else None. w: the array, or its shape where dx is not needed. None with strides when dx is.");
}

}  // namespace tflbp
