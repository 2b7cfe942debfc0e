// attention_forward, attention_backward: arrays (batch, heads, time, depth) of any strides but the last, so
// that heads are read where a projection left them.
#include "arrays.h"
#include "cpu/attention.h"
#include "cpu/gemm.h"

namespace tflbp {
namespace {

// The array behind a handle if its rows can be read in place. Null otherwise.
PyArrayObject* heads_array(py::handle h, int type) {
    if (!PyArray_CheckExact(h.ptr())) return nullptr;
    auto* a = reinterpret_cast<PyArrayObject*>(h.ptr());
    if (PyArray_TYPE(a) != type || PyArray_NDIM(a) != 4 || !PyArray_ISALIGNED(a) ||
        !PyArray_ISNOTSWAPPED(a) || !PyArray_SIZE(a))
        return nullptr;
    const npy_intp size = PyArray_ITEMSIZE(a);
    for (int i = 0; i < 3; i++)
        if (PyArray_STRIDE(a, i) % size) return nullptr;
    return PyArray_DIM(a, 3) == 1 || PyArray_STRIDE(a, 3) == size ? a : nullptr;
}
int float_type(py::handle h) {
    return PyArray_CheckExact(h.ptr()) ? PyArray_TYPE(reinterpret_cast<PyArrayObject*>(h.ptr())) : -1;
}

template <class T>
Heads<T> heads(PyArrayObject* a) {
    const auto step = [&](int i) { return int64_t(PyArray_STRIDE(a, i)) / int64_t(sizeof(T)); };
    return {static_cast<T*>(PyArray_DATA(a)), step(0), step(1), step(2)};
}
template <class T>
Heads<T> heads(const py::object& a) {
    return heads<T>(reinterpret_cast<PyArrayObject*>(a.ptr()));
}

bool is(PyArrayObject* a, int64_t batch, int64_t heads, int64_t time, int64_t depth) {
    return a && PyArray_DIM(a, 0) == batch && PyArray_DIM(a, 1) == heads && PyArray_DIM(a, 2) == time &&
           PyArray_DIM(a, 3) == depth;
}

struct Given {
    int type;
    PyArrayObject *q, *k, *v;
    AttentionShape shape;
    AttentionMask mask;

    // mask: None, or bools, or floats of q's type; its axes have length 1 or are whole.
    bool read(py::handle qh, py::handle kh, py::handle vh, py::handle maskh, bool causal, double scale) {
        type = float_type(qh);
        if (!gemm_available() || (type != NPY_FLOAT32 && type != NPY_FLOAT64)) return false;
        q = heads_array(qh, type), k = heads_array(kh, type), v = heads_array(vh, type);
        if (!q || !k || !v) return false;
        const int64_t batch = PyArray_DIM(q, 0), heads = PyArray_DIM(q, 1);
        shape = {batch, heads, PyArray_DIM(q, 2), PyArray_DIM(k, 2), PyArray_DIM(q, 3), PyArray_DIM(v, 3),
                 scale, causal};
        mask = {nullptr, false, 0, 0, 0, 0};
        return is(k, batch, heads, shape.keys, shape.depth) && is(v, batch, heads, shape.keys, shape.width) &&
               read_mask(maskh);
    }

