// gemm, linear and linear_backward for NumPy arrays. None means: not for this kernel, take the reference.
#include "arrays.h"
#include "cpu/gemm_bf16.h"
#include "cpu/linear.h"

namespace tflbp {

void bind_linear(py::module_& m);

namespace {

// In units of Unlock: 32 multiply-adds take about as long as one element of a cheap elementwise kernel.
int64_t work(int64_t m, int64_t n, int64_t k) {
    const double units = double(m) * double(n) * double(k) / 32 + double(m) * double(n);
    return units < 1e15 ? int64_t(units) : int64_t(1e15);
}

void check_memory(bool enough) {
    if (enough) return;
    PyErr_NoMemory();
    throw py::error_already_set();
}

// Calls f with a null pointer of the array's element type.
template <class F>
void with_type(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(static_cast<float*>(nullptr));
    else
        f(static_cast<double*>(nullptr));
}

// A 2-d array of `type` with rows or columns without gaps between elements: as stored, and whether it is seen
// transposed.
struct Matrix {
    const void* p;
    int64_t rows, cols, ld;
    bool trans;
};
bool as_matrix(py::handle h, int type, Matrix* out) {
    if (!PyArray_CheckExact(h.ptr())) return false;
    auto* a = reinterpret_cast<PyArrayObject*>(h.ptr());
    if (PyArray_NDIM(a) != 2 || PyArray_TYPE(a) != type || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a))
        return false;
    const int64_t item = PyArray_ITEMSIZE(a), rows = PyArray_DIM(a, 0), cols = PyArray_DIM(a, 1);
    const int64_t s0 = PyArray_STRIDE(a, 0), s1 = PyArray_STRIDE(a, 1);
    *out = {PyArray_DATA(a), rows, cols, 0, false};
    // (along: the stride that must be one element; across: the other, which means nothing for fewer than two)
    const auto fits = [&](int64_t along, int64_t n, int64_t across, int64_t count) {
        if (n > 1 && along != item) return false;
        if (count > 1 && (across % item != 0 || across < n * item)) return false;
        out->ld = count > 1 ? across / item : n > 1 ? n : 1;
        return true;
    };
    if (fits(s1, cols, s0, rows)) return true;
    out->trans = true;
    return fits(s0, rows, s1, cols);
}

template <class T>
GemmArgs<T> product(const Matrix& a, const Matrix& b, T* c) {
    return {a.rows,
            b.cols,
            a.cols,
            {static_cast<const T*>(a.p), a.ld, a.trans},
            {static_cast<const T*>(b.p), b.ld, b.trans},
            c,
            b.cols,
            nullptr,
            false};
}

// into: an array to add the product to, which is then the result.
py::object py_gemm(py::handle a, py::handle b, py::handle into) {
    Matrix x, y;
    if (!gemm_available() || !PyArray_CheckExact(a.ptr())) return py::none();
    auto* first = reinterpret_cast<PyArrayObject*>(a.ptr());
    const int type = PyArray_TYPE(first);
    if (!is_float(first) || !as_matrix(a, type, &x) || !as_matrix(b, type, &y) || x.cols != y.rows)
        return py::none();
    const npy_intp shape[2] = {npy_intp(x.rows), npy_intp(y.cols)};
    py::object c = py::reinterpret_borrow<py::object>(into);
    const bool add = !into.is_none();
    if (add) {
        PyArrayObject* given = plain_array(into, type);
        if (!given || !PyArray_ISWRITEABLE(given) || PyArray_NDIM(given) != 2 ||
            PyArray_DIM(given, 0) != shape[0] || PyArray_DIM(given, 1) != shape[1])
            return py::none();
    } else {
        c = empty(2, shape, type);
    }
    bool enough = true;
    with_type(type, [&](auto* null) {
        using T = std::remove_pointer_t<decltype(null)>;
        GemmArgs<T> args = product<T>(x, y, data<T>(c));
        args.add = add;
        const Unlock unlock(work(x.rows, y.cols, x.cols));
        enough = gemm(args);
    });
    check_memory(enough);
    return c;
}

py::object py_gemm_bf16(py::handle a, py::handle b, py::handle biash, bool relu) {
    Matrix x, y;
    if (!gemm_bf16_available() || !as_matrix(a, NPY_UINT16, &x) || !as_matrix(b, NPY_UINT16, &y) ||
        x.cols != y.rows)
        return py::none();
    PyArrayObject* bias = nullptr;
    if (!biash.is_none()) {
        bias = plain_array(biash, NPY_UINT16);
        if (!bias || PyArray_NDIM(bias) != 1 || PyArray_DIM(bias, 0) != y.cols) return py::none();
    }
    const npy_intp shape[2] = {npy_intp(x.rows), npy_intp(y.cols)};
    py::object c = empty(2, shape, NPY_UINT16);
    Bf16* to = data<Bf16>(c);
    bool enough = true;
    {
        const Unlock unlock(work(x.rows, y.cols, x.cols));
        enough = gemm_bf16({x.rows,
                            y.cols,
                            x.cols,
                            {static_cast<const Bf16*>(x.p), x.ld, x.trans},
                            {static_cast<const Bf16*>(y.p), y.ld, y.trans},
                            to,
                            bias ? data<Bf16>(bias) : nullptr,
                            relu});
    }
    check_memory(enough);
    return c;
}

// x (..., k), w (k, n) and the products of the leading dimensions; false when they do not fit together.
struct LinearShape {
    int64_t m, n, k;
    int type;
};
bool linear_shape(PyArrayObject* x, PyArrayObject* w, LinearShape* s) {
    if (!x || !w || !is_float(x) || PyArray_NDIM(x) < 1 || PyArray_NDIM(w) != 2) return false;
    const int last = PyArray_NDIM(x) - 1;
    *s = {1, PyArray_DIM(w, 1), PyArray_DIM(w, 0), PyArray_TYPE(x)};
    for (int i = 0; i < last; i++) s->m *= PyArray_DIM(x, i);
    return PyArray_TYPE(w) == s->type && PyArray_DIM(x, last) == s->k;
}

bool is_output(PyArrayObject* g, PyArrayObject* x, const LinearShape& s) {
    if (!g || PyArray_TYPE(g) != s.type || PyArray_NDIM(g) != PyArray_NDIM(x)) return false;
    const int last = PyArray_NDIM(x) - 1;
    for (int i = 0; i < last; i++)
        if (PyArray_DIM(g, i) != PyArray_DIM(x, i)) return false;
    return PyArray_DIM(g, last) == s.n;
}

py::object py_linear(py::handle xh, py::handle wh, py::handle bh, bool relu) {
    PyArrayObject *x = plain_array(xh), *w = plain_array(wh), *b = nullptr;
    LinearShape s;
    if (!gemm_available() || !linear_shape(x, w, &s)) return py::none();
    if (!bh.is_none()) {
        b = plain_array(bh, s.type);
        if (!b || PyArray_NDIM(b) != 1 || PyArray_DIM(b, 0) != s.n) return py::none();
    }
    npy_intp shape[NPY_MAXDIMS];
    const int last = PyArray_NDIM(x) - 1;
    for (int i = 0; i < last; i++) shape[i] = PyArray_DIM(x, i);
    shape[last] = npy_intp(s.n);
    py::object out = empty(last + 1, shape, s.type);
    bool enough = true;
    with_type(s.type, [&](auto* null) {
        using T = std::remove_pointer_t<decltype(null)>;
        T* to = data<T>(out);
        const T* bias = b ? data<T>(b) : nullptr;
        const Unlock unlock(work(s.m, s.n, s.k));
        enough = linear<T>(s.m, s.n, s.k, data<T>(x), data<T>(w), bias, relu, to);
    });
    check_memory(enough);
    return out;
}

py::object py_linear_backward(py::handle gh, py::handle xh, py::handle wh, py::handle outh, bool need_dx,
                              bool need_dw, bool need_db) {
    PyArrayObject *g = plain_array(gh), *x = plain_array(xh), *w = plain_array(wh), *out = nullptr;
    LinearShape s;
    if (!gemm_available() || !linear_shape(x, w, &s) || !is_output(g, x, s)) return py::none();
    if (!outh.is_none()) {
        out = plain_array(outh);
        if (!is_output(out, x, s)) return py::none();
    }
    py::object dx, dw, db, masked;
    if (need_dx) dx = empty_like(x);
    if (need_dw) dw = empty_like(w);
    const npy_intp n = npy_intp(s.n);
    if (need_db) db = empty(1, &n, s.type);
    bool enough = true;
    with_type(s.type, [&](auto* null) {
        using T = std::remove_pointer_t<decltype(null)>;
        if (out &&
            (need_dx || need_dw)) {  // an array, so that NumPy's allocator keeps the memory for the next step
            const npy_intp shape[2] = {npy_intp(s.m), npy_intp(masked_stride<T>(s.n))};
            masked = empty(2, shape, s.type);
        }
        const auto at = [](const py::object& a) { return a ? data<T>(a) : nullptr; };
        const LinearBackward<T> args{
            s.m,        s.n,    s.k,    data<T>(g), data<T>(x), data<T>(w), out ? data<T>(out) : nullptr,
            at(masked), at(dx), at(dw), at(db)};
        const Unlock unlock(work(s.m, s.n, s.k * (int(need_dx) + int(need_dw))));
        enough = linear_backward(args);
    });
    check_memory(enough);
    const auto or_none = [](py::object& a) { return a ? std::move(a) : py::object(py::none()); };
    return py::make_tuple(or_none(dx), or_none(dw), or_none(db));
}

}  // namespace

void bind_linear(py::module_& m) {
    m.def("gemm", &py_gemm, py::arg("a"), py::arg("b"), py::arg("into") = py::none(),
          "a @ b for 2-d float32 or float64 arrays whose rows or columns have no gaps; or into += a @ b.");
    m.def("gemm_bf16", &py_gemm_bf16, py::arg("a"), py::arg("b"), py::arg("bias"), py::arg("relu"),
          "a @ b + bias, then ReLU when asked, for bfloat16 seen as uint16; None where the CPU has no such "
          "product.");
    m.def("gemm_choice", &gemm_choice,
          "'native' where gemm is the faster product on this CPU, else 'numpy'.");
    m.def("linear", &py_linear, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("relu"),
          "x @ w + b, then ReLU when asked. x (..., k), w (k, n), b (n,) or None.");
    m.def("linear_backward", &py_linear_backward, py::arg("g"), py::arg("x"), py::arg("w"), py::arg("out"),
          py::arg("need_dx"), py::arg("need_dw"), py::arg("need_db"),
          "(dx, dw, db) of linear, None for those not needed. out: what linear gave when it applied ReLU, "
          "else None.");
}

}  // namespace tflbp
