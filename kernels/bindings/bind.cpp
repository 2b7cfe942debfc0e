// The module tensorflowlite_bp._native. Each family of kernels binds itself in its own file.
#define TFLBP_IMPORTS_NUMPY
#include "arrays.h"
#include "tflbp/ceilings.h"
#include "tflbp/isa.h"
#include "tflbp/parallel.h"

namespace tflbp {

void bind_activation(py::module_& m);
void bind_allocator(py::module_& m);
void bind_attention(py::module_& m);
void bind_conv(py::module_& m);
void bind_linear(py::module_& m);
void bind_loss(py::module_& m);
void bind_norm(py::module_& m);
void bind_optimizer(py::module_& m);
void bind_pool(py::module_& m);
void bind_rows(py::module_& m);
void bind_random(py::module_& m);
void bind_recurrent(py::module_& m);

namespace {

void bind_runtime(py::module_& m) {
    m.def("set_num_threads", &set_num_threads, py::arg("n"), "Threads of the kernels; n < 1: one per core.");
    m.def("get_num_threads", &num_threads);
    m.def("isa", [] { return isa_name(isa()); }, "The instruction set in use.");
    m.def(
        "set_isa",
        [](const char* name) {
            if (!set_isa(name))
                throw py::value_error(
                    std::string("[set_isa] an instruction set of this CPU and build was expected.\n  "
                                "Received: '") +
                    name + "'.");
        },
        py::arg("name"), "For tests: run the kernels of another instruction set.");
    m.def(
        "isas",
        [] {
            py::list names;
            for (Isa level : {Isa::baseline, Isa::avx2, Isa::avx512})
                if (isa_supported(level)) names.append(isa_name(level));
            return names;
        },
        "The instruction sets that can run here.");
    m.def(
        "multiply_adds",
        [](int64_t rounds, bool wide) {
            const CeilingsTable& table = TFLBP_DISPATCH(ceilings);
            return (wide ? table.multiply_adds_f64 : table.multiply_adds_f32)(rounds);
        },
        py::arg("rounds"), py::arg("float64"),
        "Multiply and add as fast as one core can; gives the number of operations, 0 where not built.");
    m.def("build_info", [] {
        py::dict info;
#ifdef __VERSION__
        info["compiler"] = __VERSION__;
#else
        info["compiler"] = "unknown";
#endif
        info["flags"] = TFLBP_BUILD_FLAGS;
        info["version"] = TFLBP_VERSION;
        return info;
    });
}

}  // namespace
}  // namespace tflbp

static int import_numpy() {
    import_array1(-1);
    return 0;
}

PYBIND11_MODULE(_native, m, pybind11::mod_gil_not_used()) {
    if (import_numpy() != 0) throw pybind11::error_already_set();
    m.doc() =
        "Compiled kernels. A function gives None when its input is not for it; the caller then runs the "
        "reference.";
    m.attr("API") = 16;  // as in backend/native.py: counts up when what is bound changes
    tflbp::bind_runtime(m);
    tflbp::bind_activation(m);
    tflbp::bind_allocator(m);
    tflbp::bind_attention(m);
    tflbp::bind_conv(m);
    tflbp::bind_linear(m);
    tflbp::bind_loss(m);
    tflbp::bind_norm(m);
    tflbp::bind_optimizer(m);
    tflbp::bind_pool(m);
    tflbp::bind_rows(m);
    tflbp::bind_random(m);
    tflbp::bind_recurrent(m);
}
