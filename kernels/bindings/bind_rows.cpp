// take_rows: rows of several arrays by one index, the samples of a shuffled batch or the words of an
// embedding.
//
// Limit: reads and writes every picked byte once, at the bandwidth of a copy. Rows are copied as bytes,
// whatever they hold. Deterministic: every row is written by one job, to its own place.
#include <algorithm>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "tflbp/parallel.h"

namespace tflbp {

void bind_rows(py::module_& m);

namespace {

constexpr int64_t kJobBytes = 128 << 10;

struct Rows {
    const char* from;
    char* to;
    int64_t bytes;  // of a row
};

template <class I>
void copy_rows(const Rows& r, const I* index, int64_t begin, int64_t end) {
    const int64_t bytes = r.bytes;
    char* to = r.to + begin * bytes;
    if (bytes == 8)  // labels, weights: a call of memcpy takes longer than the copy
        for (int64_t i = begin; i < end; ++i, to += 8) std::memcpy(to, r.from + int64_t(index[i]) * 8, 8);
    else if (bytes == 4)
        for (int64_t i = begin; i < end; ++i, to += 4) std::memcpy(to, r.from + int64_t(index[i]) * 4, 4);
    else
        for (int64_t i = begin; i < end; ++i, to += bytes)
            std::memcpy(to, r.from + int64_t(index[i]) * bytes, bytes);
}

template <class I>
bool all_within(const I* index, int64_t count, int64_t rows) {
    bool within = true;
    for (int64_t i = 0; i < count; ++i) within &= uint64_t(int64_t(index[i])) < uint64_t(rows);
    return within;
}

template <class I>
void copy_all(const std::vector<Rows>& all, const I* index, int64_t count) {
    int64_t total = 0;
    for (const Rows& r : all) total += r.bytes * count;
    const Unlock unlock(total / 4);
    for (const Rows& r : all) {
        const int64_t chunk = std::max<int64_t>(1, kJobBytes / std::max<int64_t>(r.bytes, 1));
        parallel_chunks(
            count, chunk, [&](int64_t begin, int64_t end) { copy_rows(r, index, begin, end); }, chunk);
    }
}

// New arrays of the rows `index` of each array; None where an index is out of range, or an array not for
// this.
py::object take_rows(py::handle arrays, py::handle indexh) {
    PyArrayObject* index = plain_array(indexh);
    if (!index || !PyList_Check(arrays.ptr()) ||
        (PyArray_TYPE(index) != NPY_INT64 && PyArray_TYPE(index) != NPY_INT32))
        return py::none();
    const bool wide = PyArray_TYPE(index) == NPY_INT64;
    const int64_t count = PyArray_SIZE(index);
    const int axes = PyArray_NDIM(index);
    const Py_ssize_t n = PyList_GET_SIZE(arrays.ptr());
    std::vector<Rows> all;
    py::list out(n);
    for (Py_ssize_t k = 0; k < n; ++k) {
        PyObject* given = PyList_GET_ITEM(arrays.ptr(), k);
        if (!PyArray_CheckExact(given)) return py::none();
        auto* a = reinterpret_cast<PyArrayObject*>(given);
        const int last = PyArray_NDIM(a) - 1;
        if (last < 0 || axes + last > NPY_MAXDIMS || !PyArray_IS_C_CONTIGUOUS(a) ||
            PyDataType_REFCHK(PyArray_DESCR(a)))
            return py::none();
        const int64_t rows = PyArray_DIM(a, 0);
        if (!(wide ? all_within(data<int64_t>(index), count, rows)
                   : all_within(data<int32_t>(index), count, rows)))
            return py::none();
        npy_intp shape[NPY_MAXDIMS];
        std::copy_n(PyArray_DIMS(index), axes, shape);
        std::copy_n(PyArray_DIMS(a) + 1, last, shape + axes);
        PyArray_Descr* descr = PyArray_DESCR(a);
        Py_INCREF(descr);
        PyObject* made =
            PyArray_NewFromDescr(&PyArray_Type, descr, axes + last, shape, nullptr, nullptr, 0, nullptr);
        if (!made) throw py::error_already_set();
        PyList_SET_ITEM(out.ptr(), k, made);
        const int64_t bytes = count ? PyArray_NBYTES(reinterpret_cast<PyArrayObject*>(made)) / count : 0;
        if (bytes)
            all.push_back({PyArray_BYTES(a), PyArray_BYTES(reinterpret_cast<PyArrayObject*>(made)), bytes});
    }
    wide ? copy_all(all, data<int64_t>(index), count) : copy_all(all, data<int32_t>(index), count);
    return out;
}

}  // namespace

void bind_rows(py::module_& m) {
    m.def("take_rows", &take_rows, py::arg("arrays"), py::arg("index"),
          "Rows of each array of a list, by one array of int32 or int64; None for an index out of range.");
}

}  // namespace tflbp
