// batch_norm_forward, batch_norm_backward.
#include <memory>

#include "arrays.h"
#include "tflbp/kernels.h"

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
py::object forward(PyArrayObject* x, PyArrayObject* weight, PyArrayObject* bias, double eps,
                   const NormShape& shape) {
    const npy_intp channels = shape.channels;
    const int type = PyArray_TYPE(x);
    py::object out = empty_like(x), mean = empty(1, &channels, type), var = empty(1, &channels, type),
               inv = empty(1, &channels, type);
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
                     work.get()};
    {
        Unlock unlock(PyArray_SIZE(x));
        kernels.forward(a);
    }
    return py::make_tuple(std::move(out), std::move(mean), std::move(var), std::move(inv));
}

py::object batch_norm_forward(py::handle x_, py::handle weight_, py::handle bias_, double eps, int axis) {
    PyArrayObject* x = plain_array(x_);
    NormShape shape;
    if (!x || !is_float(x) || !shape_about(x, axis, &shape)) return py::none();
    bool fits = true;
    PyArrayObject* weight = per_channel(weight_, PyArray_TYPE(x), shape.channels, true, &fits);
    PyArrayObject* bias = per_channel(bias_, PyArray_TYPE(x), shape.channels, true, &fits);
    if (!fits) return py::none();
    return PyArray_TYPE(x) == NPY_FLOAT32 ? forward<float>(x, weight, bias, eps, shape)
                                          : forward<double>(x, weight, bias, eps, shape);
}

template <class T>
py::object backward(PyArrayObject* g, PyArrayObject* x, PyArrayObject* weight, PyArrayObject* mean,
                    PyArrayObject* inv, const NormShape& shape) {
    const npy_intp channels = shape.channels;
    const int type = PyArray_TYPE(x);
    py::object dx = empty_like(x), dweight = empty(1, &channels, type), dbias = empty(1, &channels, type);
    const NormTable<T>& kernels = table<T>();
    std::unique_ptr<double[]> work(new double[kernels.workspace(shape) / sizeof(double) + 1]);
    NormBackward<T> a{shape,          data<T>(g),   data<T>(x),  weight ? data<T>(weight) : nullptr,
                      data<T>(mean),  data<T>(inv), data<T>(dx), data<T>(dweight),
                      data<T>(dbias), work.get()};
    {
        Unlock unlock(PyArray_SIZE(x));
        kernels.backward(a);
    }
    return py::make_tuple(std::move(dx), std::move(dweight), std::move(dbias));
}

py::object batch_norm_backward(py::handle g_, py::handle x_, py::handle weight_, py::handle mean_,
                               py::handle inv_std_, int axis) {
    PyArrayObject* x = plain_array(x_);
    NormShape shape;
    if (!x || !is_float(x) || !shape_about(x, axis, &shape)) return py::none();
    const int type = PyArray_TYPE(x);
    PyArrayObject* g = plain_array(g_, type);
    if (!g || !same_shape(g, x)) return py::none();
    bool fits = true;
    PyArrayObject* weight = per_channel(weight_, type, shape.channels, true, &fits);
    PyArrayObject* mean = per_channel(mean_, type, shape.channels, false, &fits);
    PyArrayObject* inv = per_channel(inv_std_, type, shape.channels, false, &fits);
    if (!fits) return py::none();
    return type == NPY_FLOAT32 ? backward<float>(g, x, weight, mean, inv, shape)
                               : backward<double>(g, x, weight, mean, inv, shape);
}

}  // namespace

void bind_norm(py::module_& m) {
    m.def("batch_norm_forward", &batch_norm_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
          py::arg("eps"), py::arg("axis"));
    m.def("batch_norm_backward", &batch_norm_backward, py::arg("g"), py::arg("x"), py::arg("weight"),
          py::arg("mean"), py::arg("inv_std"), py::arg("axis"));
}

}  // namespace tflbp
