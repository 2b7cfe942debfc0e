// gemm, linear and linear_backward for NumPy arrays. None means: not for this kernel, take the reference.
#include <algorithm>
#include <type_traits>
#include <vector>

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

// bfloat16, which ml_dtypes registers with NumPy.
bool is_bf16(PyArrayObject* a) {
    return PyArray_TYPE(a) >= NPY_USERDEF && PyArray_ITEMSIZE(a) == 2 && PyArray_DESCR(a)->kind == 'V';
}
bool has_product(PyArrayObject* a) {
    return is_bf16(a) ? gemm_bf16_available() : is_float(a) && gemm_available();
}

// Calls f with a null pointer of the array's element type.
template <class F>
void with_float(int type, const F& f) {
    if (type == NPY_FLOAT32)
        f(static_cast<float*>(nullptr));
    else
        f(static_cast<double*>(nullptr));
}
template <class F>
void with_type(int type, const F& f) {
    if (type >= NPY_USERDEF)
        f(static_cast<Bf16*>(nullptr));
    else
        with_float(type, f);
}

// A stack of matrices: the last two axes of an array, rows or columns without gaps between elements, as
// stored, and whether they are seen transposed.
struct Matrices {
    void* p;
    int64_t rows, cols, ld;
    bool trans;
    int lead;                         // axes before those
    const npy_intp *shape, *strides;  // of all axes

    int64_t count() const { return PyArray_MultiplyList(shape, lead); }
};
bool as_matrices(py::handle h, int type, Matrices* out) {
    if (!PyArray_CheckExact(h.ptr())) return false;
    auto* a = reinterpret_cast<PyArrayObject*>(h.ptr());
    const int lead = PyArray_NDIM(a) - 2;
    if (lead < 0 || PyArray_TYPE(a) != type || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a))
        return false;
    const npy_intp *shape = PyArray_DIMS(a), *strides = PyArray_STRIDES(a);
    const int64_t item = PyArray_ITEMSIZE(a), rows = shape[lead], cols = shape[lead + 1];
    const int64_t s0 = strides[lead], s1 = strides[lead + 1];
    *out = {PyArray_DATA(a), rows, cols, 0, false, lead, shape, strides};
    if (PyArray_SIZE(a) == 0) return out->ld = std::max<int64_t>(cols, 1), true;  // any strides will do
    for (int i = 0; i < lead; i++)
        if (strides[i] % item != 0) return false;
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

// Whether all of the stack lies as the rows of one matrix; if so, it becomes that.
bool as_one(Matrices* m, int64_t item) {
    if (m->trans) return false;
    int64_t rows = m->rows, ld = m->ld;
    for (int i = m->lead - 1; i >= 0; i--) {
        if (m->shape[i] == 1) continue;
        const int64_t step = m->strides[i] / item;
        if (rows == 1 && step >= m->cols) ld = step;
        if (step != rows * ld) return false;
        rows *= m->shape[i];
    }
    m->rows = rows, m->ld = ld, m->lead = 0;
    return true;
}

// How far into an array of `m` the products of a stack find theirs; axes of length 1 serve all.
std::vector<int64_t> places(const Matrices& m, int lead, const npy_intp* shape, int64_t item) {
    std::vector<int64_t> at{0};
    for (int i = 0; i < lead; i++) {
        const int own = i - (lead - m.lead);
        const int64_t step = own < 0 || m.shape[own] == 1 ? 0 : m.strides[own] / item;
        std::vector<int64_t> next;
        next.reserve(at.size() * size_t(shape[i]));
        for (const int64_t start : at)
            for (npy_intp j = 0; j < shape[i]; j++) next.push_back(start + j * step);
        at.swap(next);
    }
    return at;
}

template <class T>
bool run(const Matrices& a, const Matrices& b, const Matrices& c, bool add, const Stack& stack) {
    // c^T = b^T a^T
    const Matrices &x = c.trans ? b : a, &y = c.trans ? a : b;
    const int64_t m = c.trans ? c.cols : c.rows, n = c.trans ? c.rows : c.cols, k = a.cols;
    const Operand<T> left{static_cast<const T*>(x.p), x.ld, x.trans != c.trans};
    const Operand<T> right{static_cast<const T*>(y.p), y.ld, y.trans != c.trans};
    const Stack s = c.trans ? Stack{stack.count, stack.b, stack.a, stack.c} : stack;
    T* to = static_cast<T*>(c.p);
    if constexpr (std::is_same<T, Bf16>::value)
        return gemm_bf16_stack({m, n, k, left, right, to, c.ld, nullptr, false}, s);
    else
        return gemm_stack<T>({m, n, k, left, right, to, c.ld, nullptr, false, add}, s);
}

