// Random words: the table of functions, one per float type and instruction set (see kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

struct Dropout {
    uint32_t threshold;
    double scale;
    uint64_t seed, offset;
    bool past;  // written around the caches
};

struct RandomTable {
    // Words [first, first + n) of the stream; first is a multiple of 4.
    void (*words)(uint32_t* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset);
    void (*uniform_f32)(float* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset);
    void (*uniform_f64)(double* out, int64_t first, int64_t n, uint64_t seed,
                        uint64_t offset);  // first: of 2
    // Elements [first, first + n): x scale where the word is threshold or more, else 0.
    void (*dropped_f32)(const float* x, float* out, int64_t first, int64_t n, const Dropout&);
    void (*dropped_f64)(const double* x, double* out, int64_t first, int64_t n, const Dropout&);
};

TFLBP_DECLARE_TABLE(RandomTable, random_words)

}  // namespace tflbp
