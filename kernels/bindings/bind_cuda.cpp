// The modules tensorflowlite_bp._native_cuda (nvcc) and _native_emulator (g++, tests only): the same kernels,
// launched by number on pointers and streams that come as integers.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "cuda/registry.h"

namespace py = pybind11;

#if !defined(TFLBP_EMULATOR)
void bind_lt(py::module_& m);  // bind_cuda_lt.cpp
#endif

namespace {

using tflbp_cuda::Kernel;
using tflbp_cuda::registry;

constexpr int kMostArguments = 48;

union Slot {
    uint64_t bits;
    int64_t integer;
    double real;
};

#if defined(TFLBP_EMULATOR)
std::string error_text(int) { return "the launch configuration is not valid"; }
#else
std::string error_text(int code) {
    const auto error = static_cast<cudaError_t>(code);
    return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
}
#endif

const Kernel& kernel_at(size_t index) {
    if (index >= registry().size()) throw py::index_error("[launch] no kernel of that number.");
    return registry()[index];
}

void launch(size_t index, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, size_t shared,
            uint64_t stream, const py::tuple& arguments) {
    const Kernel& kernel = kernel_at(index);
    const size_t n = arguments.size();
    if (n != std::char_traits<char>::length(kernel.parameters) || n > kMostArguments)
        throw std::invalid_argument("[" + std::string(kernel.name) + "] arguments '" + kernel.parameters +
                                    "' were expected.\n  Received: " + std::to_string(n) + " arguments.");
    Slot slots[kMostArguments];
    void* places[kMostArguments];
    for (size_t i = 0; i < n; ++i) {
        PyObject* value = PyTuple_GET_ITEM(arguments.ptr(), i);
        if (kernel.parameters[i] == 'd')
            slots[i].real = PyFloat_AsDouble(value);
        else if (kernel.parameters[i] == 'i')
            slots[i].integer = PyLong_AsLongLong(value);
        else
            slots[i].bits = PyLong_AsUnsignedLongLong(value);
        places[i] = &slots[i];
    }
    if (PyErr_Occurred()) throw py::error_already_set();
    const int error = tflbp_cuda::launch(kernel, dim3(gx, gy, gz), dim3(bx, by), shared,
                                         reinterpret_cast<void*>(static_cast<uintptr_t>(stream)), places);
    if (error)
        throw std::runtime_error("[" + std::string(kernel.name) +
                                 "] the launch failed: " + error_text(error) + ".");
}

#if defined(TFLBP_EMULATOR)

void bind_host(py::module_& m) {
    m.def(
        "schedule", [](int order, unsigned seed) { emulator::config = {emulator::Order(order), seed}; },
        py::arg("order"), py::arg("seed") = 1, "0 forward, 1 reverse, 2 random.");
    m.def("stats", [] {
        py::dict out;
        out["launches"] = emulator::stats.launches;
        out["blocks"] = emulator::stats.blocks;
        out["shared_bytes"] = emulator::stats.shared_bytes;
        return out;
    });
}

#else

void bind_host(py::module_& m) {
    m.def(
        "device_count",
        [] {
            int count = 0;
            const cudaError_t error = cudaGetDeviceCount(&count);
            return py::make_tuple(error ? 0 : count, error ? error_text(error) : std::string());
        },
        "(devices, why there are none).");
    m.def(
        "attributes",
        [](size_t index) {
            cudaFuncAttributes a;
            if (const cudaError_t error = cudaFuncGetAttributes(&a, kernel_at(index).function))
                throw std::runtime_error("[attributes] " + error_text(error));
            py::dict out;
            out["registers"] = a.numRegs;
            out["shared"] = a.sharedSizeBytes;
            out["local"] = a.localSizeBytes;
            out["binary_version"] = a.binaryVersion;
            return out;
        },
        "Of the kernel of that number on the current device: registers, shared and local bytes.");
    bind_lt(m);
    m.attr("arches") = TFLBP_CUDA_BUILT;
    m.attr("runtime_version") = CUDART_VERSION;
}

#endif

}  // namespace

#if defined(TFLBP_EMULATOR)
PYBIND11_MODULE(_native_emulator, m) {
#else
PYBIND11_MODULE(_native_cuda, m, py::mod_gil_not_used()) {
#endif
    m.doc() = "Compiled CUDA kernels by number; `kernels` lists their names and parameters.";
    m.def("kernels", [] {
        py::list out;
        for (const Kernel& k : registry()) out.append(py::make_tuple(k.name, k.parameters));
        return out;
    });
    m.def("launch", &launch, py::arg("index"), py::arg("grid_x"), py::arg("grid_y"), py::arg("grid_z"),
          py::arg("block_x"), py::arg("block_y"), py::arg("shared"), py::arg("stream"), py::arg("arguments"));
    bind_host(m);
}