py::object py_gemm(py::handle ah, py::handle bh, py::handle outh, bool add) {
    Matrices a, b, c;
    if (!PyArray_CheckExact(ah.ptr())) return py::none();
    auto* first = reinterpret_cast<PyArrayObject*>(ah.ptr());
    const int type = PyArray_TYPE(first);
    if (!has_product(first) || (add && is_bf16(first)) || !as_matrices(ah, type, &a) ||
        !as_matrices(bh, type, &b) || a.cols != b.rows)
        return py::none();
    npy_intp shape[NPY_MAXDIMS];
    const int lead = std::max(a.lead, b.lead);
    for (int i = 0; i < lead; i++) {
        const int p = i - (lead - a.lead), q = i - (lead - b.lead);
        const npy_intp m = p < 0 ? 1 : a.shape[p], n = q < 0 ? 1 : b.shape[q];
        if (m != n && m != 1 && n != 1) return py::none();
        shape[i] = m == 1 ? n : m;
    }
    shape[lead] = npy_intp(a.rows), shape[lead + 1] = npy_intp(b.cols);
    py::object out = outh.is_none() ? empty(lead + 2, shape, type) : py::reinterpret_borrow<py::object>(outh);
    if (outh.is_none()) {
        auto* fresh = reinterpret_cast<PyArrayObject*>(out.ptr());
        c = {PyArray_DATA(fresh),   a.rows, b.cols, b.cols, false, lead, PyArray_DIMS(fresh),
             PyArray_STRIDES(fresh)};
    } else if (!as_matrices(out, type, &c)) {
        return py::none();
    }
    if (!outh.is_none() && (c.lead != lead || !std::equal(shape, shape + lead + 2, c.shape) ||
                            !PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(out.ptr()))))
        return py::none();
    const int64_t item = PyArray_ITEMSIZE(first), count = PyArray_MultiplyList(shape, lead);
    if (lead > 0 && b.count() == 1) {  // rows of all times one matrix
        Matrices rows = a, results = c;
        if (as_one(&rows, item) && as_one(&results, item) && rows.rows == results.rows)
            a = rows, c = results, b.lead = 0;
    }
    std::vector<int64_t> at[3];
    constexpr int64_t here = 0;
    Stack stack{1, &here, &here, &here};
    if (c.lead > 0) {
        const Matrices* all[] = {&a, &b, &c};
        for (int i = 0; i < 3; i++) at[i] = places(*all[i], lead, shape, item);
        stack = {count, at[0].data(), at[1].data(), at[2].data()};
    }
    bool enough = true;
    with_type(type, [&](auto* null) {
        const Unlock unlock(work(c.rows, c.cols * stack.count, a.cols));
        enough = run<std::remove_pointer_t<decltype(null)>>(a, b, c, add, stack);
    });
    check_memory(enough);
    return out;
}

// x (..., k), w (k, n), which may be a transposed view, and the products of the leading dimensions; false
// when they do not fit together.
struct LinearShape {
    int64_t m, n, k;
    int type;
};
bool linear_shape(PyArrayObject* x, py::handle wh, Matrices* w, LinearShape* s) {
    if (!x || !has_product(x) || PyArray_NDIM(x) < 1 || !as_matrices(wh, PyArray_TYPE(x), w)) return false;
    const int last = PyArray_NDIM(x) - 1;
    *s = {1, w->cols, w->rows, PyArray_TYPE(x)};
    for (int i = 0; i < last; i++) s->m *= PyArray_DIM(x, i);
    return w->lead == 0 && PyArray_DIM(x, last) == s->k;
}
template <class T>
Operand<T> operand(const Matrices& m) {
    return {static_cast<const T*>(m.p), m.ld, m.trans};
}

