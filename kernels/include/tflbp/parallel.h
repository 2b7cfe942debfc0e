// One thread pool for all kernels.
//
// Jobs are claimed from a counter, never assigned: when another process holds a core, the other threads take
// over its share (a static schedule with a barrier was seen to collapse 28-fold). The caller claims too, so a
// job never waits for a thread to wake. Workers spin for a bounded time, then sleep.
//
// Results must not depend on the number of threads: cut the work into jobs by its size alone, let every job
// write to its own place, and combine partial results in job order after `parallel_for` returns.
//
// A second caller at the same time, a call from inside a job and a pool of one thread run the jobs in the
// calling thread. After fork() the child starts with a fresh pool. Jobs must not throw and must not touch
// Python.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tflbp {

// Below this many elements a kernel should make one job: waking a thread costs more than the work (about 10
// us).
constexpr int64_t kSerialBelow = 32768;

int num_threads();            // >= 1
void set_num_threads(int n);  // n < 1: one per core this process may use

// fn(ctx, i) once for each i in [0, jobs), on any thread, in any order. Returns when all have finished.
void parallel_jobs(int64_t jobs, void (*fn)(void* ctx, int64_t i), void* ctx);

// Scratch memory of the calling thread, 64-byte aligned, kept between calls; contents undefined. `slot` 0 to
// 3 tells users apart who need it at the same time (jobs of one kernel: pick a slot per kernel layer). Null
// if out of memory.
void* scratch(int slot, size_t bytes);
template <class T>
static inline T* scratch_of(int slot, int64_t elements) {
    return static_cast<T*>(scratch(slot, size_t(elements) * sizeof(T)));
}

// The type of F is a local lambda of the caller, so this template is never shared between ISA levels.
template <class F>
inline void parallel_for(int64_t jobs, const F& body) {
    if (jobs <= 1) {
        if (jobs == 1) body(int64_t(0));
        return;
    }
    parallel_jobs(
        jobs, [](void* ctx, int64_t i) { (*static_cast<const F*>(ctx))(i); }, const_cast<F*>(&body));
}

// body(begin, end) over [0, n) in pieces of `chunk` elements; one piece when n <= serial_below.
// The cut depends on n only if the body's result does not depend on it (elementwise work): otherwise pass a
// fixed chunk and serial_below = 0.
template <class F>
inline void parallel_chunks(int64_t n, int64_t chunk, const F& body, int64_t serial_below = kSerialBelow) {
    if (n <= 0) return;
    if (n <= serial_below || n <= chunk) {
        body(int64_t(0), n);
        return;
    }
    parallel_for((n + chunk - 1) / chunk, [&](int64_t i) {
        const int64_t begin = i * chunk, end = begin + chunk;
        body(begin, end < n ? end : n);
    });
}

}  // namespace tflbp
