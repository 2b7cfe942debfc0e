// A stand-in for libcublasLt on host memory: what NVIDIA's documentation says of column-major products, in
// the plainest loops. tests/test_cuda_build.py lets the CUDA module load it, to see that operands,
// transposes, batches and epilogues arrive as they should, on a machine without a GPU.
#include <cmath>
#include <cstring>

#include "cuda/cublaslt.h"

namespace {

struct Product {
    int compute, scale, transa = lt::OP_N, transb = lt::OP_N;
    unsigned epilogue = lt::EPILOGUE_DEFAULT;
    void *bias = nullptr, *aux = nullptr;
    int64_t aux_ld = 0, aux_stride = 0;
};

struct Matrix {
    int type;
    uint64_t rows, columns;
    int64_t ld;
    int batch = 1;
    int64_t stride = 0;
};

// TF32 rounds operands to 10 bits (here: cuts, to be seen).
double operand(const Product&, double x) { return x; }
float operand(const Product& p, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if (p.compute == lt::COMPUTE_32F_FAST_TF32) bits &= ~0x1fffu;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

template <class T>
void multiply(const Product& p, T alpha, const T* a, const Matrix& ma, const T* b, const Matrix& mb, T beta,
              T* d, const Matrix& md) {
    const uint64_t depth = p.transa == lt::OP_N ? ma.columns : ma.rows;
    for (int s = 0; s < md.batch; s++)
        for (uint64_t j = 0; j < md.columns; j++)
            for (uint64_t i = 0; i < md.rows; i++) {
                T sum = 0;
                for (uint64_t k = 0; k < depth; k++) {
                    const uint64_t at_a = p.transa == lt::OP_N ? i + k * ma.ld : k + i * ma.ld;
                    const uint64_t at_b = p.transb == lt::OP_N ? k + j * mb.ld : j + k * mb.ld;
                    sum += operand(p, a[s * ma.stride + at_a]) * operand(p, b[s * mb.stride + at_b]);
                }
                T& out = d[s * md.stride + i + j * md.ld];
                out = alpha * sum + (beta != 0 ? beta * out : T(0));
                T* aux = p.epilogue & lt::EPILOGUE_AUX
                             ? static_cast<T*>(p.aux) + s * p.aux_stride + i + j * p.aux_ld
                             : nullptr;
                if (p.epilogue == lt::EPILOGUE_DGELU) {
                    const T x = *aux, u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x),
                            t = std::tanh(u), du = T(0.7978845608028654) * (1 + T(0.134145) * x * x);
                    out *= T(0.5) * (1 + t) + T(0.5) * x * (1 - t * t) * du;
                    continue;
                }
                if (p.epilogue == lt::EPILOGUE_BGRADA && j == 0) {  // the sums of A over the depth
                    T& total = static_cast<T*>(p.bias)[i] = 0;
                    for (uint64_t k = 0; k < depth; k++)
                        total += a[p.transa == lt::OP_N ? i + k * ma.ld : k + i * ma.ld];
                }
                if (p.epilogue & lt::EPILOGUE_BIAS) out += static_cast<const T*>(p.bias)[i];
                if (p.epilogue & lt::EPILOGUE_RELU) out = out > 0 ? out : T(0);
                if (aux) *aux = out;
                if (p.epilogue & lt::EPILOGUE_GELU)
                    out = T(0.5) * out *
                          (1 + std::tanh(T(0.7978845608028654) * (out + T(0.044715) * out * out * out)));
            }
}

template <class T>
T& field(T& to, const void* from, size_t size) {
    std::memcpy(&to, from, size < sizeof to ? size : sizeof to);
    return to;
}

}  // namespace

