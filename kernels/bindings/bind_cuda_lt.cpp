// Products by cublasLt, the library that CuPy has loaded or a path names, found at run time: nothing to link.
//
// On our own handle, with the caller's stream and workspace, so that it can be captured in a graph, which
// CuPy's cuBLAS refuses. A product's plan (descriptors, layouts, the heuristic's first choice) is made once
// for its shape, alignment and epilogue. cublasLt counts by columns: row-major c = a b is handed over as c^T
// = b^T a^T.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <pybind11/pybind11.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include "cuda/cublaslt.h"

namespace py = pybind11;

namespace {

lt::Library library;
bool opened = false;
std::mutex guard;

struct Plan {
    lt::Desc desc;
    lt::Layout a, b, c;
    lt::Algo algo;
    bool usable;
};

typedef std::array<int64_t, 20> Key;
std::map<Key, Plan> plans;
std::map<int, lt::Handle> handles;  // by device

void check(lt::Status status, const char* what) {
    if (status)
        throw std::runtime_error(std::string("[cublasLt] ") + what + " failed: status " +
                                 std::to_string(status));
}

template <class F>
void find(void* from, F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(from, name));
    if (!function) throw std::runtime_error(std::string("[cublasLt] the library has no ") + name);
}

// Whether there is a library: one that is loaded, else the one at `path`.
bool open_library(const std::string& path) {
    const std::lock_guard<std::mutex> lock(guard);
    if (opened) return true;
    void* from = nullptr;
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"})
        if (!from) from = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (!from && !path.empty()) from = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!from) return false;
    find(from, library.create, "cublasLtCreate");
    find(from, library.desc_create, "cublasLtMatmulDescCreate");
    find(from, library.desc_set, "cublasLtMatmulDescSetAttribute");
    find(from, library.layout_create, "cublasLtMatrixLayoutCreate");
    find(from, library.layout_set, "cublasLtMatrixLayoutSetAttribute");
    find(from, library.preference_create, "cublasLtMatmulPreferenceCreate");
    find(from, library.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(from, library.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(from, library.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(from, library.matmul, "cublasLtMatmul");
    find(from, library.version, "cublasLtGetVersion");
    return opened = true;
}

template <class T>
void set(lt::Desc desc, int what, T value) {
    check(library.desc_set(desc, what, &value, sizeof value), "an attribute of the product");
}

lt::Layout layout(int type, int64_t rows, int64_t columns, int64_t ld, int64_t batch, int64_t stride) {
    lt::Layout out;
    check(library.layout_create(&out, type, uint64_t(rows), uint64_t(columns), ld), "a layout");
    const int32_t count = int32_t(batch);
    check(library.layout_set(out, lt::LAYOUT_BATCH_COUNT, &count, sizeof count), "a batch");
    check(library.layout_set(out, lt::LAYOUT_BATCH_STRIDE, &stride, sizeof stride), "a batch's stride");
    return out;
}

uint32_t alignment(uint64_t address) {
    uint32_t bytes = 256;
    while (address % bytes) bytes /= 2;
    return bytes;
}

struct Call {
    uint64_t a, b, c, vector, aux;  // vector: the bias, or where its gradient goes; aux (batch, m, n)
    int64_t type, m, n, k, ta, tb, lda, ldb, batch, stride_a, stride_b, epilogue, tf32;
    uint64_t workspace, workspace_bytes;
};

lt::Handle handle() {
    int device = 0;
    cudaGetDevice(&device);
    lt::Handle& out = handles[device];
    if (!out) check(library.create(&out), "a handle");
    return out;
}

void set_pointers(lt::Desc desc, const Call& x) {
    if (x.vector) set(desc, lt::DESC_BIAS_POINTER, x.vector);
    if (x.aux) set(desc, lt::DESC_AUX_POINTER, x.aux);
}

Plan make_plan(const Call& x) {
    Plan plan{};
    const int type = int(x.type), scale = type == lt::R_64F ? lt::R_64F : lt::R_32F;
    const int compute = type == lt::R_64F             ? lt::COMPUTE_64F
                        : type == lt::R_32F && x.tf32 ? lt::COMPUTE_32F_FAST_TF32
                                                      : lt::COMPUTE_32F;
    check(library.desc_create(&plan.desc, compute, scale), "a product");
    set(plan.desc, lt::DESC_TRANSA, int32_t(x.tb ? lt::OP_T : lt::OP_N));
    set(plan.desc, lt::DESC_TRANSB, int32_t(x.ta ? lt::OP_T : lt::OP_N));
    set(plan.desc, lt::DESC_EPILOGUE, uint32_t(x.epilogue));
    set_pointers(plan.desc, x);
    if (x.aux) {
        set(plan.desc, lt::DESC_AUX_LD, x.n);
        set(plan.desc, lt::DESC_AUX_BATCH_STRIDE, x.m * x.n);
    }
    plan.a = layout(type, x.tb ? x.k : x.n, x.tb ? x.n : x.k, x.ldb, x.batch, x.stride_b);
    plan.b = layout(type, x.ta ? x.m : x.k, x.ta ? x.k : x.m, x.lda, x.batch, x.stride_a);
    plan.c = layout(type, x.n, x.m, x.n, x.batch, x.m * x.n);
    lt::Preference preference;
    check(library.preference_create(&preference), "a preference");
    const uint64_t bytes = x.workspace_bytes;
    library.preference_set(preference, lt::PREF_WORKSPACE, &bytes, sizeof bytes);
    const std::pair<int, uint64_t> aligned[] = {{lt::PREF_ALIGNMENT_A, x.b},
                                                {lt::PREF_ALIGNMENT_B, x.a},
                                                {lt::PREF_ALIGNMENT_C, x.c},
                                                {lt::PREF_ALIGNMENT_D, x.c}};
    for (const auto& [what, address] : aligned) {
        const uint32_t value = alignment(address);
        library.preference_set(preference, what, &value, sizeof value);
    }
    lt::Heuristic found{};
    int count = 0;
    const lt::Status status =
        library.heuristic(handle(), plan.desc, plan.a, plan.b, plan.c, plan.c, preference, 1, &found, &count);
    library.preference_destroy(preference);
    plan.usable = status == 0 && count > 0 && found.state == 0;
    plan.algo = found.algo;
    return plan;
}

// c (batch, m, n) = f(alpha op(a) op(b) + beta c); false when cublasLt has no way to do it.
bool product(const Call& x, double alpha, double beta, uint64_t stream) {
    const std::lock_guard<std::mutex> lock(guard);
    if (!opened) return false;
    int device = 0;
    cudaGetDevice(&device);
    const Key key = {device,
                     x.type,
                     x.m,
                     x.n,
                     x.k,
                     x.ta,
                     x.tb,
                     x.lda,
                     x.ldb,
                     x.batch,
                     x.stride_a,
                     x.stride_b,
                     x.epilogue,
                     x.tf32,
                     alignment(x.a),
                     alignment(x.b),
                     alignment(x.c),
                     alignment(x.aux),
                     x.vector != 0,
                     int64_t(x.workspace_bytes)};
    auto at = plans.find(key);
    if (at == plans.end()) at = plans.emplace(key, make_plan(x)).first;
    const Plan& plan = at->second;
    if (!plan.usable) return false;
    set_pointers(plan.desc, x);
    const float alpha32 = float(alpha), beta32 = float(beta);
    const bool wide = x.type == lt::R_64F;
    auto address = [](uint64_t p) { return reinterpret_cast<void*>(static_cast<uintptr_t>(p)); };
    check(
        library.matmul(handle(), plan.desc, wide ? static_cast<const void*>(&alpha) : &alpha32, address(x.b),
                       plan.a, address(x.a), plan.b, wide ? static_cast<const void*>(&beta) : &beta32,
                       address(x.c), plan.c, address(x.c), plan.c, &plan.algo, address(x.workspace),
                       size_t(x.workspace_bytes), address(stream)),
        "a product");
    return true;
}

}  // namespace

void bind_lt(py::module_& m) {
    m.def("lt_open", &open_library, py::arg("path") = "",
          "Whether cublasLt was found: loaded, or at `path`.");
    m.def("lt_version", [] { return opened ? library.version() : 0; });
    m.def(
        "lt_product",
        [](uint64_t a, uint64_t b, uint64_t c, uint64_t vector, uint64_t aux, int64_t type, int64_t m,
           int64_t n, int64_t k, int64_t ta, int64_t tb, int64_t lda, int64_t ldb, int64_t batch,
           int64_t stride_a, int64_t stride_b, int64_t epilogue, int64_t tf32, uint64_t workspace,
           uint64_t workspace_bytes, double alpha, double beta, uint64_t stream) {
            return product(
                {a,  b,   c,   vector, aux,      type,     m,        n,    k,         ta,
                 tb, lda, ldb, batch,  stride_a, stride_b, epilogue, tf32, workspace, workspace_bytes},
                alpha, beta, stream);
        },
        "Whether cublasLt did the product.");
}
