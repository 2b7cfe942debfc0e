// philox, philox_uniform.
#include "arrays.h"
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

}  // namespace

void bind_random(py::module_& m) {
    m.def("philox", &philox, py::arg("n"), py::arg("seed"), py::arg("offset"));
    m.def("philox_uniform", &philox_uniform, py::arg("n"), py::arg("seed"), py::arg("offset"),
          py::arg("dtype"));
}

}  // namespace tflbp
