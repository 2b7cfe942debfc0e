#include "cpu/gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tflbp/parallel.h"

namespace tflbp {
namespace {

constexpr int kScratchSlot = 3;
constexpr int64_t kSharedCache = 2 << 20;    // of the last level, that one thread may fill with a packed B
constexpr int64_t kOneThreadBelow = 400000;  // multiply-adds: 4 us of AVX2, a few times a fork and join
constexpr double kJob = 100000;              // of small products, several to a job

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

// Measured, as time over OpenBLAS': 0.77 to 1.07 against its AVX2 kernels, 0.59 to 1.04 against its AVX-512
// kernels (Zen 4). MKL is at its best on Intel's processors. Below AVX2 there is no fused multiply-add here.
const char* gemm_choice(const char* blas) {
    bool mkl_at_home = false;
#ifdef TFLBP_X86_LEVELS
    mkl_at_home = std::strstr(blas, "mkl") && __builtin_cpu_is("intel");
#endif
    return gemm_available() && isa() != Isa::baseline && !mkl_at_home ? "native" : "numpy";
}

template <class T>
bool gemm_here(const GemmArgs<T>& g) {
    if (g.m <= 0 || g.n <= 0) return true;
    static const CacheSizes cache{cache_sizes().l2, kSharedCache};
    const GemmFunctions<T>& f = functions(T());
    const int64_t size = f.scratch(g, cache);
    T* memory = scratch_of<T>(kScratchSlot, size);
    if (!memory && size > 0) return false;
    f.block(g, cache, memory);
    return true;
}

template <class T>
bool gemm_stack(const GemmArgs<T>& whole, const Stack& stack) {
    if (whole.m <= 0 || whole.n <= 0 || stack.count <= 0) return true;
    const GemmFunctions<T>& f = functions(T());
    // Chosen by the whole product, never by a thread's share of it: the two sum in different orders.
    const bool dots = whole.m <= kDotRows && whole.b.trans && !whole.a.trans && !whole.add;
    const double work = std::max(1.0, double(whole.m) * double(whole.n) * double(whole.k));
    const bool small = work * double(stack.count) < kOneThreadBelow;
    // Two pieces per thread: a thread that wakes late or loses its core leaves the rest to the others.
    const int64_t wanted = small || num_threads() == 1 ? 1 : 2 * num_threads();
    const Cut cut = wanted <= stack.count ? Cut{1, 1} : best_cut(whole, f, ceil_div(wanted, stack.count));
    const int64_t cuts = cut.rows * cut.cols, pieces = stack.count * cuts;
    const int64_t together = small ? pieces : std::max<int64_t>(1, int64_t(kJob / work));
    std::atomic<bool> ok{true};
    parallel_for(ceil_div(pieces, together), [&](int64_t job) {
        for (int64_t i = job * together; i < std::min(pieces, (job + 1) * together); i++) {
            GemmArgs<T> g = whole;
            g.a.p += stack.a[i / cuts], g.b.p += stack.b[i / cuts], g.c += stack.c[i / cuts];
            if (cuts > 1) g = part(g, f, cut, i % cuts);
            if (dots)
                f.dots(g);
            else if (!gemm_here(g))
                ok.store(false, std::memory_order_relaxed);
        }
    });
    return ok.load();
}

template <class T>
bool gemm(const GemmArgs<T>& g) {
    constexpr int64_t here = 0;
    return gemm_stack(g, {1, &here, &here, &here});
}

template bool gemm_here<float>(const GemmArgs<float>&);
template bool gemm_here<double>(const GemmArgs<double>&);
template bool gemm_stack<float>(const GemmArgs<float>&, const Stack&);
template bool gemm_stack<double>(const GemmArgs<double>&, const Stack&);
template bool gemm<float>(const GemmArgs<float>&);
template bool gemm<double>(const GemmArgs<double>&);

}  // namespace tflbp
