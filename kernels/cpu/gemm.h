// C = op(A) op(B) (+ C, bias, ReLU), row-major, float32 and float64.
//
// gemm.cpp cuts C into jobs; gemm_isa.cpp (once per instruction set) computes one job on one thread:
//   gemm_micro.h   a tile of C in registers over a block of k
//   gemm_pack.h    copies of A and B where reading them in place would be slow
//   gemm_block.h   the loops around the two
//   gemm_dot.h     one to three rows times a transposed B
#pragma once

#include <stdint.h>

#include "tflbp/cache.h"
#include "tflbp/isa.h"

namespace tflbp {

// A row-major matrix as stored: element (r, c) is p[r * ld + c]. trans: the product sees its transpose.
template <class T>
struct Operand {
    const T* p;
    int64_t ld;
    bool trans;

    const T* at(int64_t r, int64_t c) const { return trans ? p + c * ld + r : p + r * ld + c; }
};

template <class T>
struct GemmArgs {
    int64_t m, n, k;  // C is m x n, the sum runs over k; each may be 0
    Operand<T> a, b;
    T* c;
    int64_t ldc;
    const T* bias;     // n values added to every row, or null
    bool relu;         // C = max(C, 0) after the bias; NaN stays NaN
    bool add = false;  // C += instead of C =
};

constexpr int64_t kDotRows = 3;

template <class T>
struct GemmFunctions {
    int64_t lanes;                                                     // elements of a vector
    int64_t rows, cols;                                                // the usual tile
    int64_t (*scratch)(const GemmArgs<T>&, const CacheSizes&);         // elements of T the next one needs
    void (*block)(const GemmArgs<T>&, const CacheSizes&, T* scratch);  // one thread
    void (*dots)(const GemmArgs<T>&);  // 1 to kDotRows rows, B transposed, A not
};

struct GemmTable {
    GemmFunctions<float> f32;
    GemmFunctions<double> f64;
};
TFLBP_DECLARE_TABLE(GemmTable, gemm_table)

// On all threads. Every element of C is summed in one order that depends on k alone, so the bits do not
// depend on the number of threads. False when out of memory.
template <class T>
bool gemm(const GemmArgs<T>& args);

// Products of one size: the i-th has its operands and its result a[i], b[i] and c[i] elements further on.
struct Stack {
    int64_t count;
    const int64_t *a, *b, *c;
};
template <class T>
bool gemm_stack(const GemmArgs<T>& args, const Stack& stack);

// On the calling thread, for a kernel whose jobs hold several products. Uses its scratch slot 3.
template <class T>
bool gemm_here(const GemmArgs<T>& args);

bool gemm_available();  // false where this build has no gemm (a compiler without vector extensions)
// "native" or "numpy": the faster one for products, given the name of NumPy's BLAS.
const char* gemm_choice(const char* blas);

}  // namespace tflbp
