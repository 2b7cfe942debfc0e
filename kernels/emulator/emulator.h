// The subset of CUDA C++ that our kernels use, executed on the CPU.
//
// Every CUDA thread is a fiber. Blocks run one after another, the blocks of a cluster together. Barriers and
// warp operations park the fiber; the scheduler releases a group when all its members stand at the same call,
// and calls it an error when they cannot. Three schedules (forward, reverse, random) change the order of the
// threads; shared memory starts as NaN. A mistake is an `emulator::Error` with the kernel, the block and the
// line.
//
// Not modelled: lock-step timing, weak memory order beyond the barriers, bank conflicts, the rounding of
// __expf. One launch at a time, on one OS thread. Build emulator.cpp without sanitizers, kernels and drivers
// with them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>

// ---------------------------------------------------------------- keywords
#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define TFLBP_CLUSTER_OF(blocks)  // the launch says it
#define __restrict__ __restrict

// ---------------------------------------------------------------- built-in types and variables
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

typedef void* cudaStream_t;
typedef int cudaError_t;
enum { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };

#define threadIdx (::emulator::thread->index)
#define blockIdx (::emulator::thread->block->index)
#define blockDim (::emulator::thread->block->dim)
#define gridDim (::emulator::thread->block->grid)
#define warpSize 32

namespace emulator {

enum class State : int { ready, at_block, at_warp, at_cluster, done };
enum class WarpOp : int { shuffle, up, down, exclusive_or, ballot, sync };

struct Block;

struct Thread {
    uint3 index;
    int lane, warp;
    State state;
    int line;   // of the barrier or warp operation it waits at
    WarpOp op;  // and what that is
    unsigned mask;
    int argument, width;
    uint64_t value, result;
    Block* block;
    void* stack_pointer;
    void* stack;
    void* fiber;  // ThreadSanitizer's
};

struct Block {
    uint3 index;
    dim3 dim, grid;
    int rank;               // in its cluster
    unsigned char* shared;  // static shared memory, then dynamic
    unsigned char* dynamic;
    size_t dynamic_bytes;
    Thread* threads;
    char* sync;  // addresses that stand for this block's barriers, for ThreadSanitizer
};

enum class Order : int { forward, reverse, random };

struct Config {
    Order order = Order::forward;
    uint32_t seed = 1;
};

struct Stats {
    uint64_t launches, blocks, switches, barriers, warp_ops;
    size_t shared_bytes;  // the largest static and dynamic shared memory of a block
};

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

extern Thread* thread;  // the one that runs
extern Config config;
extern Stats stats;

void block_sync(int line);
struct WarpSync {
    int line;
    void operator()(unsigned mask = 0xffffffffu) const;
};
void cluster_barrier(int line);
int rank_in_cluster();
void* map_shared(void* p, int rank);
uint64_t warp_op(WarpOp op, unsigned mask, uint64_t value, int argument, int width, int line);
// The block's array of that tag (one per declaration and instantiation), made at the first call of a launch.
void* shared_array(const void* tag, size_t bytes);
void* dynamic_shared();
cudaError_t last_error();
// Runs body(call) once per thread of every block; throws Error. A configuration that CUDA refuses sets
// last_error().
void launch(const char* name, dim3 grid, dim3 block, size_t dynamic_bytes, int cluster, void (*call)(void*),
            void* body);

template <class F>
void launch(const char* name, dim3 grid, dim3 block, size_t dynamic_bytes, int cluster, F body) {
    launch(name, grid, block, dynamic_bytes, cluster, [](void* f) { (*static_cast<F*>(f))(); }, &body);
}

// Values travel between lanes as 64 bits.
template <class T>
inline uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8, "warp operations take at most 64 bits");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T>
inline T from_bits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
inline T shuffle(WarpOp op, int line, unsigned mask, T value, int argument, int width = 32) {
    return from_bits<T>(warp_op(op, mask, to_bits(value), argument, width, line));
}

inline unsigned ballot(unsigned mask, bool predicate, int line) {
    return unsigned(warp_op(WarpOp::ballot, mask, predicate, 0, 32, line));
}

