// NumPy arrays without pybind11's array_t casters (140 ns per argument): handles and the C API.
#pragma once

#include <pybind11/pybind11.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL tflbp_array_api
#ifndef TFLBP_IMPORTS_NUMPY  // bind.cpp alone holds the table of the C API and fills it
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

namespace tflbp {

namespace py = pybind11;

// The array behind a handle if a kernel can read it in place: an exact ndarray, C-contiguous, aligned, in
// native byte order. Null otherwise: the caller then answers None, and the reference in Python does the work.
inline PyArrayObject* plain_array(py::handle h) {
    if (!PyArray_CheckExact(h.ptr())) return nullptr;
    auto* a = reinterpret_cast<PyArrayObject*>(h.ptr());
    return PyArray_ISCARRAY_RO(a) ? a : nullptr;
}
inline PyArrayObject* plain_array(py::handle h, int type) {
    PyArrayObject* a = plain_array(h);
    return a && PyArray_TYPE(a) == type ? a : nullptr;
}
inline bool is_float(const PyArrayObject* a) {
    return PyArray_TYPE(a) == NPY_FLOAT32 || PyArray_TYPE(a) == NPY_FLOAT64;
}
inline bool same_shape(PyArrayObject* a, PyArrayObject* b) { return PyArray_SAMESHAPE(a, b); }

template <class T>
inline T* data(PyArrayObject* a) {
    return static_cast<T*>(PyArray_DATA(a));
}

// New C-contiguous array; throws error_already_set when out of memory.
inline py::object empty(int ndim, const npy_intp* shape, int type) {
    PyObject* a = PyArray_SimpleNew(ndim, const_cast<npy_intp*>(shape), type);
    if (!a) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(a);
}
inline py::object empty_like(PyArrayObject* a) {
    return empty(PyArray_NDIM(a), PyArray_DIMS(a), PyArray_TYPE(a));
}
template <class T>
inline T* data(const py::object& a) {
    return data<T>(reinterpret_cast<PyArrayObject*>(a.ptr()));
}

// Drops the GIL for work worth it: about 10 us and more, that is 16k elements of the cheapest kernel.
class Unlock {
  public:
    explicit Unlock(int64_t elements) : state_(elements >= 16384 ? PyEval_SaveThread() : nullptr) {}
    ~Unlock() {
        if (state_) PyEval_RestoreThread(state_);
    }
    Unlock(const Unlock&) = delete;
    Unlock& operator=(const Unlock&) = delete;

  private:
    PyThreadState* state_;
};

}  // namespace tflbp
