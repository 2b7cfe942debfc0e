// One instruction, VDPBF16PS, multiplies 32 pairs and adds neighbours: 64 operations, twice as many as an FMA
// in float32. It wants the two of a pair side by side, so both operands are packed as words of two
// neighbours in k, [pair][lane]; that costs one pass over each.
//
// Without blocks of k: a panel of B (32 columns) and one of A (14 rows) are read once per tile at 6 bytes a
// cycle, which L2 gives and L3 too, and no partial sum ever leaves the registers.
#include "cpu/gemm_bf16.h"

#include <algorithm>
#include <atomic>

#include "tflbp/parallel.h"

#if defined(TFLBP_X86_LEVELS) && \
    ((defined(__clang__) && __clang_major__ >= 9) || (!defined(__clang__) && __GNUC__ >= 10))
#define TFLBP_BF16 1
#include "cpu/intrinsics.h"
// For functions that run only where gemm_bf16_available(); the file itself is compiled for any CPU.
#define TFLBP_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#endif

namespace tflbp {

#ifdef TFLBP_BF16
namespace {

constexpr int kPacked = 2, kPanel = 3;         // slots of scratch
constexpr int kRows = 14, kCols = 32;          // the tile: 28 accumulators of 32 registers
constexpr int kLanesOfA = 16, kLanesOfB = 32;  // of a packed panel
constexpr int64_t kOneThreadBelow = 800000;    // multiply-adds

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A matrix seen as lanes (rows of A, columns of B) along k: element (lane, k) is p[lane * ld + k] when
// k_inner, else p[k * ld + lane].
struct Lanes {
    const Bf16* p;
    int64_t ld;
    bool k_inner;
};

TFLBP_TARGET void transpose(__m512i* r) {  // 16 x 16 words
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int c = 0; c < 4; c++) {  // 128-bit piece L of r[4 i + c]: column 4 L + c of rows 4 i to 4 i + 3
        const __m512i even0 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0x88);
        const __m512i odd0 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0xdd);
        const __m512i even1 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0x88);
        const __m512i odd1 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0xdd);
        t[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        t[c + 4] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        t[c + 8] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        t[c + 12] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

// count lanes from lane0 on, all of k, as words [pair][width]; what is beyond count and k becomes zero.
template <int width>
TFLBP_TARGET void pack(uint32_t* to, const Lanes& m, int64_t lane0, int count, int64_t k) {
    if (m.k_inner) {
        for (int group = 0; group < width; group += 16)
            for (int64_t q = 0; q < k; q += 32) {
                const int64_t rest = k - q;
                const __mmask32 in_k = rest >= 32 ? ~0u : (1u << rest) - 1;
                __m512i r[16];
                for (int i = 0; i < 16; i++) {
                    const bool exists = group + i < count;
                    const Bf16* row = m.p + (exists ? lane0 + group + i : lane0) * m.ld + q;
                    r[i] = _mm512_maskz_loadu_epi16(exists ? in_k : 0, row);
                }
                transpose(r);
                const int64_t pairs = ceil_div(std::min<int64_t>(rest, 32), 2);
                for (int i = 0; i < pairs; i++) _mm512_storeu_si512(to + (q / 2 + i) * width + group, r[i]);
            }
        return;
    }
    alignas(64) uint16_t low[32], high[32];  // of two rows, the words of the first and of the last 16 lanes
    for (int i = 0; i < 32; i++) {
        low[i] = uint16_t(i / 2 + i % 2 * 32);
        high[i] = uint16_t(16 + low[i]);
    }
    const __m512i first = _mm512_load_si512(low), second = _mm512_load_si512(high);
    const __mmask32 in_row = count >= 32 ? ~0u : (1u << count) - 1;
    const Bf16* p = m.p + lane0;
    for (int64_t q = 0; q < k; q += 2, p += 2 * m.ld, to += width) {
        const bool odd = q + 1 == k;
        const __m512i x = _mm512_maskz_loadu_epi16(in_row, p);
        const __m512i y = _mm512_maskz_loadu_epi16(odd ? 0 : in_row, odd ? p : p + m.ld);
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(x, first, y));
        if (width > 16) _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(x, second, y));
    }
}

struct Tile {
    const uint32_t *a, *b;
    int64_t pairs;
    Bf16* c;
    int64_t ldc;
    int cols;
    const Bf16* bias;
    bool relu;
};

