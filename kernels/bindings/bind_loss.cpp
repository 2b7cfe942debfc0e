// softmax_cross_entropy, sigmoid_cross_entropy, softmax, softmax_backward.
#include <memory>
#include <string>

#include "arrays.h"
#include "tflbp/losses.h"

namespace tflbp {
namespace {

template <class T>
const LossTable<T>& table();
template <>
const LossTable<float>& table<float>() {
    return TFLBP_DISPATCH(loss_f32);
}
template <>
const LossTable<double>& table<double>() {
    return TFLBP_DISPATCH(loss_f64);
}

enum Reduction { kNone, kMean, kSum };

[[noreturn]] void raise_label(int64_t label, int64_t position, int64_t classes, bool ignoring) {
    throw py::value_error(
        "[softmax_cross_entropy] labels must be in [0, " + std::to_string(classes) +
        ").\n  Received: label " + std::to_string(label) + " at position " + std::to_string(position) +
        ".\n  Hint: labels count from 0; the last axis of the logits holds one entry per class" +
        (ignoring ? "." : ", and ignore_index names a label to leave out."));
}

// Labels as int64, -1 for "ignored"; -2 as result: all fine, else the position of a label out of range.
template <class Label>
int64_t read_labels(const Label* from, int64_t n, int64_t classes, bool ignoring, int64_t ignore,
                    int64_t* to) {
    for (int64_t i = 0; i < n; ++i) {
        const int64_t label = from[i];
        if (ignoring && label == ignore)
            to[i] = -1;
        else if (label < 0 || label >= classes)
            return i;
        else
            to[i] = label;
    }
    return -2;
}

template <class T>
py::object cross_entropy(PyArrayObject* logits, PyArrayObject* labels, PyArrayObject* weight,
                         py::handle ignore_index, double smoothing, int reduction, bool want_grad,
                         bool in_place) {
    const int ndim = PyArray_NDIM(labels);
    const int64_t rows = PyArray_SIZE(labels), classes = PyArray_DIM(logits, ndim);
    const bool ignoring = !ignore_index.is_none();
    const int64_t ignore = ignoring ? ignore_index.cast<int64_t>() : 0;
    const int type = PyArray_TYPE(logits);

    py::object loss = empty(reduction == kNone ? ndim : 0, PyArray_DIMS(labels), type);
    py::object grad = py::none();
    if (want_grad)
        grad = in_place ? py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(logits))
                        : empty_like(logits);
    T* out = data<T>(loss);
    std::unique_ptr<int64_t[]> own(new int64_t[rows]);
    std::unique_ptr<double[]> row_loss(new double[rows]);
    int64_t wrong;
    {
        Unlock unlock(rows * classes);
        wrong = PyArray_ITEMSIZE(labels) == 4
                    ? read_labels(data<int32_t>(labels), rows, classes, ignoring, ignore, own.get())
                    : read_labels(data<int64_t>(labels), rows, classes, ignoring, ignore, own.get());
        if (wrong == -2) {
            CrossEntropy<T> a{};
            a.logits = data<T>(logits), a.labels = own.get(), a.weight = weight ? data<T>(weight) : nullptr;
            a.rows = rows, a.classes = classes, a.smoothing = smoothing;
            a.weight_sum = (double)classes;
            if (a.weight) {
                a.weight_sum = 0;
                for (int64_t c = 0; c < classes; ++c) a.weight_sum += (double)a.weight[c];
            }
            double count = 0;
            for (int64_t i = 0; i < rows; ++i)
                if (own[i] >= 0) count += a.weight ? (double)a.weight[own[i]] : 1.0;
            a.scale = reduction == kMean ? (count != 0 ? 1 / count : 0.0) : 1.0;
            a.grad = want_grad ? data<T>(grad) : nullptr, a.loss = row_loss.get();
            if (rows > 0 && classes > 0) table<T>().cross_entropy(a);
            if (reduction == kNone) {
                for (int64_t i = 0; i < rows; ++i) out[i] = (T)row_loss[i];
            } else {
                double total = 0;
                for (int64_t i = 0; i < rows; ++i) total += row_loss[i];
                out[0] = (T)(reduction == kMean ? total / count : total);
            }
        }
    }
    if (wrong != -2) {
        const int64_t label =
            PyArray_ITEMSIZE(labels) == 4 ? data<int32_t>(labels)[wrong] : data<int64_t>(labels)[wrong];
        raise_label(label, wrong, classes, ignoring);
    }
    return py::make_tuple(std::move(loss), std::move(grad));
}

py::object softmax_cross_entropy(py::handle logits, py::handle labels, py::handle weight,
                                 py::handle ignore_index, double label_smoothing, int reduction,
                                 bool want_grad, bool in_place) {
    PyArrayObject *x = plain_array(logits), *y = plain_array(labels), *w = nullptr;
    if (!x || !y || !is_float(x) || PyArray_NDIM(x) != PyArray_NDIM(y) + 1) return py::none();
    const int label_type = PyArray_TYPE(y);
    if (!PyTypeNum_ISSIGNED(label_type) || (PyArray_ITEMSIZE(y) != 4 && PyArray_ITEMSIZE(y) != 8))
        return py::none();
    for (int i = 0; i < PyArray_NDIM(y); ++i)
        if (PyArray_DIM(x, i) != PyArray_DIM(y, i)) return py::none();
    if (!weight.is_none()) {
        w = plain_array(weight, PyArray_TYPE(x));
        if (!w || PyArray_NDIM(w) != 1 || PyArray_DIM(w, 0) != PyArray_DIM(x, PyArray_NDIM(y)))
            return py::none();
    }
    if (in_place && !PyArray_ISWRITEABLE(x)) return py::none();
    return PyArray_TYPE(x) == NPY_FLOAT32
               ? cross_entropy<float>(x, y, w, ignore_index, label_smoothing, reduction, want_grad, in_place)
               : cross_entropy<double>(x, y, w, ignore_index, label_smoothing, reduction, want_grad,
                                       in_place);
}

template <class T>
py::object sigmoid(PyArrayObject* x, PyArrayObject* y, bool want_grad) {
    py::object loss = empty_like(x), grad = want_grad ? empty_like(x) : py::none();
    const int64_t n = PyArray_SIZE(x);
    T *l = data<T>(loss), *d = want_grad ? data<T>(grad) : nullptr;
    {
        Unlock unlock(n);
        table<T>().sigmoid_cross_entropy(data<T>(x), data<T>(y), l, d, n);
    }
    return py::make_tuple(std::move(loss), std::move(grad));
}

py::object sigmoid_cross_entropy(py::handle logits, py::handle labels, bool want_grad) {
    PyArrayObject* x = plain_array(logits);
    if (!x || !is_float(x)) return py::none();
    PyArrayObject* y = plain_array(labels, PyArray_TYPE(x));
    if (!y || !same_shape(x, y)) return py::none();
    return PyArray_TYPE(x) == NPY_FLOAT32 ? sigmoid<float>(x, y, want_grad)
                                          : sigmoid<double>(x, y, want_grad);
}

struct Rows {
    int64_t rows, classes;
};
Rows rows_of(PyArrayObject* x) {  // the last axis against all others
    const int64_t classes = PyArray_DIM(x, PyArray_NDIM(x) - 1);
    return {classes > 0 ? PyArray_SIZE(x) / classes : 0, classes};
}

py::object softmax(py::handle h, bool log) {
    PyArrayObject* x = plain_array(h);
    if (!x || !is_float(x) || PyArray_NDIM(x) == 0) return py::none();
    py::object out = empty_like(x);
    const Rows r = rows_of(x);
    auto run = [&](auto zero) {
        using T = decltype(zero);
        T* o = data<T>(out);
        Unlock unlock(r.rows * r.classes);
        table<T>().softmax(data<T>(x), o, r.rows, r.classes, log);
    };
    if (PyArray_TYPE(x) == NPY_FLOAT32)
        run(0.f);
    else
        run(0.0);
    return out;
}

py::object softmax_backward(py::handle g_, py::handle out_, bool log) {
    PyArrayObject* g = plain_array(g_);
    if (!g || !is_float(g) || PyArray_NDIM(g) == 0) return py::none();
    PyArrayObject* out = plain_array(out_, PyArray_TYPE(g));
    if (!out || !same_shape(g, out)) return py::none();
    py::object dx = empty_like(g);
    const Rows r = rows_of(g);
    auto run = [&](auto zero) {
        using T = decltype(zero);
        T* d = data<T>(dx);
        Unlock unlock(r.rows * r.classes);
        table<T>().softmax_backward(data<T>(g), data<T>(out), d, r.rows, r.classes, log);
    };
    if (PyArray_TYPE(g) == NPY_FLOAT32)
        run(0.f);
    else
        run(0.0);
    return dx;
}

}  // namespace

void bind_loss(py::module_& m) {
    m.def("softmax_cross_entropy", &softmax_cross_entropy, py::arg("logits"), py::arg("labels"),
          py::arg("weight"), py::arg("ignore_index"), py::arg("label_smoothing"), py::arg("reduction"),
          py::arg("want_grad"), py::arg("in_place") = false);
    m.def("sigmoid_cross_entropy", &sigmoid_cross_entropy, py::arg("logits"), py::arg("labels"),
          py::arg("want_grad"));
    m.def("softmax", &softmax, py::arg("x"), py::arg("log"));
    m.def("softmax_backward", &softmax_backward, py::arg("g"), py::arg("out"), py::arg("log"));
}

}  // namespace tflbp
