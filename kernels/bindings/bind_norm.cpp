// batch_norm_*, row_norm_* (layer norm, RMS norm), group_norm_*: forward and backward.
#include <memory>

#include "arrays.h"
#include "tflbp/batch_norm.h"
#include "tflbp/row_norms.h"

namespace tflbp {
namespace {

template <class T>
const NormTable<T>& table();
template <>
const NormTable<float>& table<float>() {
    return TFLBP_DISPATCH(norm_f32);
}
template <>
const NormTable<double>& table<double>() {
    return TFLBP_DISPATCH(norm_f64);
}

// x as (outer, channels, inner) about `axis`; false if the axis is out of range or x is empty.
bool shape_about(PyArrayObject* x, int axis, NormShape* s) {
    const int ndim = PyArray_NDIM(x);
    if (axis < 0) axis += ndim;
    if (axis < 0 || axis >= ndim || PyArray_SIZE(x) == 0) return false;
    *s = {1, PyArray_DIM(x, axis), 1};
    for (int i = 0; i < axis; ++i) s->outer *= PyArray_DIM(x, i);
    for (int i = axis + 1; i < ndim; ++i) s->inner *= PyArray_DIM(x, i);
    return true;
}

// A (channels) array of that type; `missing` when it is None, null with *fits = false when it does not fit.
PyArrayObject* per_channel(py::handle h, int type, int64_t channels, bool optional, bool* fits) {
    if (optional && h.is_none()) return nullptr;
    PyArrayObject* a = plain_array(h, type);
    if (!a || PyArray_NDIM(a) != 1 || PyArray_DIM(a, 0) != channels) *fits = false;
    return a;
}

template <class T>
py::object forward(PyArrayObject* x, PyArrayObject* weight, PyArrayObject* bias, double eps, bool relu,
                   const NormShape& shape) {
    const npy_intp channels = shape.channels;
    const int type = PyArray_TYPE(x);
    py::object out = empty_like(x), mean = empty(1, &channels, type), var = empty(1, &channels, type),
               inv = empty(1, &channels, type), scale, offset;
    if (relu) scale = empty(1, &channels, type), offset = empty(1, &channels, type);
    const NormTable<T>& kernels = table<T>();
    std::unique_ptr<double[]> work(new double[kernels.workspace(shape) / sizeof(double) + 1]);
    NormForward<T> a{shape,
                     data<T>(x),
                     weight ? data<T>(weight) : nullptr,
                     bias ? data<T>(bias) : nullptr,
                     eps,
                     data<T>(out),
                     data<T>(mean),
                     data<T>(var),
                     data<T>(inv),
                     work.get(),
                     relu ? data<T>(scale) : nullptr,
                     relu ? data<T>(offset) : nullptr};
    {
        Unlock unlock(PyArray_SIZE(x));
        kernels.forward(a);
    }
    if (relu) return py::make_tuple(out, mean, var, inv, py::make_tuple(scale, offset));
    return py::make_tuple(std::move(out), std::move(mean), std::move(var), std::move(inv));
}

py::object batch_norm_forward(py::handle x_, py::handle weight_, py::handle bias_, double eps, int axis,
                              bool relu) {
    PyArrayObject* x = plain_array(x_);
    NormShape shape;
    if (!x || !is_float(x) || !shape_about(x, axis, &shape)) return py::none();
    bool fits = true;
    PyArrayObject* weight = per_channel(weight_, PyArray_TYPE(x), shape.channels, true, &fits);
    PyArrayObject* bias = per_channel(bias_, PyArray_TYPE(x), shape.channels, true, &fits);
    if (!fits) return py::none();
    return PyArray_TYPE(x) == NPY_FLOAT32 ? forward<float>(x, weight, bias, eps, relu, shape)
                                          : forward<double>(x, weight, bias, eps, relu, shape);
}

template <class T>
py::object backward(PyArrayObject* g, PyArrayObject* x, PyArrayObject* weight, PyArrayObject* mean,
                    PyArrayObject* inv, PyArrayObject* scale, PyArrayObject* offset, const NormShape& shape) {
    const npy_intp channels = shape.channels;
    const int type = PyArray_TYPE(x);
    py::object dx = empty_like(x), dweight = empty(1, &channels, type), dbias = empty(1, &channels, type);
    const NormTable<T>& kernels = table<T>();
    std::unique_ptr<double[]> work(new double[kernels.workspace(shape) / sizeof(double) + 1]);
    NormBackward<T> a{shape,
                      data<T>(g),
                      data<T>(x),
                      weight ? data<T>(weight) : nullptr,
                      data<T>(mean),
                      data<T>(inv),
                      data<T>(dx),
                      data<T>(dweight),
                      data<T>(dbias),
                      work.get(),
                      scale ? data<T>(scale) : nullptr,
                      scale ? data<T>(offset) : nullptr};
    {
        Unlock unlock(PyArray_SIZE(x));
        kernels.backward(a);
    }
    return py::make_tuple(std::move(dx), std::move(dweight), std::move(dbias));
}

py::object batch_norm_backward(py::handle g_, py::handle x_, py::handle weight_, py::handle mean_,
                               py::handle inv_std_, int axis, py::handle relu) {
    PyArrayObject* x = plain_array(x_);
    NormShape shape;
    if (!x || !is_float(x) || !shape_about(x, axis, &shape)) return py::none();
    const int type = PyArray_TYPE(x);
    PyArrayObject* g = plain_array(g_, type);
    if (!g || !same_shape(g, x)) return py::none();
    PyArrayObject *scale = nullptr, *offset = nullptr;
    bool fits = true;
    PyArrayObject* weight = per_channel(weight_, type, shape.channels, true, &fits);
    PyArrayObject* mean = per_channel(mean_, type, shape.channels, false, &fits);
    PyArrayObject* inv = per_channel(inv_std_, type, shape.channels, false, &fits);
    if (!relu.is_none()) {
        fits = fits && PyTuple_Check(relu.ptr()) && PyTuple_GET_SIZE(relu.ptr()) == 2;
        if (!fits) return py::none();
        scale = per_channel(PyTuple_GET_ITEM(relu.ptr(), 0), type, shape.channels, false, &fits);
        offset = per_channel(PyTuple_GET_ITEM(relu.ptr(), 1), type, shape.channels, false, &fits);
    }
    if (!fits) return py::none();
    return type == NPY_FLOAT32 ? backward<float>(g, x, weight, mean, inv, scale, offset, shape)
                               : backward<double>(g, x, weight, mean, inv, scale, offset, shape);
}

// ------------------------------------------------------------------------------------------ rows, groups

template <class F>
void with_rows(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(TFLBP_DISPATCH(row_norm_f32), 0.f);
    else
        f(TFLBP_DISPATCH(row_norm_f64), 0.0);
}

template <class T>
T* data_or_null(PyArrayObject* a) {
    return a ? data<T>(a) : nullptr;
}

// An array of that type with n elements in any shape; see per_channel.
PyArrayObject* flat(py::handle h, int type, int64_t n, bool optional, bool* fits) {
    if (optional && h.is_none()) return nullptr;
    PyArrayObject* a = plain_array(h, type);
    if (!a || PyArray_SIZE(a) != n) *fits = false;
    return a;
}

// Rows of `features` elements: the trailing axes. (out, mean, inv_std); mean is None unless centred.
py::object row_norm_forward(py::handle x_, py::handle weight_, py::handle bias_, double eps, int64_t features,
                            bool centred) {
    PyArrayObject* x = plain_array(x_);
    if (!x || !is_float(x) || features < 1 || PyArray_SIZE(x) % features) return py::none();
    const int type = PyArray_TYPE(x);
    bool fits = true;
    PyArrayObject *w = flat(weight_, type, features, true, &fits),
                  *b = flat(bias_, type, features, true, &fits);
    if (!fits || (b && !w)) return py::none();
    const npy_intp rows = PyArray_SIZE(x) / features;
    py::object out = empty_like(x), inv = empty(1, &rows, type), mean = py::none();
    if (centred) mean = empty(1, &rows, type);
    with_rows(type, [&](const auto& table, auto zero) {
        using T = decltype(zero);
        const RowNormForward<T> a{rows,
                                  features,
                                  data<T>(x),
                                  data_or_null<T>(w),
                                  data_or_null<T>(b),
                                  eps,
                                  centred,
                                  data<T>(out),
                                  centred ? data<T>(mean) : nullptr,
                                  data<T>(inv)};
        Unlock unlock(rows * features);
        table.forward(a);
    });
    return py::make_tuple(std::move(out), std::move(mean), std::move(inv));
}

// (dx, dweight, dbias); the last two None when there is no weight.
py::object row_norm_backward(py::handle g_, py::handle x_, py::handle weight_, py::handle mean_,
                             py::handle inv_) {
    PyArrayObject* x = plain_array(x_);
    if (!x || !is_float(x)) return py::none();
    const int type = PyArray_TYPE(x);
    PyArrayObject *g = plain_array(g_, type), *inv = plain_array(inv_, type);
    if (!g || !inv || !same_shape(g, x) || PyArray_SIZE(inv) == 0) return py::none();
    const int64_t rows = PyArray_SIZE(inv);
    const npy_intp features = PyArray_SIZE(x) / rows;
    const bool centred = !mean_.is_none();
    bool fits = features * rows == PyArray_SIZE(x);
    PyArrayObject *w = flat(weight_, type, features, true, &fits),
                  *mean = flat(mean_, type, rows, true, &fits);
    if (!fits) return py::none();
    py::object dx = empty_like(x), dw = py::none(), db = py::none();
    if (w) dw = empty_like(w), db = empty_like(w);
    with_rows(type, [&](const auto& table, auto zero) {
        using T = decltype(zero);
        std::unique_ptr<double[]> work(
            new double[w ? table.workspace(rows, features) / sizeof(double) + 1 : 1]);
        const RowNormBackward<T> a{rows,
                                   features,
                                   data<T>(g),
                                   data<T>(x),
                                   data_or_null<T>(w),
                                   data_or_null<T>(mean),
                                   data<T>(inv),
                                   centred,
                                   data<T>(dx),
                                   w ? data<T>(dw) : nullptr,
                                   w ? data<T>(db) : nullptr,
                                   work.get()};
        Unlock unlock(rows * features);
        table.backward(a);
    });
    return py::make_tuple(std::move(dx), std::move(dw), std::move(db));
}

bool group_shape(PyArrayObject* x, int64_t groups, GroupShape* s) {
    const int ndim = PyArray_NDIM(x);
    if (!is_float(x) || ndim < 2 || PyArray_SIZE(x) == 0 || groups < 1) return false;
    const int64_t channels = PyArray_DIM(x, ndim - 1), batch = PyArray_DIM(x, 0);
    if (channels % groups) return false;
    *s = {batch, PyArray_SIZE(x) / (batch * channels), groups, channels / groups};
    return true;
}

py::object group_norm_forward(py::handle x_, py::handle weight_, py::handle bias_, double eps,
                              int64_t groups) {
    PyArrayObject* x = plain_array(x_);
    GroupShape s;
    if (!x || !group_shape(x, groups, &s)) return py::none();
    const int type = PyArray_TYPE(x);
    const int64_t channels = s.groups * s.channels;
    bool fits = true;
    PyArrayObject *w = per_channel(weight_, type, channels, true, &fits),
                  *b = per_channel(bias_, type, channels, true, &fits);
    if (!fits) return py::none();
    const npy_intp shape[2] = {npy_intp(s.batch), npy_intp(s.groups)};
    py::object out = empty_like(x), mean = empty(2, shape, type), inv = empty(2, shape, type);
    with_rows(type, [&](const auto& table, auto zero) {
        using T = decltype(zero);
        const GroupNormForward<T> a{s,   data<T>(x),   data_or_null<T>(w), data_or_null<T>(b),
                                    eps, data<T>(out), data<T>(mean),      data<T>(inv)};
        Unlock unlock(PyArray_SIZE(x));
        table.group_forward(a);
    });
    return py::make_tuple(std::move(out), std::move(mean), std::move(inv));
}

py::object group_norm_backward(py::handle g_, py::handle x_, py::handle weight_, py::handle mean_,
                               py::handle inv_, int64_t groups) {
    PyArrayObject* x = plain_array(x_);
    GroupShape s;
    if (!x || !group_shape(x, groups, &s)) return py::none();
    const int type = PyArray_TYPE(x);
    PyArrayObject* g = plain_array(g_, type);
    const npy_intp channels = npy_intp(s.groups * s.channels);
    bool fits = g && same_shape(g, x);
    PyArrayObject *w = per_channel(weight_, type, channels, true, &fits),
                  *mean = flat(mean_, type, s.batch * s.groups, false, &fits),
                  *inv = flat(inv_, type, s.batch * s.groups, false, &fits);
    if (!fits) return py::none();
    py::object dx = empty_like(x), dw = empty(1, &channels, type), db = empty(1, &channels, type);
    with_rows(type, [&](const auto& table, auto zero) {
        using T = decltype(zero);
        std::unique_ptr<double[]> work(new double[size_t(2 * s.batch * channels)]);
        const GroupNormBackward<T> a{
            s,           data<T>(g),  data<T>(x),  data_or_null<T>(w), data<T>(mean), data<T>(inv),
            data<T>(dx), data<T>(dw), data<T>(db), work.get()};
        Unlock unlock(PyArray_SIZE(x));
        table.group_backward(a);
    });
    return py::make_tuple(std::move(dx), std::move(dw), std::move(db));
}

}  // namespace

void bind_norm(py::module_& m) {
    m.def("batch_norm_forward", &batch_norm_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
          py::arg("eps"), py::arg("axis"), py::arg("relu") = false);
    m.def("batch_norm_backward", &batch_norm_backward, py::arg("g"), py::arg("x"), py::arg("weight"),
          py::arg("mean"), py::arg("inv_std"), py::arg("axis"), py::arg("relu") = py::none());
    m.def("row_norm_forward", &row_norm_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
          py::arg("eps"), py::arg("features"), py::arg("centred"));
    m.def("row_norm_backward", &row_norm_backward, py::arg("g"), py::arg("x"), py::arg("weight"),
          py::arg("mean"), py::arg("inv_std"));
    m.def("group_norm_forward", &group_norm_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
          py::arg("eps"), py::arg("groups"));
    m.def("group_norm_backward", &group_norm_backward, py::arg("g"), py::arg("x"), py::arg("weight"),
          py::arg("mean"), py::arg("inv_std"), py::arg("groups"));
}

}  // namespace tflbp
