// Writing arrays larger than the last-level cache: non-temporal stores do not read what they overwrite, and
// leave the caches to what is still needed (measured: a third less traffic for a copy).
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include "cpu/intrinsics.h"
#endif

namespace tflbp {
namespace TFLBP_ISA {
namespace {

constexpr int64_t kLine = 64;  // bytes

// whole lines from an aligned buffer to an aligned place
inline void stream_lines(void* to, const void* from, int64_t bytes) {
#if defined(__AVX512F__)
    for (int64_t i = 0; i < bytes; i += 64)
        _mm512_stream_si512((__m512i*)((char*)to + i), _mm512_load_si512((const char*)from + i));
#elif defined(__AVX2__)
    for (int64_t i = 0; i < bytes; i += 32)
        _mm256_stream_si256((__m256i*)((char*)to + i),
                            _mm256_load_si256((const __m256i*)((const char*)from + i)));
#elif defined(__SSE2__)
    for (int64_t i = 0; i < bytes; i += 16)
        _mm_stream_si128((__m128i*)((char*)to + i), _mm_load_si128((const __m128i*)((const char*)from + i)));
#else
    memcpy(to, from, (size_t)bytes);
#endif
}

// At the start of a job that streams: what it wrote is seen by other threads when the job has ended.
struct StreamEnd {
    bool past;
    ~StreamEnd() {
#if defined(__SSE2__)
        if (past) _mm_sfence();
#endif
    }
};

// out[i] = term(i) for i in [0, n); past: around the caches, under a StreamEnd.
template <class T, class F>
inline void write_terms(T* __restrict out, int64_t n, bool past, const F& term) {
    int64_t i = 0;
    if (past) {
        constexpr int64_t kTile = 2048 / (int64_t)sizeof(T), kPerLine = kLine / (int64_t)sizeof(T);
        alignas(64) T tile[kTile];
        for (; i < n && ((uintptr_t)(out + i) & (kLine - 1)); ++i) out[i] = term(i);
        while (n - i >= kPerLine) {
            const int64_t at = i, left = (n - i) / kPerLine * kPerLine, len = left < kTile ? left : kTile;
            for (int64_t j = 0; j < len; ++j) tile[j] = term(at + j);
            stream_lines(out + i, tile, len * (int64_t)sizeof(T));
            i += len;
        }
    }
    for (; i < n; ++i) out[i] = term(i);
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
