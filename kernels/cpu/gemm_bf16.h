// C = op(A) op(B) (+ bias, ReLU) for bfloat16, summed in float32 and rounded once.
#pragma once

#include "cpu/gemm.h"

namespace tflbp {

using Bf16 = uint16_t;  // the upper half of a float32

struct GemmBf16Args {
    int64_t m, n, k;  // C is m x n, the sum runs over k; each may be 0
    Operand<Bf16> a, b;
    Bf16* c;
    int64_t ldc;
    const Bf16* bias;  // n values added to every row, or null
    bool relu;         // C = max(C, 0) after the bias; NaN stays NaN
};

// Whether this CPU multiplies bfloat16 (AVX512-BF16: Zen 4, Cooper Lake and newer) and AVX-512 is in use.
bool gemm_bf16_available();

// On all threads; an element is summed in the order of k whatever their number. Subnormal numbers count as
// zero: the instruction's. False when out of memory.
bool gemm_bf16(const GemmBf16Args& args);
bool gemm_bf16_stack(const GemmBf16Args& args, const Stack& stack);

}  // namespace tflbp