inline float reciprocal_root(float x) { return 1.0f / std::sqrt(x); }
inline double reciprocal_root(double x) { return 1.0 / std::sqrt(x); }

}  // namespace emulator

// ---------------------------------------------------------------- shared memory, launches
#define TFLBP_SHARED(T, name, n)      \
    static const char name##_tag = 0; \
    T(&name)[n] = *reinterpret_cast<T(*)[n]>(::emulator::shared_array(&name##_tag, sizeof(T) * (n)))
#define TFLBP_SHARED2(T, name, rows, columns)                 \
    static const char name##_tag = 0;                         \
    T(&name)                                                  \
    [rows][columns] = *reinterpret_cast<T(*)[rows][columns]>( \
        ::emulator::shared_array(&name##_tag, sizeof(T) * (rows) * (columns)))
#define TFLBP_DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(::emulator::dynamic_shared())
#define TFLBP_LAUNCH(kernel, grid, block, shared, stream, ...) \
    ::emulator::launch(#kernel, (grid), (block), (shared), 1, [&] { kernel(__VA_ARGS__); })
#define TFLBP_LAUNCH_CLUSTER(kernel, cluster, grid, block, shared, stream, ...) \
    ::emulator::launch(#kernel, (grid), (block), (shared), (cluster), [&] { kernel(__VA_ARGS__); })

// ---------------------------------------------------------------- synchronisation
#define __syncthreads() ::emulator::block_sync(__LINE__)
#define __syncwarp(...) ::emulator::WarpSync{__LINE__}(__VA_ARGS__)
#define cluster_sync() ::emulator::cluster_barrier(__LINE__)
#define cluster_rank() ::emulator::rank_in_cluster()
template <class T>
static inline T* map_shared(T* p, int rank) {
    return static_cast<T*>(::emulator::map_shared(p, rank));
}
#define __shfl_sync(...) ::emulator::shuffle(::emulator::WarpOp::shuffle, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) ::emulator::shuffle(::emulator::WarpOp::up, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) ::emulator::shuffle(::emulator::WarpOp::down, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) ::emulator::shuffle(::emulator::WarpOp::exclusive_or, __LINE__, __VA_ARGS__)
#define __ballot_sync(mask, predicate) ::emulator::ballot((mask), (predicate), __LINE__)
#define __any_sync(mask, predicate) (::emulator::ballot((mask), (predicate), __LINE__) != 0)
#define __all_sync(mask, predicate) (::emulator::ballot((mask), !(predicate), __LINE__) == 0)
#define __threadfence() ((void)0)

// ---------------------------------------------------------------- memory, arithmetic
template <class T>
static inline T atomicAdd(T* p, std::common_type_t<T> value) {
    if constexpr (std::is_integral_v<T>) {
        return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
    } else {
        T old, sum;
        __atomic_load(p, &old, __ATOMIC_RELAXED);
        do sum = old + value;
        while (!__atomic_compare_exchange(p, &old, &sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return old;
    }
}
template <class T>
static inline T atomicOr(T* p, std::common_type_t<T> value) {
    return __atomic_fetch_or(p, value, __ATOMIC_RELAXED);
}
template <class T>
static inline T __ldg(const T* p) {
    return *p;
}
template <class T>
static inline T __ldcs(const T* p) {
    return *p;
}
template <class T>
static inline void __stcs(T* p, T value) {
    *p = value;
}
static inline float __uint_as_float(unsigned bits) { return emulator::from_bits<float>(bits); }
static inline unsigned __float_as_uint(float x) { return unsigned(emulator::to_bits(x)); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline double sinpi(double x) { return std::sin(x * 3.14159265358979323846); }
static inline double cospi(double x) { return std::cos(x * 3.14159265358979323846); }
// glibc declares functions of these names, so they are macros
#define __expf(x) std::exp(float(x))
#define __logf(x) std::log(float(x))
#define __fdividef(a, b) ((a) / (b))
#define rsqrtf(x) ::emulator::reciprocal_root(float(x))
#define rsqrt(x) ::emulator::reciprocal_root(x)
using std::max;
using std::min;

static inline cudaError_t cudaGetLastError() { return emulator::last_error(); }
