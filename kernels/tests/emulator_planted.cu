// Kernels in which one mistake can be switched on: tests/test_emulator.py asserts that every one is found.
//
//   planted <schedule> [mistake]: runs all kernels below; exit 0 when the results are right, 1 when wrong, 2
//   with a message when the emulator refused.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda/portable.h"

namespace {

const char* mistake = "";

bool planted(const char* name) { return std::strcmp(mistake, name) == 0; }

// A tree over shared memory, one barrier per level; the sum of each block.
__global__ void tree_sum(const float* __restrict__ x, float* __restrict__ out, int n) {
    TFLBP_SHARED(float, part, 256);
    const int t = threadIdx.x, i = blockIdx.x * 256 + t;
    if (i < n || !planted("uninitialised_shared")) part[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int half = 128; half; half >>= 1) {
        if (t < half) part[t] += part[t + half];
        if (!planted("missing_barrier")) __syncthreads();
    }
    if (t == 0) out[blockIdx.x + (planted("out_of_bounds") ? 1 : 0)] = part[0];
}

// Warp sums by shuffles, added up with an atomic.
__global__ void atomic_sum(const float* __restrict__ x, float* out, int n) {
    float sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    if (planted("exited_lane") && threadIdx.x == 3) return;
    if (planted("wrong_mask")) sum += __shfl_down_sync(0xfffffff0u, sum, 16);
    if (!planted("partial_shuffle") || threadIdx.x % 32 < 16)
        for (int o = 16; o; o >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, o);
    if (planted("different_warp_operations")) {
        if (threadIdx.x % 2)
            sum = __shfl_xor_sync(0xffffffffu, sum, 1);
        else
            sum = __shfl_xor_sync(0xffffffffu, sum, 2);
    }
    if (planted("divergent_barrier") && threadIdx.x < 40) __syncthreads();
    if (planted("different_barriers")) {
        if (threadIdx.x < 64)
            __syncthreads();
        else
            __syncthreads();
    }
    if (threadIdx.x % 32 == 0) {
        if (planted("race_between_warps"))
            *out += sum;
        else
            atomicAdd(out, sum);
    }
}

// Thread 0 of every block adds its block's number: no two threads of one block touch the word.
__global__ void block_count(float* out) {
    if (threadIdx.x) return;
    if (planted("race_between_blocks"))
        *out += 1.0f;
    else
        atomicAdd(out, 1.0f);
}

// 16-byte loads.
__global__ void copy4(const float* __restrict__ x, float* __restrict__ out, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i < n) reinterpret_cast<float4*>(out)[i] = reinterpret_cast<const float4*>(x)[i];
}

// A maximum across a cluster of 4 blocks through distributed shared memory.
__global__ void cluster_max(const float* __restrict__ x, float* __restrict__ out, int n) {
    TFLBP_SHARED(float, seen, 4);
    const int t = threadIdx.x, rank = cluster_rank(), per = n / 4;
    float m = -INFINITY;
    for (int i = t; i < per; i += 32) m = fmaxf(m, x[(blockIdx.x / 4) * n + rank * per + i]);
    for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, o));
    if (t == 0 && planted("outside_cluster")) *map_shared(&seen[rank], 4) = m;
    if (t == 0 && planted("not_shared")) *map_shared(out, 0) = m;
    if (t == 0)
        for (int peer = 0; peer < 4; peer++) *map_shared(&seen[rank], peer) = m;
    if (planted("missing_cluster_barrier"))
        __syncthreads();
    else
        cluster_sync();
    if (t == 0 && rank == 0) {
        for (int peer = 0; peer < 4; peer++) m = fmaxf(m, seen[peer]);
        out[blockIdx.x / 4] = m;
    }
    cluster_sync();  // no block leaves while a peer may write to it
}

// The whole grid as one cluster: everybody's value is seen after one barrier.
__global__ void grid_shift(float* x, float* out) {
    x[blockIdx.x] = float(blockIdx.x);
    if (planted("half_a_cluster") && blockIdx.x < 8) return;
    cluster_sync();
    out[blockIdx.x] = x[(blockIdx.x + 1) % gridDim.x];
}

