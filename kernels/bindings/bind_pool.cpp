// max_pool_*, avg_pool_*, scatter_rows.
#include <memory>
#include <vector>

#include "arrays.h"
#include "tflbp/pooling.h"
#include "tflbp/rows.h"

namespace tflbp {
namespace {

constexpr int64_t kFewestChannels = 8;  // below, NumPy's passes over whole rows are faster

template <class F>
void with_pool(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(TFLBP_DISPATCH(pool_f32), 0.f);
    else
        f(TFLBP_DISPATCH(pool_f64), 0.0);
}

bool read_ints(py::handle h, int count, int64_t first, int64_t* to) {
    if (!PyTuple_Check(h.ptr()) || PyTuple_GET_SIZE(h.ptr()) != count) return false;
    for (int i = 0; i < kPoolAxes - count; ++i) to[i] = first;
    for (int i = 0; i < count; ++i)
        to[kPoolAxes - count + i] = py::handle(PyTuple_GET_ITEM(h.ptr(), i)).cast<int64_t>();
    return true;
}

// `in` and `out`: the shapes (batch, *space, channels) of the input and of the output; false when not for the
// kernel.
bool pool_shape(const std::vector<npy_intp>& in, py::handle window, py::handle strides, py::handle pads,
                PoolShape* s, std::vector<npy_intp>* out) {
    const int axes = (int)in.size() - 2;
    if (axes < 1 || axes > kPoolAxes) return false;
    s->batch = in.front(), s->channels = in.back();
    if (s->channels < kFewestChannels || s->batch == 0) return false;
    if (!read_ints(window, axes, 1, s->window) || !read_ints(strides, axes, 1, s->stride)) return false;
    if (!PyTuple_Check(pads.ptr()) || PyTuple_GET_SIZE(pads.ptr()) != axes) return false;
    if (s->window[0] * s->window[1] * s->window[2] > kMostPlaces) return false;
    *out = in;
    for (int a = 0; a < kPoolAxes; ++a) {
        const int i = a - (kPoolAxes - axes);
        s->in[a] = i < 0 ? 1 : in[i + 1], s->low[a] = 0;
        int64_t high = 0;
        if (i >= 0) {
            py::handle pair(PyTuple_GET_ITEM(pads.ptr(), i));
            if (!PyTuple_Check(pair.ptr()) || PyTuple_GET_SIZE(pair.ptr()) != 2) return false;
            s->low[a] = py::handle(PyTuple_GET_ITEM(pair.ptr(), 0)).cast<int64_t>();
            high = py::handle(PyTuple_GET_ITEM(pair.ptr(), 1)).cast<int64_t>();
        }
        const int64_t room = s->in[a] + s->low[a] + high - s->window[a];
        if (room < 0 || s->window[a] < 1 || s->stride[a] < 1 || s->low[a] < 0 || s->low[a] >= s->window[a])
            return false;
        s->out[a] = room / s->stride[a] + 1;
        if ((s->out[a] - 1) * s->stride[a] - s->low[a] >= s->in[a]) return false;  // a window in the padding
        if (i >= 0) (*out)[i + 1] = s->out[a];
    }
    return true;
}

std::vector<npy_intp> shape_of(PyArrayObject* a) {
    return std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a));
}
bool has_shape(PyArrayObject* a, const std::vector<npy_intp>& shape) { return shape_of(a) == shape; }

py::object max_pool_forward(py::handle h, py::handle window, py::handle strides, py::handle pads,
                            bool want_index) {
    PyArrayObject* x = plain_array(h);
    PoolShape s;
    std::vector<npy_intp> to;
    if (!x || !is_float(x) || !pool_shape(shape_of(x), window, strides, pads, &s, &to)) return py::none();
    const int ndim = PyArray_NDIM(x);
    py::object out = empty(ndim, to.data(), PyArray_TYPE(x)), index = py::none();
    if (want_index) index = empty(ndim, to.data(), NPY_UINT8);
    with_pool(PyArray_TYPE(x), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* o = data<T>(out);
        uint8_t* at = want_index ? data<uint8_t>(index) : nullptr;
        Unlock unlock(PyArray_SIZE(x));
        table.max_forward(s, data<T>(x), o, at);
    });
    return py::make_tuple(std::move(out), std::move(index));
}

py::object avg_pool_forward(py::handle h, py::handle window, py::handle strides, py::handle pads) {
    PyArrayObject* x = plain_array(h);
    PoolShape s;
    std::vector<npy_intp> to;
    if (!x || !is_float(x) || !pool_shape(shape_of(x), window, strides, pads, &s, &to)) return py::none();
    py::object out = empty(PyArray_NDIM(x), to.data(), PyArray_TYPE(x));
    with_pool(PyArray_TYPE(x), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* o = data<T>(out);
        Unlock unlock(PyArray_SIZE(x));
        table.avg_forward(s, data<T>(x), o);
    });
    return out;
}

