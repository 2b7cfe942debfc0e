// Philox4x32-10, a counter-based generator: word i of a stream is a function of (seed, offset, i) alone, so
// any piece can be made by any thread, and the GPU makes the same numbers.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); tests hold the
// known answers of Random123. Counter: (low, high) of offset + block, then two zeros; key: (low, high) of the
// seed; 4 words per block. Limit: ten rounds of two 32 x 32 bit products per 4 words; blocks are computed
// side by side to fill vectors.

#include "stream.h"
#include "tflbp/parallel.h"
#include "tflbp/random.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int kBlocks = 32;  // Philox blocks side by side

// Words of blocks first .. first + kBlocks, in stream order.
void philox(uint32_t* out, uint64_t first, uint64_t seed) {
    uint32_t a[kBlocks], b[kBlocks], c[kBlocks], d[kBlocks];
    for (int i = 0; i < kBlocks; ++i) {
        const uint64_t counter = first + (uint64_t)i;
        a[i] = (uint32_t)counter, b[i] = (uint32_t)(counter >> 32), c[i] = d[i] = 0;
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < kBlocks; ++i) {
            const uint64_t p = (uint64_t)a[i] * 0xD2511F53u, q = (uint64_t)c[i] * 0xCD9E8D57u;
            const uint32_t na = (uint32_t)(q >> 32) ^ b[i] ^ k0, nc = (uint32_t)(p >> 32) ^ d[i] ^ k1;
            a[i] = na, b[i] = (uint32_t)q, c[i] = nc, d[i] = (uint32_t)p;
        }
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < kBlocks; ++i) {
        out[4 * i] = a[i], out[4 * i + 1] = b[i], out[4 * i + 2] = c[i], out[4 * i + 3] = d[i];
    }
}

// Calls use(words, position of the first, how many) for the words [first, first + n); first is a multiple
// of 4.
template <class F>
void each_group(int64_t first, int64_t n, uint64_t seed, uint64_t offset, const F& use) {
    alignas(64) uint32_t w[4 * kBlocks];
    for (int64_t i = 0; i < n; i += 4 * kBlocks) {
        philox(w, offset + (uint64_t)(first + i) / 4, seed);
        use(w, i, n - i < 4 * kBlocks ? n - i : (int64_t)4 * kBlocks);
    }
}

void words(uint32_t* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset) {
    each_group(first, n, seed, offset, [=](const uint32_t* w, int64_t at, int64_t count) {
        memcpy(out + at, w, (size_t)count * sizeof *w);
    });
}

// [0, 1): the upper 24 bits of one word.
void uniform_f32(float* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset) {
    each_group(first, n, seed, offset, [=](const uint32_t* w, int64_t at, int64_t count) {
        for (int64_t i = 0; i < count; ++i) out[at + i] = (float)(int32_t)(w[i] >> 8) * 0x1p-24f;
    });
}

// [0, 1): 27 bits of the first word above 26 bits of the second.
void uniform_f64(double* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset) {
    each_group(2 * first, 2 * n, seed, offset, [=](const uint32_t* w, int64_t at, int64_t count) {
        for (int64_t i = 0; i < count / 2; ++i)
            out[at / 2 + i] =
                ((double)(int32_t)(w[2 * i] >> 5) * 67108864.0 + (double)(int32_t)(w[2 * i + 1] >> 6)) *
                0x1p-53;
    });
}

// GCC 12 takes the words for unset here, even where they are set to zero first.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// Limit: the words, about a nanosecond each; the array is read and written meanwhile.
template <class T>
void dropped(const T* x, T* out, int64_t first, int64_t n, const Dropout& d) {
    const T scale = (T)d.scale;
    const uint32_t threshold = d.threshold;
    const StreamEnd streams{d.past};
    each_group(first, n, d.seed, d.offset, [=](const uint32_t* w, int64_t at, int64_t count) {
        const T* from = x + first + at;
        write_terms(out + first + at, count, d.past,
                    [=](int64_t i) { return w[i] >= threshold ? from[i] * scale : T(0); });
    });
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace

extern const RandomTable random_words = {words, uniform_f32, uniform_f64, dropped<float>, dropped<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
