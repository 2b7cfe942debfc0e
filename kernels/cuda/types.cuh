// Element types, wide accesses, and reductions, for kernels that any of the three hosts compiles.
//
// 16-bit floats are storage only: a kernel loads them into float, computes there, and rounds once on the way
// out.
#pragma once

#include "cuda/portable.h"

struct bfloat16 {
    uint16_t bits;
};
struct float16 {
    uint16_t bits;
};

// What a kernel computes in.
template <class T>
struct Compute {
    typedef float type;
};
template <>
struct Compute<double> {
    typedef double type;
};

// Significant binary digits.
template <class T>
struct Digits {
    static const int count = 24;
};
template <>
struct Digits<float16> {
    static const int count = 11;
};
template <>
struct Digits<bfloat16> {
    static const int count = 8;
};

// The type of a lambda's `const auto&` parameter.
template <class T>
struct Plain {
    typedef T type;
};
template <class T>
struct Plain<const T&> {
    typedef T type;
};

// ---------------------------------------------------------------- conversions
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float(unsigned(x.bits) << 16); }

__device__ __forceinline__ float widen(float16 x) {
#if defined(TFLBP_EMULATOR)
    const unsigned sign = unsigned(x.bits & 0x8000u) << 16, magnitude = x.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    // 2^112 moves the exponent's bias from 15 to 127, and makes subnormals normal
    const float scaled = __uint_as_float(magnitude << 13) * 5.192296858534828e33f;
    return __uint_as_float(sign | __float_as_uint(scaled));
#else
    float out;
    asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(x.bits));
    return out;
#endif
}

// Rounds to the nearest value, ties to even.
template <class T>
__device__ __forceinline__ T narrow(typename Compute<T>::type x) {
    return x;
}

template <>
__device__ __forceinline__ bfloat16 narrow<bfloat16>(float x) {
    const unsigned bits = __float_as_uint(x);
    bfloat16 out;
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        out.bits = uint16_t(bits >> 16 | 0x40u);  // a NaN stays one
    } else {
        out.bits = uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
    return out;
}

template <>
__device__ __forceinline__ float16 narrow<float16>(float x) {
    float16 out;
#if defined(TFLBP_EMULATOR)
    const unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        out.bits = uint16_t(sign | 0x7e00u);
    } else if (magnitude >= 0x477ff000u) {
        out.bits = uint16_t(sign | 0x7c00u);  // rounds to infinity
    } else if (magnitude < 0x38800000u) {     // subnormal: let the addition round at the right place
        out.bits = uint16_t(sign | (__float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000u));
    } else {
        out.bits = uint16_t(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
    }
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out.bits) : "f"(x));
#endif
    return out;
}

// ---------------------------------------------------------------- 16 bytes at a time
template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
    static const int count = N;
    T at[N];
};

template <class T>
struct Wide {
    static const int count = 16 / sizeof(T);
    typedef Pack<T, 16 / sizeof(T)> type;
};

// How many elements of p[0, n) lie before the first 16-byte boundary.
template <class T>
__device__ __forceinline__ int64_t misaligned(const T* p, int64_t n) {
    const int64_t head = int64_t((16 - (unsigned long long)(p) % 16) % 16 / sizeof(T));
    return head < n ? head : n;
}

__device__ __forceinline__ bool aligned(const void* p) { return (unsigned long long)(p) % 16 == 0; }

__device__ __forceinline__ bool alike(const void* p, const void* q) {
    return ((unsigned long long)(p) - (unsigned long long)(q)) % 16 == 0;
}

// body(i, pack) for p[0, n), spread over `threads` threads of which this is `t`: the ends one by one, the
// middle 16 bytes at a time. A thread sees the same elements whenever p's alignment and n are the same.
template <class T, class Body>
__device__ __forceinline__ void each_pack(const T* p, int64_t n, int t, int threads, Body body) {
    typedef typename Wide<T>::type W;
    const int64_t head = misaligned(p, n), wide = (n - head) / W::count, tail = head + wide * W::count;
    UNROLL(1)
    for (int64_t i = t; i < head; i += threads) body(i, Pack<T, 1>{{p[i]}});
    const W* middle = reinterpret_cast<const W*>(p + head);
    UNROLL(2)
    for (int64_t k = t; k < wide; k += threads) {
        const W pack = middle[k];  // a copy: through a reference, elements are read one by one
        body(head + k * W::count, pack);
    }
    UNROLL(1)
    for (int64_t i = tail + t; i < n; i += threads) body(i, Pack<T, 1>{{p[i]}});
}

