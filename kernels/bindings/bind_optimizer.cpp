// sgd_step, adam_step, rmsprop_step, lion_step, sum_of_squares: one call for all parameters.
#include <cmath>
#include <vector>

#include "arrays.h"
#include "tflbp/optimizers.h"
#include "tflbp/parallel.h"

namespace tflbp {
namespace {

template <class T>
const OptimizerTable<T>& table();
template <>
const OptimizerTable<float>& table<float>() {
    return TFLBP_DISPATCH(optimizer_f32);
}
template <>
const OptimizerTable<double>& table<double>() {
    return TFLBP_DISPATCH(optimizer_f64);
}

// Lists of arrays that belong together: parameter i with its gradient, its moments, all of one type and
// shape.
constexpr int kMaxLists = 5;
struct Entry {
    void* data[kMaxLists];  // null for a list that is None
    int64_t size;
    bool is_double;
};

// False if any array is not for the kernels. `writable[k]`: list k is changed in place.
bool read_lists(const py::handle* lists, const bool* writable, int count, std::vector<Entry>* entries) {
    Py_ssize_t length = -1;
    for (int k = 0; k < count; ++k) {
        if (lists[k].is_none()) continue;
        if (!PyList_Check(lists[k].ptr()) && !PyTuple_Check(lists[k].ptr())) return false;
        const Py_ssize_t n = PySequence_Fast_GET_SIZE(lists[k].ptr());
        if (length >= 0 && n != length) return false;
        length = n;
    }
    entries->reserve(length > 0 ? length : 0);
    for (Py_ssize_t i = 0; i < length; ++i) {
        Entry e{};
        PyArrayObject* first = nullptr;
        for (int k = 0; k < count; ++k) {
            if (lists[k].is_none()) continue;
            PyArrayObject* a = plain_array(PySequence_Fast_GET_ITEM(lists[k].ptr(), i));
            if (!a || !is_float(a) || (writable[k] && !PyArray_ISWRITEABLE(a))) return false;
            if (!first)
                first = a;
            else if (PyArray_TYPE(a) != PyArray_TYPE(first) || !same_shape(a, first))
                return false;
            e.data[k] = PyArray_DATA(a);
        }
        e.size = PyArray_SIZE(first);
        e.is_double = PyArray_TYPE(first) == NPY_FLOAT64;
        entries->push_back(e);
    }
    return true;
}

// Pieces of at most kSegment elements over all arrays, and jobs of neighbouring pieces of about kSegment
// elements, so that a hundred small biases make one job and one large matrix many.
struct Segment {
    int32_t entry;
    int64_t begin, size;
};
struct Plan {
    std::vector<Segment> segments;
    std::vector<size_t> jobs;  // first segment of each job, and the end
    int64_t elements = 0;
};
Plan plan_of(const std::vector<Entry>& entries) {
    Plan plan;
    int64_t filled = kSegment;
    for (size_t e = 0; e < entries.size(); ++e)
        for (int64_t begin = 0; begin < entries[e].size; begin += kSegment) {
            const int64_t left = entries[e].size - begin, size = left < kSegment ? left : kSegment;
            if (filled + size > kSegment) plan.jobs.push_back(plan.segments.size()), filled = 0;
            plan.segments.push_back({(int32_t)e, begin, size});
            filled += size, plan.elements += size;
        }
    plan.jobs.push_back(plan.segments.size());
    return plan;
}
template <class F>
void run_plan(const Plan& plan, const F& one_segment) {
    Unlock unlock(plan.elements);
    auto job = [&](int64_t j) {
        for (size_t s = plan.jobs[j]; s < plan.jobs[j + 1]; ++s) one_segment(s);
    };
    const int64_t jobs = (int64_t)plan.jobs.size() - 1;
    if (plan.elements <= kSerialBelow)
        for (int64_t j = 0; j < jobs; ++j) job(j);
    else
        parallel_for(jobs, job);
}

template <class T>
T* part(const Entry& e, int list, int64_t begin) {
    return e.data[list] ? static_cast<T*>(e.data[list]) + begin : nullptr;
}

// step(table, entry, begin, size) for every piece; the lists are parameters, gradients, states.
template <class F>
py::object update(const py::handle* lists, int count, const F& step) {
    const bool writable[kMaxLists] = {true, false, true, true, true};
    std::vector<Entry> entries;
    if (!read_lists(lists, writable, count, &entries)) return py::none();
    const Plan plan = plan_of(entries);
    run_plan(plan, [&](size_t i) {
        const Segment& s = plan.segments[i];
        const Entry& e = entries[s.entry];
        if (e.is_double)
            step(table<double>(), e, s, 0.0);
        else
            step(table<float>(), e, s, 0.f);
    });
    return py::bool_(true);
}

py::object sgd_step(py::handle params, py::handle grads, py::handle velocities, double lr, double momentum,
                    bool nesterov, double weight_decay, double scale) {
    const py::handle lists[] = {params, grads, velocities};
    if (velocities.is_none() && momentum != 0) return py::none();
    const SgdRule rule{lr, momentum, weight_decay, scale, nesterov};
    return update(lists, 3, [&](const auto& kernels, const Entry& e, const Segment& s, auto zero) {
        using T = decltype(zero);
        kernels.sgd(rule, part<T>(e, 0, s.begin), part<T>(e, 1, s.begin), part<T>(e, 2, s.begin), s.size);
    });
}

py::object adam_step(py::handle params, py::handle grads, py::handle ms, py::handle vs, double lr,
                     double beta1, double beta2, double eps, int64_t step, double weight_decay, double scale,
                     py::handle vhats) {
    const py::handle lists[] = {params, grads, ms, vs, vhats};
    if (ms.is_none() || vs.is_none()) return py::none();
    const double t = (double)step;
    const double alpha = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
    const AdamRule rule{lr, alpha, beta1, beta2, eps, weight_decay, scale};
    return update(lists, 5, [&](const auto& kernels, const Entry& e, const Segment& s, auto zero) {
        using T = decltype(zero);
        kernels.adam(rule, part<T>(e, 0, s.begin), part<T>(e, 1, s.begin), part<T>(e, 2, s.begin),
                     part<T>(e, 3, s.begin), part<T>(e, 4, s.begin), s.size);
    });
}

py::object rmsprop_step(py::handle params, py::handle grads, py::handle squares, py::handle means,
                        py::handle velocities, double lr, double rho, double momentum, double eps,
                        double weight_decay, double scale) {
    const py::handle lists[] = {params, grads, squares, means, velocities};
    if (squares.is_none()) return py::none();
    const RmspropRule rule{lr, rho, momentum, eps, weight_decay, scale};
    return update(lists, 5, [&](const auto& kernels, const Entry& e, const Segment& s, auto zero) {
        using T = decltype(zero);
        kernels.rmsprop(rule, part<T>(e, 0, s.begin), part<T>(e, 1, s.begin), part<T>(e, 2, s.begin),
                        part<T>(e, 3, s.begin), part<T>(e, 4, s.begin), s.size);
    });
}

py::object lion_step(py::handle params, py::handle grads, py::handle ms, double lr, double beta1,
                     double beta2, double weight_decay, double scale) {
    const py::handle lists[] = {params, grads, ms};
    if (ms.is_none()) return py::none();
    const LionRule rule{lr, beta1, beta2, weight_decay, scale};
    return update(lists, 3, [&](const auto& kernels, const Entry& e, const Segment& s, auto zero) {
        using T = decltype(zero);
        kernels.lion(rule, part<T>(e, 0, s.begin), part<T>(e, 1, s.begin), part<T>(e, 2, s.begin), s.size);
    });
}

py::object sum_of_squares(py::handle arrays) {
    const bool writable[] = {false};
    std::vector<Entry> entries;
    if (arrays.is_none() || !read_lists(&arrays, writable, 1, &entries)) return py::none();
    const Plan plan = plan_of(entries);
    std::vector<double> sums(plan.segments.size());
    run_plan(plan, [&](size_t i) {
        const Segment& s = plan.segments[i];
        const Entry& e = entries[s.entry];
        sums[i] = e.is_double ? table<double>().sum_of_squares(part<double>(e, 0, s.begin), s.size)
                              : table<float>().sum_of_squares(part<float>(e, 0, s.begin), s.size);
    });
    double total = 0;
    for (double s : sums) total += s;
    return py::float_(total);
}

}  // namespace

void bind_optimizer(py::module_& m) {
    m.def("sgd_step", &sgd_step, py::arg("params"), py::arg("grads"), py::arg("velocities"), py::arg("lr"),
          py::arg("momentum"), py::arg("nesterov"), py::arg("weight_decay"), py::arg("scale"));
    m.def("adam_step", &adam_step, py::arg("params"), py::arg("grads"), py::arg("ms"), py::arg("vs"),
          py::arg("lr"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("step"),
          py::arg("weight_decay"), py::arg("scale"), py::arg("vhats"));
    m.def("rmsprop_step", &rmsprop_step, py::arg("params"), py::arg("grads"), py::arg("squares"),
          py::arg("means"), py::arg("velocities"), py::arg("lr"), py::arg("rho"), py::arg("momentum"),
          py::arg("eps"), py::arg("weight_decay"), py::arg("scale"));
    m.def("lion_step", &lion_step, py::arg("params"), py::arg("grads"), py::arg("ms"), py::arg("lr"),
          py::arg("beta1"), py::arg("beta2"), py::arg("weight_decay"), py::arg("scale"));
    m.def("sum_of_squares", &sum_of_squares, py::arg("arrays"));
}

}  // namespace tflbp