template <int MR, int NV>
TFLBP_TARGET void micro(const Tile& t) {
    __m512 acc[MR][NV];
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) acc[i][j] = _mm512_setzero_ps();
    const uint32_t *a = t.a, *b = t.b;
    for (int64_t p = t.pairs; p > 0; p--, a += kLanesOfA, b += kLanesOfB) {
        __m512bh v[NV];
        for (int j = 0; j < NV; j++) v[j] = (__m512bh)_mm512_loadu_si512(b + 16 * j);
        _Pragma("GCC unroll 14") for (int i = 0; i < MR; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32(int(a[i]));
            for (int j = 0; j < NV; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, v[j]);
        }
    }
    for (int j = 0; j < NV; j++) {
        const int rest = t.cols - 16 * j;
        const __mmask16 in_row = rest >= 16 ? 0xffff : __mmask16((1u << rest) - 1);
        __m512 bias = _mm512_setzero_ps();
        if (t.bias) {
            const __m256i halves = _mm256_maskz_loadu_epi16(in_row, t.bias + 16 * j);
            bias = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
        }
        for (int i = 0; i < MR; i++) {
            __m512 x = _mm512_add_ps(acc[i][j], bias);
            if (t.relu) x = _mm512_max_ps(_mm512_setzero_ps(), x);  // of NaN the second operand: x
            _mm256_mask_storeu_epi16(t.c + i * t.ldc + 16 * j, in_row, (__m256i)_mm512_cvtneps_pbh(x));
        }
    }
}

typedef void (*Micro)(const Tile&);
template <int MR>
void fill(Micro (*table)[2]) {
    table[MR][0] = micro<MR, 1>;
    table[MR][1] = micro<MR, 2>;
    if constexpr (MR > 1) fill<MR - 1>(table);
}
struct Table {
    Micro of[kRows + 1][2];
    Table() { fill<kRows>(of); }
};

// Heights are balanced: 32 rows are 11 + 11 + 10, not 14 + 14 + 4, where latency would show.
int64_t first_row(int64_t m, int64_t panels, int64_t i) { return m * i / panels; }

}  // namespace

bool gemm_bf16_available() {
    static const bool has = __builtin_cpu_supports("avx512bf16");
    return has && isa() == Isa::avx512;
}

bool gemm_bf16(const GemmBf16Args& g) {
    if (g.m <= 0 || g.n <= 0) return true;
    static const Table micros;
    const int64_t pairs = ceil_div(g.k, 2), high = ceil_div(g.m, kRows), wide = ceil_div(g.n, kCols);
    const int64_t size_of_a = pairs * kLanesOfA;
    const bool small = double(g.m) * double(g.n) * double(g.k) < kOneThreadBelow;
    auto* packed = scratch_of<uint32_t>(kPacked, high * size_of_a);
    if (!packed && size_of_a > 0) return false;
    const auto pack_rows = [&](int64_t i) {
        const int64_t row = first_row(g.m, high, i), rows = first_row(g.m, high, i + 1) - row;
        pack<kLanesOfA>(packed + i * size_of_a, {g.a.p, g.a.ld, !g.a.trans}, row, int(rows), g.k);
    };
    if (small || g.m * g.k < kSerialBelow)
        for (int64_t i = 0; i < high; i++) pack_rows(i);
    else
        parallel_for(high, pack_rows);
    // Few columns: rows are cut too, and every piece packs its panel of B again.
    const int64_t wanted = small ? 1 : ceil_div(2 * num_threads(), wide);
    const int64_t pieces = std::max<int64_t>(1, std::min(high / 4, wanted));
    std::atomic<bool> enough{true};
    const auto panel_of = [&](int64_t j, int64_t piece) {
        auto* panel = scratch_of<uint32_t>(kPanel, pairs * kLanesOfB);
        if (!panel && pairs > 0) return enough.store(false, std::memory_order_relaxed);
        const int64_t column = j * kCols;
        const int cols = int(std::min<int64_t>(kCols, g.n - column));
        pack<kLanesOfB>(panel, {g.b.p, g.b.ld, g.b.trans}, column, cols, g.k);
        for (int64_t i = high * piece / pieces; i < high * (piece + 1) / pieces; i++) {
            const int64_t row = first_row(g.m, high, i), rows = first_row(g.m, high, i + 1) - row;
            micros.of[rows][cols > 16](Tile{packed + i * size_of_a, panel, pairs, g.c + row * g.ldc + column,
                                            g.ldc, cols, g.bias ? g.bias + column : nullptr, g.relu});
        }
    };
    if (small)
        for (int64_t j = 0; j < wide; j++) panel_of(j, 0);
    else
        parallel_for(wide * pieces, [&](int64_t job) { panel_of(job / pieces, job % pieces); });
    return enough.load();
}

bool gemm_bf16_stack(const GemmBf16Args& whole, const Stack& stack) {
    std::atomic<bool> enough{true};
    const auto product = [&](int64_t i) {
        GemmBf16Args g = whole;
        g.a.p += stack.a[i], g.b.p += stack.b[i], g.c += stack.c[i];
        if (!gemm_bf16(g)) enough.store(false, std::memory_order_relaxed);
    };
    const double work = double(whole.m) * double(whole.n) * double(whole.k) * double(stack.count);
    if (stack.count < 2 * num_threads() || work < kOneThreadBelow)  // the products cut themselves
        for (int64_t i = 0; i < stack.count; i++) product(i);
    else
        parallel_for(stack.count, product);
    return enough.load();
}

#else

bool gemm_bf16_available() { return false; }
bool gemm_bf16(const GemmBf16Args&) { return false; }
bool gemm_bf16_stack(const GemmBf16Args&, const Stack&) { return false; }

#endif

}  // namespace tflbp