bool is_output(PyArrayObject* g, PyArrayObject* x, const LinearShape& s) {
    if (!g || PyArray_TYPE(g) != s.type || PyArray_NDIM(g) != PyArray_NDIM(x)) return false;
    const int last = PyArray_NDIM(x) - 1;
    for (int i = 0; i < last; i++)
        if (PyArray_DIM(g, i) != PyArray_DIM(x, i)) return false;
    return PyArray_DIM(g, last) == s.n;
}

py::object py_linear(py::handle xh, py::handle wh, py::handle bh, bool relu) {
    PyArrayObject *x = plain_array(xh), *b = nullptr;
    Matrices w;
    LinearShape s;
    if (!linear_shape(x, wh, &w, &s)) return py::none();
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
        const Operand<T> rows{data<T>(x), s.k, false};
        if constexpr (std::is_same<T, Bf16>::value)
            enough = gemm_bf16({s.m, s.n, s.k, rows, operand<T>(w), to, s.n, bias, relu});
        else
            enough = gemm<T>({s.m, s.n, s.k, rows, operand<T>(w), to, s.n, bias, relu});
    });
    check_memory(enough);
    return out;
}

py::object py_linear_backward(py::handle gh, py::handle xh, py::handle wh, py::handle outh, bool need_dx,
                              bool need_dw, bool need_db) {
    PyArrayObject *g = plain_array(gh), *x = plain_array(xh), *out = nullptr;
    Matrices w;
    LinearShape s;
    if (!linear_shape(x, wh, &w, &s) || !is_float(x) || !is_output(g, x, s)) return py::none();
    if (!outh.is_none()) {
        out = plain_array(outh);
        if (!is_output(out, x, s)) return py::none();
    }
    py::object dx, dw, db, masked;
    if (need_dx) dx = empty_like(x);
    const npy_intp n = npy_intp(s.n),
                   stored[2] = {npy_intp(w.trans ? s.n : s.k), npy_intp(w.trans ? s.k : s.n)};
    if (need_dw) dw = empty(2, stored, s.type);
    if (need_db) db = empty(1, &n, s.type);
    bool enough = true;
    with_float(s.type, [&](auto* null) {
        using T = std::remove_pointer_t<decltype(null)>;
        if (out &&
            (need_dx || need_dw)) {  // an array, so that NumPy's allocator keeps the memory for the next step
            const npy_intp shape[2] = {npy_intp(s.m), npy_intp(masked_stride<T>(s.n))};
            masked = empty(2, shape, s.type);
        }
        const auto at = [](const py::object& a) { return a ? data<T>(a) : nullptr; };
        const LinearBackward<T> args{
            s.m,        s.n,    s.k,    data<T>(g), data<T>(x), operand<T>(w), out ? data<T>(out) : nullptr,
            at(masked), at(dx), at(dw), at(db)};
        const Unlock unlock(work(s.m, s.n, s.k * (int(need_dx) + int(need_dw))));
        enough = linear_backward(args);
    });
    check_memory(enough);
    if (dw && w.trans) {
        dw = py::reinterpret_steal<py::object>(
            PyArray_Transpose(reinterpret_cast<PyArrayObject*>(dw.ptr()), nullptr));
        if (!dw) throw py::error_already_set();
    }
    const auto or_none = [](py::object& a) { return a ? std::move(a) : py::object(py::none()); };
    return py::make_tuple(or_none(dx), or_none(dw), or_none(db));
}

}  // namespace

void bind_linear(py::module_& m) {
    m.def(
        "gemm", &py_gemm, py::arg("a"), py::arg("b"), py::arg("out") = py::none(), py::arg("add") = false,
        "a @ b, or out = a @ b, or out += a @ b, for stacks of matrices whose rows or columns have no gaps; "
        "float32, float64, and bfloat16 (without add) where the CPU multiplies it.");
    m.def("gemm_choice", &gemm_choice, py::arg("blas"),
          "'native' where gemm is the faster product on this CPU than NumPy's BLAS of that name, else "
          "'numpy'.");
    m.def("linear", &py_linear, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("relu"),
          "x @ w + b, then ReLU when asked. x (..., k), w (k, n), b (n,) or None.");
    m.def("linear_backward", &py_linear_backward, py::arg("g"), py::arg("x"), py::arg("w"), py::arg("out"),
          py::arg("need_dx"), py::arg("need_dw"), py::arg("need_db"),
          "(dx, dw, db) of linear, None for those not needed. out: what linear gave when it applied ReLU, "
          "else None.");
}

}  // namespace tflbp