  private:
    bool read_mask(py::handle h) {
        if (h.is_none()) return true;
        if (!PyArray_CheckExact(h.ptr())) return false;
        auto* a = reinterpret_cast<PyArrayObject*>(h.ptr());
        if (PyArray_NDIM(a) != 4 || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a)) return false;
        if (PyArray_TYPE(a) != type && PyArray_TYPE(a) != NPY_BOOL) return false;
        const int64_t whole[] = {shape.batch, shape.heads, shape.rows, shape.keys};
        int64_t step[4];
        for (int i = 0; i < 4; i++) {
            if (PyArray_DIM(a, i) != 1 && PyArray_DIM(a, i) != whole[i]) return false;
            if (PyArray_STRIDE(a, i) % PyArray_ITEMSIZE(a)) return false;
            step[i] = PyArray_DIM(a, i) == 1 ? 0 : PyArray_STRIDE(a, i) / PyArray_ITEMSIZE(a);
        }
        mask = {PyArray_DATA(a), PyArray_TYPE(a) != NPY_BOOL, step[0], step[1], step[2], step[3]};
        return true;
    }
};

// A new array of `like`'s lengths but the last, heads within time where `like` has them so.
py::object empty_as(PyArrayObject* like, npy_intp width, int type) {
    const npy_intp *n = PyArray_DIMS(like), *step = PyArray_STRIDES(like);
    if (!(n[1] > 1 && n[2] > 1 && step[2] > step[1])) {
        const npy_intp shape[4] = {n[0], n[1], n[2], width};
        return empty(4, shape, type);
    }
    const npy_intp shape[4] = {n[0], n[2], n[1], width};
    py::object a = empty(4, shape, type);
    PyObject* view = PyArray_SwapAxes(reinterpret_cast<PyArrayObject*>(a.ptr()), 1, 2);
    if (!view) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(view);
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

py::object forward(py::handle qh, py::handle kh, py::handle vh, py::handle mask, bool causal, double scale) {
    Given in;
    if (!in.read(qh, kh, vh, mask, causal, scale)) return py::none();
    const AttentionShape& s = in.shape;
    const npy_intp column[4] = {npy_intp(s.batch), npy_intp(s.heads), npy_intp(s.rows), 1};
    py::object out = empty_as(in.q, npy_intp(s.width), in.type), lse = empty(4, column, in.type);
    run(in.type, [&](auto zero) {
        using T = decltype(zero);
        return attention_forward<T>({s, in.mask, heads<const T>(in.q), heads<const T>(in.k),
                                     heads<const T>(in.v), heads<T>(out), data<T>(lse)});
    });
    return py::make_tuple(std::move(out), std::move(lse));
}

py::object backward(py::handle gh, py::handle qh, py::handle kh, py::handle vh, py::handle maskh,
                    py::handle outh, py::handle lseh, bool causal, double scale) {
    Given in;
    if (!in.read(qh, kh, vh, maskh, causal, scale)) return py::none();
    const AttentionShape& s = in.shape;
    PyArrayObject *g = heads_array(gh, in.type), *out = heads_array(outh, in.type),
                  *lse = plain_array(lseh, in.type);
    if (!is(g, s.batch, s.heads, s.rows, s.width) || !is(out, s.batch, s.heads, s.rows, s.width) || !lse ||
        PyArray_SIZE(lse) != s.batch * s.heads * s.rows)
        return py::none();
    py::object dq = empty_as(in.q, npy_intp(s.depth), in.type),
               dk = empty_as(in.k, npy_intp(s.depth), in.type),
               dv = empty_as(in.v, npy_intp(s.width), in.type);
    run(in.type, [&](auto zero) {
        using T = decltype(zero);
        return attention_backward<T>({s, in.mask, heads<const T>(g), heads<const T>(in.q),
                                      heads<const T>(in.k), heads<const T>(in.v), heads<const T>(out),
                                      data<T>(lse), heads<T>(dq), heads<T>(dk), heads<T>(dv)});
    });
    return py::make_tuple(std::move(dq), std::move(dk), std::move(dv));
}

}  // namespace

void bind_attention(py::module_& m) {
    m.def("attention_forward", &forward, py::arg("q"), py::arg("k"), py::arg("v"), py::arg("mask"),
          py::arg("causal"), py::arg("scale"));
    m.def("attention_backward", &backward, py::arg("g"), py::arg("q"), py::arg("k"), py::arg("v"),
          py::arg("mask"), py::arg("out"), py::arg("lse"), py::arg("causal"), py::arg("scale"));
}

}  // namespace tflbp
