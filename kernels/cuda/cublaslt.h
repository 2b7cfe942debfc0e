// What we use of cublasLt, declared: its headers are a 421 MB download, and its C interface does not change.
// tests/test_cuda_build.py compares the numbers with NVIDIA's header where that is installed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lt {

typedef int Status;  // 0: success
typedef void *Handle, *Desc, *Layout, *Preference;

struct Algo {
    uint64_t data[8];
};
struct Heuristic {
    Algo algo;
    size_t workspace;
    Status state;
    float waves;
    int reserved[4];
};

constexpr int R_16F = 2, R_16BF = 14, R_32F = 0, R_64F = 1;
constexpr int COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, COMPUTE_64F = 70;
constexpr int OP_N = 0, OP_T = 1;
constexpr int DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8,
              DESC_AUX_POINTER = 11, DESC_AUX_LD = 12, DESC_AUX_BATCH_STRIDE = 13;
constexpr int LAYOUT_BATCH_COUNT = 5, LAYOUT_BATCH_STRIDE = 6;
constexpr int PREF_WORKSPACE = 1, PREF_ALIGNMENT_A = 5, PREF_ALIGNMENT_B = 6, PREF_ALIGNMENT_C = 7,
              PREF_ALIGNMENT_D = 8;
constexpr int EPILOGUE_DEFAULT = 1, EPILOGUE_RELU = 2, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32,
              EPILOGUE_AUX = 128, EPILOGUE_DGELU = 192, EPILOGUE_BGRADA = 256;

struct Library {
    Status (*create)(Handle*);
    Status (*desc_create)(Desc*, int compute, int scale);
    Status (*desc_set)(Desc, int, const void*, size_t);
    Status (*layout_create)(Layout*, int type, uint64_t rows, uint64_t columns, int64_t ld);
    Status (*layout_set)(Layout, int, const void*, size_t);
    Status (*preference_create)(Preference*);
    Status (*preference_destroy)(Preference);
    Status (*preference_set)(Preference, int, const void*, size_t);
    Status (*heuristic)(Handle, Desc, Layout a, Layout b, Layout c, Layout d, Preference, int wanted,
                        Heuristic*, int* found);
    Status (*matmul)(Handle, Desc, const void* alpha, const void* a, Layout, const void* b, Layout,
                     const void* beta, const void* c, Layout, void* d, Layout, const Algo*, void* workspace,
                     size_t bytes, void* stream);
    size_t (*version)();
};

}  // namespace lt