extern "C" {

int cublasLtCreate(lt::Handle* out) {
    *out = out;
    return 0;
}
size_t cublasLtGetVersion() { return 1; }
int cublasLtMatmulDescCreate(lt::Desc* out, int compute, int scale) {
    *out = new Product{compute, scale};
    return 0;
}
int cublasLtMatmulDescSetAttribute(lt::Desc desc, int what, const void* value, size_t size) {
    Product& p = *static_cast<Product*>(desc);
    if (what == lt::DESC_TRANSA) field(p.transa, value, size);
    if (what == lt::DESC_TRANSB) field(p.transb, value, size);
    if (what == lt::DESC_EPILOGUE) field(p.epilogue, value, size);
    if (what == lt::DESC_BIAS_POINTER) field(p.bias, value, size);
    if (what == lt::DESC_AUX_POINTER) field(p.aux, value, size);
    if (what == lt::DESC_AUX_LD) field(p.aux_ld, value, size);
    if (what == lt::DESC_AUX_BATCH_STRIDE) field(p.aux_stride, value, size);
    return 0;
}
int cublasLtMatrixLayoutCreate(lt::Layout* out, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    if (ld < int64_t(rows)) return 7;
    *out = new Matrix{type, rows, columns, ld};
    return 0;
}
int cublasLtMatrixLayoutSetAttribute(lt::Layout layout, int what, const void* value, size_t size) {
    Matrix& m = *static_cast<Matrix*>(layout);
    if (what == lt::LAYOUT_BATCH_COUNT) field(m.batch, value, size);
    if (what == lt::LAYOUT_BATCH_STRIDE) field(m.stride, value, size);
    return 0;
}
int cublasLtMatmulPreferenceCreate(lt::Preference* out) {
    *out = out;
    return 0;
}
int cublasLtMatmulPreferenceDestroy(lt::Preference) { return 0; }
int cublasLtMatmulPreferenceSetAttribute(lt::Preference, int, const void*, size_t) { return 0; }

int cublasLtMatmulAlgoGetHeuristic(lt::Handle, lt::Desc desc, lt::Layout a, lt::Layout b, lt::Layout c,
                                   lt::Layout d, lt::Preference, int, lt::Heuristic* result, int* found) {
    const Product& p = *static_cast<Product*>(desc);
    const Matrix &ma = *static_cast<Matrix*>(a), &mb = *static_cast<Matrix*>(b),
                 &md = *static_cast<Matrix*>(d);
    const bool ta = p.transa == lt::OP_T, tb = p.transb == lt::OP_T;
    const bool fits = (ta ? ma.columns : ma.rows) == md.rows && (tb ? mb.rows : mb.columns) == md.columns &&
                      (ta ? ma.rows : ma.columns) == (tb ? mb.columns : mb.rows) && c == d &&
                      ma.type == md.type && ma.batch == md.batch && mb.batch == md.batch;
    *found = fits;
    result->state = fits ? 0 : 7;
    return fits ? 0 : 15;
}

int cublasLtMatmul(lt::Handle, lt::Desc desc, const void* alpha, const void* a, lt::Layout la, const void* b,
                   lt::Layout lb, const void* beta, const void*, lt::Layout, void* d, lt::Layout ld,
                   const lt::Algo*, void*, size_t, void*) {
    const Product& p = *static_cast<Product*>(desc);
    const Matrix &ma = *static_cast<Matrix*>(la), &mb = *static_cast<Matrix*>(lb),
                 &md = *static_cast<Matrix*>(ld);
    if (p.scale == lt::R_64F && p.compute == lt::COMPUTE_64F)
        multiply(p, *static_cast<const double*>(alpha), static_cast<const double*>(a), ma,
                 static_cast<const double*>(b), mb, *static_cast<const double*>(beta),
                 static_cast<double*>(d), md);
    else if (p.scale == lt::R_32F && p.compute != lt::COMPUTE_64F && ma.type == lt::R_32F)
        multiply(p, *static_cast<const float*>(alpha), static_cast<const float*>(a), ma,
                 static_cast<const float*>(b), mb, *static_cast<const float*>(beta), static_cast<float*>(d),
                 md);
    else
        return 15;
    return 0;
}

}  // extern "C"
