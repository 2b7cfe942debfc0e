// One kernel source, three hosts: nvcc, NVRTC (no headers needed), and g++ with the emulator
// (-DTFLBP_EMULATOR).
//
// A kernel file holds device code only, includes nothing else, and is plain CUDA C++ but for the names below:
// shared memory is declared through macros (the emulator hands out poisoned arenas), and clusters go through
// functions.
#pragma once

#if defined(TFLBP_EMULATOR)
#include "emulator/emulator.h"

#define UNROLL(n)
#define UNROLL_ALL
#else

#if defined(__CUDACC_RTC__)
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef int int32_t;
typedef long long int64_t;
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
#else
#include <cuda_runtime.h>

#include <cstdint>
#endif

#define TFLBP_PRAGMA(text) _Pragma(#text)
#define UNROLL(n) TFLBP_PRAGMA(unroll n)
#define UNROLL_ALL TFLBP_PRAGMA(unroll)

#define TFLBP_SHARED(T, name, n) __shared__ T name[n]
#define TFLBP_SHARED2(T, name, rows, columns) __shared__ T name[rows][columns]
#define TFLBP_DYNAMIC_SHARED(T, name)                              \
    extern __shared__ __align__(16) unsigned char tflbp_dynamic[]; \
    T* name = reinterpret_cast<T*>(tflbp_dynamic)

#define TFLBP_LAUNCH(kernel, grid, block, shared, stream, ...) \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)

// ---------------------------------------------------------------- thread block clusters (sm_90 and newer)
#define TFLBP_CLUSTER_OF(blocks) __cluster_dims__(blocks, 1, 1)

__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                     : "memory");
}

__device__ __forceinline__ int cluster_rank() {
    int rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// The same variable in the shared memory of the cluster's block `rank`.
template <class T>
__device__ __forceinline__ T* map_shared(T* p, int rank) {
    unsigned long long out;
    asm("mapa.u64 %0, %1, %2;" : "=l"(out) : "l"(p), "r"(rank));
    return reinterpret_cast<T*>(out);
}

#endif
