// The caching allocator as NumPy's data allocator (NEP 49).
//
// NumPy keeps the handler with each array, so arrays outlive both calls below. The current handler is a
// context variable: threads start with NumPy's default and may call install_allocator themselves; the cache
// is one for all.
#include "arrays.h"
#include "tflbp/allocator.h"
#include "tflbp/memory.h"

namespace tflbp {
namespace {

PyDataMem_Handler handler = {"tflbp_cache",
                             1,
                             {nullptr, [](void*, size_t n) { return cache_malloc(n); },
                              [](void*, size_t count, size_t size) { return cache_calloc(count, size); },
                              [](void*, void* p, size_t n) { return cache_realloc(p, n); },
                              [](void*, void* p, size_t n) { cache_free(p, n); }}};

void set_handler(PyObject* capsule) {  // null: NumPy's default
    PyObject* before = PyDataMem_SetHandler(capsule);
    if (!before) throw py::error_already_set();
    Py_DECREF(before);
}

void install_allocator(py::handle cap_bytes) {
    if (!cache_available()) return;
    cache_set_cap(cap_bytes.is_none() ? cache_default_cap() : cap_bytes.cast<uint64_t>());
    py::capsule capsule(&handler, "mem_handler");
    set_handler(capsule.ptr());
}

py::dict allocator_stats() {
    const AllocatorStats s = cache_stats();
    py::object current = py::reinterpret_steal<py::object>(PyDataMem_GetHandler());
    if (!current) throw py::error_already_set();
    py::dict d;
    d["installed"] = PyCapsule_GetPointer(current.ptr(), "mem_handler") == &handler;
    d["hits"] = s.hits, d["misses"] = s.misses;
    d["cached_bytes"] = s.cached_bytes, d["live_bytes"] = s.live_bytes, d["peak_bytes"] = s.peak_bytes;
    d["cap_bytes"] = s.cap_bytes, d["trims"] = s.trims;
    py::list classes;  // those that were ever asked for
    for (int i = 0; i < cache_classes(); ++i)
        if (const ClassStats c = cache_class(i); c.hits + c.misses || c.kept)
            classes.append(py::make_tuple(c.bytes, c.kept, c.hits, c.misses));
    d["classes"] = classes;
    return d;
}

}  // namespace

void bind_allocator(py::module_& m) {
    m.def("install_allocator", &install_allocator, py::arg("cap_bytes") = py::none(),
          "Keep freed array memory, at most cap_bytes of it (None: a quarter of the memory, at most 4 GiB).");
    m.def(
        "uninstall_allocator", [] { set_handler(nullptr); },
        "Back to NumPy's allocator; living arrays are not touched.");
    m.def("trim_allocator", &cache_trim, "Give the kept memory back to the system; returns its bytes.");
    m.def("allocator_stats", &allocator_stats);
    m.def("make_room", &cache_make_room, py::arg("bytes"),
          "Give all kept memory back if so many bytes are not available; returns its bytes.");
    m.def("memory_available", &memory_available,
          "Bytes this process may still have, its container regarded.");
    m.def("live_bytes", &cache_live, "Handed out now.");
    m.def("reset_peak", &cache_reset_peak, py::arg("to") = 0,
          "Start the peak anew at what is live, or at `to` if that is more; returns what it was.");
}

}  // namespace tflbp