// index None: the mean's gradient
py::object pool_input_grad(py::handle gh, py::handle index, const std::vector<npy_intp>& in,
                           py::handle window, py::handle strides, py::handle pads) {
    PyArrayObject *g = plain_array(gh), *at = index.is_none() ? nullptr : plain_array(index, NPY_UINT8);
    PoolShape s;
    std::vector<npy_intp> out;
    if (!g || !is_float(g) || !pool_shape(in, window, strides, pads, &s, &out) || !has_shape(g, out) ||
        (!index.is_none() && (!at || !has_shape(at, out))))
        return py::none();
    py::object dx = empty((int)in.size(), in.data(), PyArray_TYPE(g));
    with_pool(PyArray_TYPE(g), [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(dx);
        Unlock unlock(s.batch * s.in[0] * s.in[1] * s.in[2] * s.channels);
        if (at)
            table.max_input_grad(s, data<T>(g), data<uint8_t>(at), to);
        else
            table.avg_input_grad(s, data<T>(g), to);
    });
    return dx;
}

py::object pool_grad(py::handle g, py::handle index, py::handle shape, py::handle window, py::handle strides,
                     py::handle pads) {
    if (!PyTuple_Check(shape.ptr())) return py::none();
    std::vector<npy_intp> in;
    for (py::handle n : py::reinterpret_borrow<py::tuple>(shape)) in.push_back(n.cast<npy_intp>());
    return pool_input_grad(g, index, in, window, strides, pads);
}

// zeros(shape) with x added at the rows that index names; None for an index out of range too (NumPy raises).
py::object scatter_rows(py::handle xh, py::handle indexh, py::handle shape_) {
    PyArrayObject *x = plain_array(xh), *index = plain_array(indexh);
    if (!x || !is_float(x) || !index || !PyTypeNum_ISSIGNED(PyArray_TYPE(index)) ||
        !PyTuple_Check(shape_.ptr()))
        return py::none();
    const int item = (int)PyArray_ITEMSIZE(index);
    std::vector<npy_intp> shape, expected = shape_of(index);
    for (py::handle n : py::reinterpret_borrow<py::tuple>(shape_)) shape.push_back(n.cast<npy_intp>());
    if (shape.empty() || (item != 4 && item != 8)) return py::none();
    expected.insert(expected.end(), shape.begin() + 1, shape.end());
    const int64_t count = PyArray_SIZE(index), rows = shape[0];
    if (!has_shape(x, expected) || count > INT32_MAX || rows > INT32_MAX || count == 0 || rows == 0)
        return py::none();
    const int64_t n = PyArray_SIZE(x) / count;
    std::unique_ptr<int64_t[]> own(new int64_t[count]);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t at = item == 4 ? data<int32_t>(index)[i] : data<int64_t>(index)[i];
        own[i] = at < 0 ? at + rows : at;
        if (own[i] < 0 || own[i] >= rows) return py::none();
    }
    std::unique_ptr<int32_t[]> heads(new int32_t[rows + count]);
    py::object out = empty((int)shape.size(), shape.data(), PyArray_TYPE(x));
    const auto run = [&](const auto& table, auto zero) {
        using T = decltype(zero);
        T* to = data<T>(out);
        Unlock unlock(rows * n);
        table.scatter({rows, n, count, own.get(), data<T>(x), to, heads.get()});
    };
    if (PyArray_TYPE(x) == NPY_FLOAT32)
        run(TFLBP_DISPATCH(rows_f32), 0.f);
    else
        run(TFLBP_DISPATCH(rows_f64), 0.0);
    return out;
}

}  // namespace

void bind_pool(py::module_& m) {
    m.def("max_pool_forward", &max_pool_forward, py::arg("x"), py::arg("window"), py::arg("strides"),
          py::arg("pads"), py::arg("want_index"));
    m.def("avg_pool_forward", &avg_pool_forward, py::arg("x"), py::arg("window"), py::arg("strides"),
          py::arg("pads"));
    m.def("pool_input_grad", &pool_grad, py::arg("g"), py::arg("index"), py::arg("x_shape"),
          py::arg("window"), py::arg("strides"), py::arg("pads"));
    m.def("scatter_rows", &scatter_rows, py::arg("x"), py::arg("index"), py::arg("shape"));
}

}  // namespace tflbp
