// Neighbouring channels side by side in registers, for kernels whose inner step is one channel's own:
// pooling, depthwise convolution.
#pragma once

#include <stdint.h>
#include <string.h>

#include "simd.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
struct Word;  // as wide as T: comparisons give masks of the width of what they choose
template <>
struct Word<float> {
    typedef int32_t type;
};
template <>
struct Word<double> {
    typedef int64_t type;
};

// N neighbouring channels, and an index for each. As vectors of the compiler's, since it finds none in loops
// over 8 or 16 of them (6 ns an element).
template <class T, int N>
struct Lanes {
#if defined(__GNUC__)
    typedef typename Word<T>::type Integer;
    typedef T V __attribute__((vector_size(N * sizeof(T))));
    typedef Integer I __attribute__((vector_size(N * sizeof(T))));
    typedef uint8_t B __attribute__((vector_size(N)));

    static V load(const T* p) {
        V v;
        memcpy(&v, p, sizeof v);
        return v;
    }
    static void store(T* p, V v) { memcpy(p, &v, sizeof v); }
    static I index(const uint8_t* p) {
        B b;
        memcpy(&b, p, sizeof b);
        return __builtin_convertvector(b, I);
    }
    static void store_index(uint8_t* p, I i) {
        const B b = __builtin_convertvector(i, B);
        memcpy(p, &b, sizeof b);
    }
    static I indices(uint8_t i) { return Integer(i) - I{}; }
    static V all(T v) { return v - V{}; }
#endif
};
template <class T>
struct Lanes<T, 1> {
    typedef T V;
    typedef int I;
    static V load(const T* p) { return *p; }
    static void store(T* p, V v) { *p = v; }
    static I index(const uint8_t* p) { return *p; }
    static void store_index(uint8_t* p, I i) { *p = (uint8_t)i; }
    static I indices(uint8_t i) { return i; }
    static V all(T v) { return v; }
};

// body(first channel, Lanes)
template <class T, class F>
inline void each_block(int64_t channels, const F& body) {
    int64_t c = 0;
#if defined(__GNUC__)
    constexpr int most = kVectorBytes / (int)sizeof(T), least = most < 4 ? most : 4;
    for (; c + most <= channels; c += most) body(c, Lanes<T, most>());
    if (least < most)
        for (; c + least <= channels; c += least) body(c, Lanes<T, least>());
#endif
    for (; c < channels; ++c) body(c, Lanes<T, 1>());
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
