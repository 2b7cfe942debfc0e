// philox, philox_uniform.
#include "arrays.h"
#include "tflbp/cache.h"
#include "tflbp/parallel.h"
#include "tflbp/random.h"

namespace tflbp {
namespace {

constexpr int64_t kJob = 16384;  // words per job; a multiple of 4, so a job starts on a Philox block

void check_count(int64_t n, const char* where) {
    if (n < 0)
        throw py::value_error(std::string("[") + where +
                              "] n must not be negative.\n  Received: " + std::to_string(n) + ".");
}

template <class T, class F>
py::object fill(int64_t n, int type, const F& make) {
    const npy_intp size = n;
    py::object out = empty(1, &size, type);
    T* to = data<T>(out);
    Unlock unlock(n);
    parallel_chunks(n, kJob, [&](int64_t begin, int64_t end) { make(to + begin, begin, end - begin); });
    return out;
}

py::object philox(int64_t n, uint64_t seed, uint64_t offset) {
    check_count(n, "philox");
    const RandomTable& table = TFLBP_DISPATCH(random_words);
    return fill<uint32_t>(n, NPY_UINT32, [&](uint32_t* to, int64_t first, int64_t count) {
        table.words(to, first, count, seed, offset);
    });
}

// None for any dtype but float32 and float64.
py::object philox_uniform(int64_t n, uint64_t seed, uint64_t offset, py::handle dtype) {
    check_count(n, "philox_uniform");
    PyArray_Descr* descr = nullptr;
    if (!PyArray_DescrConverter(dtype.ptr(), &descr)) throw py::error_already_set();
    const int type = descr->type_num;
    Py_DECREF(descr);
    const RandomTable& table = TFLBP_DISPATCH(random_words);
    if (type == NPY_FLOAT32)
        return fill<float>(n, type, [&](float* to, int64_t first, int64_t count) {
            table.uniform_f32(to, first, count, seed, offset);
        });
    if (type == NPY_FLOAT64)
        return fill<double>(n, type, [&](double* to, int64_t first, int64_t count) {
            table.uniform_f64(to, first, count, seed, offset);
        });
    return py::none();
}

// None for what the kernel does not take.
py::object dropped(py::handle xh, uint32_t threshold, double scale, uint64_t seed, uint64_t offset) {
    PyArrayObject* x = plain_array(xh);
    if (!x || !is_float(x)) return py::none();
    const RandomTable& table = TFLBP_DISPATCH(random_words);
    py::object out = empty_like(x);
    const int64_t n = PyArray_SIZE(x);
    const Dropout how{threshold, scale, seed, offset, writes_past_cache(2 * n * PyArray_ITEMSIZE(x))};
    const bool single = PyArray_TYPE(x) == NPY_FLOAT32;
    Unlock unlock(n);
    parallel_chunks(n, kJob, [&](int64_t begin, int64_t end) {
        if (single)
            table.dropped_f32(data<float>(x), data<float>(out), begin, end - begin, how);
        else
            table.dropped_f64(data<double>(x), data<double>(out), begin, end - begin, how);
    });
    return out;
}

}  // namespace

void bind_random(py::module_& m) {
    m.def("philox", &philox, py::arg("n"), py::arg("seed"), py::arg("offset"));
    m.def("philox_uniform", &philox_uniform, py::arg("n"), py::arg("seed"), py::arg("offset"),
          py::arg("dtype"));
    m.def("dropped", &dropped, py::arg("x"), py::arg("threshold"), py::arg("scale"), py::arg("seed"),
          py::arg("offset"));
}

}  // namespace tflbp
