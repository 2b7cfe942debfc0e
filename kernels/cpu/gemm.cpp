#include "cpu/gemm.h"

#include <algorithm>
#include <atomic>

#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kScratchSlot = 3;
constexpr int64_t kSharedCache = 2 << 20;    // of the last level, that one thread may fill with a packed B
constexpr int64_t kOneThreadBelow = 400000;  // multiply-adds: 4 us of AVX2, a few times a fork and join

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

const GemmFunctions<float>& functions(float) { return TFLBP_DISPATCH(gemm_table).f32; }
const GemmFunctions<double>& functions(double) { return TFLBP_DISPATCH(gemm_table).f64; }

// How C is cut: rows x cols pieces. Cutting columns repeats the reading of A in every piece, cutting rows
// repeats the packing of B, which costs about as much as one row of tiles, transposed B about two.
struct Cut {
    int64_t rows, cols;
};
template <class T>
Cut best_cut(const GemmArgs<T>& g, const GemmFunctions<T>& f, int64_t pieces) {
    const int64_t high = ceil_div(g.m, f.rows), wide = ceil_div(g.n, f.cols);
    const int64_t repack = (g.b.trans ? 2 : 1) * f.rows, reread = 2;
    Cut best{1, 1};
    int64_t least = INT64_MAX;
    for (int64_t cols = 1; cols <= std::min(pieces, wide); cols++) {
        const int64_t rows = std::min(pieces / cols, high);
        const int64_t m = ceil_div(high, rows) * f.rows, n = ceil_div(wide, cols) * f.cols;
        const int64_t cost = (m + repack) * (n + reread);
        if (cost < least) least = cost, best = {rows, cols};
    }
    return best;
}

template <class T>
GemmArgs<T> part(const GemmArgs<T>& g, const GemmFunctions<T>& f, Cut cut, int64_t job) {
    const int64_t i = job / cut.cols, j = job % cut.cols, wide = ceil_div(g.n, f.cols);
    const int64_t m0 = g.m * i / cut.rows, m1 = g.m * (i + 1) / cut.rows;
    const int64_t n0 = wide * j / cut.cols * f.cols, n1 = std::min(g.n, wide * (j + 1) / cut.cols * f.cols);
    GemmArgs<T> p = g;
    p.m = m1 - m0, p.n = n1 - n0;
    p.a.p = g.a.at(m0, 0), p.b.p = g.b.at(0, n0);
    p.c = g.c + m0 * g.ldc + n0;
    if (g.bias) p.bias = g.bias + n0;
    return p;
}

}  // namespace

bool gemm_available() { return functions(float()).block != nullptr; }

// Measured: on AVX2 (Zen 3) equal to OpenBLAS on large and ahead on small problems; on AVX-512 OpenBLAS takes
// its AVX2 kernels on AMD and reaches half of ours. Below AVX2 there is no fused multiply-add here, and
// OpenBLAS has more kernels.
const char* gemm_choice() { return gemm_available() && isa() != Isa::baseline ? "native" : "numpy"; }

template <class T>
bool gemm(const GemmArgs<T>& g) {
    if (g.m <= 0 || g.n <= 0) return true;
    const GemmFunctions<T>& f = functions(T());
    const CacheSizes cache{cache_sizes().l2, kSharedCache};
    // Chosen by the whole problem, never by a thread's share of it: the two sum in different orders.
    const bool dots = g.m <= kDotRows && g.b.trans && !g.a.trans && !g.add;
    const bool small = double(g.m) * double(g.n) * double(g.k) < kOneThreadBelow;
    // Two pieces per thread: a thread that wakes late or loses its core leaves the rest to the others.
    const int64_t threads = num_threads();
    const Cut cut = small || threads == 1 ? Cut{1, 1} : best_cut(g, f, 2 * threads);
    std::atomic<bool> ok{true};
    parallel_for(cut.rows * cut.cols, [&](int64_t job) {
        const GemmArgs<T> p = part(g, f, cut, job);
        if (dots) return f.dots(p);
        const int64_t bytes = f.scratch(p, cache) * int64_t(sizeof(T));
        T* memory = static_cast<T*>(scratch(kScratchSlot, size_t(bytes)));
        if (memory || bytes == 0)
            f.block(p, cache, memory);
        else
            ok.store(false, std::memory_order_relaxed);
    });
    return ok.load();
}

template bool gemm<float>(const GemmArgs<float>&);
template bool gemm<double>(const GemmArgs<double>&);

}  // namespace tflbp
