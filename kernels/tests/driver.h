// What the parts of the driver share: random numbers, and heap arrays of exactly the needed size.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

void run_fused();     // driver_fused.cpp
void run_together();  // what several callers run at once

inline thread_local uint64_t state = 1;
inline double uniform() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

// An exact-size heap array: what vector gives has no slack, and ASan guards both ends.
template <class T>
struct Buffer {
    explicit Buffer(int64_t n, double low = -2, double high = 2) : size(n), p(new T[n]) {
        for (int64_t i = 0; i < n; ++i) p[i] = (T)(low + (high - low) * uniform());
    }
    operator T*() { return p.get(); }
    void check(const char* where) {
        for (int64_t i = 0; i < size; ++i)
            if (!std::isfinite((double)p[i])) {
                std::printf("%s: element %lld of %lld is %g\n", where, (long long)i, (long long)size,
                            (double)p[i]);
                std::exit(1);
            }
    }
    int64_t size;
    std::unique_ptr<T[]> p;
};