__global__ void too_much_shared(float* out) {
    TFLBP_SHARED(float, big, 13 * 1024);
    big[threadIdx.x] = 1.0f;
    out[0] = big[0];
}

int wrong = 0;

void expect(const char* what, double got, double want) {
    if (std::fabs(got - want) <= 1e-5 * std::fabs(want) + 1e-6) return;  // false for NaN
    std::printf("WRONG %s: %g, not %g\n", what, got, want);
    wrong++;
}

// Memory of exactly n floats, so that a store behind it is seen.
std::unique_ptr<float, void (*)(void*)> exactly(size_t n) {
    auto* p = static_cast<float*>(std::aligned_alloc(16, n * sizeof(float)));
    std::fill(p, p + n, NAN);
    return {p, std::free};
}

void run() {
    const int n = 1000;
    std::vector<float> x(1024);
    for (int i = 0; i < 1024; i++) x[i] = float((i * 37) % 101);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];

    auto parts = exactly(4);
    TFLBP_LAUNCH(tree_sum, dim3(4), dim3(256), 0, nullptr, x.data(), parts.get(), n);
    expect("tree_sum", double(parts.get()[0]) + parts.get()[1] + parts.get()[2] + parts.get()[3], sum);

    float total = 0;
    TFLBP_LAUNCH(atomic_sum, dim3(4), dim3(128), 0, nullptr, x.data(), &total, n);
    expect("atomic_sum", total, sum);

    float count = 0;
    TFLBP_LAUNCH(block_count, dim3(40), dim3(32), 0, nullptr, &count);
    expect("block_count", count, 40);

    auto copy = exactly(1024);
    auto source = exactly(1024);
    std::copy(x.begin(), x.end(), source.get());
    if (planted("misaligned"))
        TFLBP_LAUNCH(copy4, dim3(1), dim3(64), 0, nullptr, source.get() + 1, copy.get(), 200);
    TFLBP_LAUNCH(copy4, dim3(4), dim3(64), 0, nullptr, source.get(), copy.get(), 1024);
    expect("copy4", copy.get()[1023], x[1023]);

    auto rows = exactly(4);
    TFLBP_LAUNCH_CLUSTER(cluster_max, 4, dim3(16), dim3(32), 0, nullptr, x.data(), rows.get(), 256);
    for (int r = 0; r < 4; r++)
        expect("cluster_max", rows.get()[r], *std::max_element(x.data() + 256 * r, x.data() + 256 * (r + 1)));

    auto from = exactly(16), to = exactly(16);
    TFLBP_LAUNCH_CLUSTER(grid_shift, 16, dim3(16), dim3(1), 0, nullptr, from.get(), to.get());
    expect("grid_shift", to.get()[15], 0);
    expect("grid_shift", to.get()[3], 4);

    if (planted("too_much_shared")) TFLBP_LAUNCH(too_much_shared, dim3(1), dim3(64), 0, nullptr, &total);

    TFLBP_LAUNCH(block_count, dim3(1), dim3(2048), 0, nullptr, &count);
    expect("a block of 2048 threads is refused", cudaGetLastError(), cudaErrorInvalidConfiguration);
    TFLBP_LAUNCH(block_count, dim3(1, 70000), dim3(32), 0, nullptr, &count);
    expect("a grid of 70000 rows is refused", cudaGetLastError(), cudaErrorInvalidConfiguration);
    expect("the error is reported once", cudaGetLastError(), cudaSuccess);
}

}  // namespace

int main(int argc, char** argv) {
    emulator::config.order = emulator::Order(argc > 1 ? std::atoi(argv[1]) : 0);
    emulator::config.seed = 12345;
    if (argc > 2) mistake = argv[2];
    try {
        run();
    } catch (const emulator::Error& error) {
        std::printf("REFUSED %s\n", error.what());
        return 2;
    }
    return wrong ? 1 : 0;
}