// body(i, x), likewise.
template <class T, class Body>
__device__ __forceinline__ void each(const T* p, int64_t n, int t, int threads, Body body) {
    each_pack(p, n, t, threads, [&](int64_t i, const auto& pack) {
        UNROLL_ALL
        for (int j = 0; j < pack.count; j++) body(i + j, pack.at[j]);
    });
}

// body(i, x, y) for the elements of two arrays; 16 bytes at a time where both are aligned alike.
template <class T, class Body>
__device__ __forceinline__ void each_pair(const T* p, const T* q, int64_t n, int t, int threads, Body body) {
    typedef typename Wide<T>::type W;
    const int64_t head = alike(p, q) ? misaligned(p, n) : n, wide = (n - head) / W::count;
    UNROLL(1)
    for (int64_t i = t; i < head; i += threads) body(i, p[i], q[i]);
    UNROLL(2)
    for (int64_t k = t; k < wide; k += threads) {
        const W x = reinterpret_cast<const W*>(p + head)[k], y = reinterpret_cast<const W*>(q + head)[k];
        UNROLL_ALL
        for (int j = 0; j < W::count; j++) body(head + k * W::count + j, x.at[j], y.at[j]);
    }
    UNROLL(1)
    for (int64_t i = head + wide * W::count + t; i < n; i += threads) body(i, p[i], q[i]);
}

// out[i] = body(i, in[i]...) for any number of inputs of one type; 16 bytes at a time where all are aligned
// alike.
template <class T, class Body, class... In>
__device__ __forceinline__ void map(T* out, int64_t n, int t, int threads, Body body, const In*... in) {
    typedef typename Wide<T>::type W;
    const bool same = (alike(in, out) && ... && true);
    const int64_t head = same ? misaligned(out, n) : n, wide = (n - head) / W::count;
    UNROLL(1)
    for (int64_t i = t; i < head; i += threads) out[i] = body(i, in[i]...);
    UNROLL(1)
    for (int64_t k = t; k < wide; k += threads) {
        W y;
        [&](auto... x) {  // by value: through references, elements are read one by one
            UNROLL_ALL
            for (int j = 0; j < W::count; j++) y.at[j] = body(head + k * W::count + j, x.at[j]...);
        }(reinterpret_cast<const typename Wide<In>::type*>(in + head)[k]...);
        reinterpret_cast<W*>(out + head)[k] = y;
    }
    UNROLL(1)
    for (int64_t i = head + wide * W::count + t; i < n; i += threads) out[i] = body(i, in[i]...);
}

// ---------------------------------------------------------------- reductions: one order, so the same bits
// every time
template <class A>
__device__ __forceinline__ A warp_sum(A x) {
    for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
    return x;
}

// The sum over a group of threads, in each of them: a warp of several in the block, or the whole block (whole
// warps).
template <bool WARP, class A>
__device__ __forceinline__ A group_sum(A x) {
    x = warp_sum(x);
    if constexpr (!WARP) {
        TFLBP_SHARED(A, parts, 32);
        __syncthreads();  // parts may still be read by a previous sum
        if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
        __syncthreads();
        x = warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : A(0));
    }
    return x;
}

template <bool WARP>
__device__ __forceinline__ void group_sync() {
    if constexpr (WARP)
        __syncwarp();
    else
        __syncthreads();
}

// ---------------------------------------------------------------- rows: one each for a group of threads
// Short rows: 4 warps a block, a row each. Long rows: a block each.
template <bool WARP>
struct Row {
    static const int most = WARP ? 128 : 512;  // threads of a block
    int64_t index;
    int thread, threads, slot;
    __device__ __forceinline__ Row()
        : index(WARP ? int64_t(blockIdx.x) * 4 + threadIdx.x / 32 : int64_t(blockIdx.x)),
          thread(WARP ? threadIdx.x % 32 : threadIdx.x),
          threads(WARP ? 32 : blockDim.x),
          slot(WARP ? threadIdx.x / 32 : 0) {}
};

// A place in dynamic shared memory for a row of n elements with the alignment of `like`, so that the same
// thread sees the same elements of both. The launch gives each row n * sizeof(T) + 32 bytes, rounded down
// to 16.
template <class T>
__device__ __forceinline__ T* row_cache(unsigned char* shared, int slot, int64_t n, const T* like) {
    return reinterpret_cast<T*>(shared + slot * ((n * sizeof(T) + 32) / 16 * 16) +
                                (unsigned long long)(like) % 16);
}

// ---------------------------------------------------------------- functions
__device__ __forceinline__ float exponential(float x) { return __expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }
__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }
