// The function tables of the kernels: one per float type and instruction-set level, filled in cpu/*_isa.cpp.
//
// All arrays are C-contiguous. Every result is independent of the number of threads: work is cut by its size
// alone, and partial results are combined in a fixed order.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// --------------------------------------------------------------------------------------------- softmax,
// losses

template <class T>
struct CrossEntropy {
    const T* logits;        // (rows, classes)
    const int64_t* labels;  // (rows): in [0, classes), or -1: the row counts for nothing
    const T* weight;        // (classes), or null
    double weight_sum;      // of `weight`, or `classes`
    int64_t rows, classes;
    double smoothing;  // label smoothing
    double scale;      // multiplies the gradient: 1 / count for a mean
    T* grad;           // (rows, classes), or null
    double* loss;      // (rows), not scaled
};

template <class T>
struct LossTable {
    void (*cross_entropy)(const CrossEntropy<T>&);
    void (*sigmoid_cross_entropy)(const T* logits, const T* labels, T* loss, T* grad, int64_t n);
    void (*softmax)(const T* x, T* out, int64_t rows, int64_t classes, bool log);
    void (*softmax_backward)(const T* g, const T* out, T* dx, int64_t rows, int64_t classes, bool log);
};

// ------------------------------------------------------------------------------------------ activations

enum Activation {
    kRelu,
    kTanh,
    kSigmoid,
    kSoftplus,
    kLogSigmoid,
    kSilu,
    kGelu,
    kGeluTanh,
    kMish,
    kErf,
    kActivations
};

template <class T>
struct ActivationTable {
    void (*forward[kActivations])(const T* x, T* out, int64_t n);
    // kept: the result of relu, tanh and sigmoid, else x
    void (*backward[kActivations])(const T* g, const T* kept, T* dx, int64_t n);
};

// ------------------------------------------------------------------------------------------ normalisation
// of rows: layer norm, RMS norm

template <class T>
struct RowNormForward {
    int64_t rows, n;
    const T *x, *weight, *bias;  // weight, bias: (n) or null
    double eps;
    bool centred;             // false: RMS norm, nothing is subtracted
    T *out, *mean, *inv_std;  // mean: unused unless centred
};

template <class T>
struct RowNormBackward {
    int64_t rows, n;
    const T *g, *x, *weight, *mean, *inv_std;
    bool centred;
    T *dx, *dweight, *dbias;  // dweight, dbias: (n) or null
    double* work;             // row_norm_workspace(rows, n) bytes
};

// Groups of channels of each example; x is (batch, space, groups, channels of a group).
struct GroupShape {
    int64_t batch, space, groups, channels;
};

template <class T>
struct GroupNormForward {
    GroupShape shape;
    const T *x, *weight, *bias;  // weight, bias: (groups * channels) or null
    double eps;
    T *out, *mean, *inv_std;  // mean, inv_std: (batch, groups)
};

template <class T>
struct GroupNormBackward {
    GroupShape shape;
    const T *g, *x, *weight, *mean, *inv_std;
    T *dx, *dweight, *dbias;  // all wanted
    double* work;             // 2 * batch * groups * channels
};

template <class T>
struct RowNormTable {
    size_t (*workspace)(int64_t rows, int64_t n);
    void (*forward)(const RowNormForward<T>&);
    void (*backward)(const RowNormBackward<T>&);
    void (*group_forward)(const GroupNormForward<T>&);
    void (*group_backward)(const GroupNormBackward<T>&);
};

// ------------------------------------------------------------------------------------------ batch
// normalisation

// x is (outer, channels, inner): inner is 1 when channels come last.
struct NormShape {
    int64_t outer, channels, inner;
};

template <class T>
struct NormForward {
    NormShape shape;
    const T *x, *weight, *bias;  // weight, bias: (channels) or null
    double eps;
    T *out, *mean, *var, *inv_std;
    void* work;  // norm_workspace(shape) bytes
};

template <class T>
struct NormBackward {
    NormShape shape;
    const T *g, *x, *weight, *mean, *inv_std;
    T *dx, *dweight, *dbias;
    void* work;
};

template <class T>
struct NormTable {
    size_t (*workspace)(const NormShape&);
    void (*forward)(const NormForward<T>&);
    void (*backward)(const NormBackward<T>&);
};

// ----------------------------------------------------------------------------------------- optimisers, sums

constexpr int64_t kSegment = 16384;  // elements; a list of arrays is cut into pieces of at most this many

struct SgdRule {
    double lr, momentum, weight_decay, scale;
    bool nesterov;
};
struct AdamRule {
    double lr, alpha, beta1, beta2, eps, weight_decay, scale;  // alpha: lr with the bias corrections
};

template <class T>
struct OptimizerTable {
    // One piece: n <= kSegment. v may be null (no momentum), vhat may be null (no AMSGrad).
    void (*sgd)(const SgdRule&, T* p, const T* g, T* v, int64_t n);
    void (*adam)(const AdamRule&, T* p, const T* g, T* m, T* v, T* vhat, int64_t n);
    double (*sum_of_squares)(const T* x, int64_t n);
};

// ------------------------------------------------------------------------------------------------- random
// words

struct RandomTable {
    // Words [first, first + n) of the stream; first is a multiple of 4.
    void (*words)(uint32_t* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset);
    void (*uniform_f32)(float* out, int64_t first, int64_t n, uint64_t seed, uint64_t offset);
    void (*uniform_f64)(double* out, int64_t first, int64_t n, uint64_t seed,
                        uint64_t offset);  // first: of 2
};

TFLBP_DECLARE_TABLE(LossTable<float>, loss_f32)
TFLBP_DECLARE_TABLE(LossTable<double>, loss_f64)
TFLBP_DECLARE_TABLE(ActivationTable<float>, activation_f32)
TFLBP_DECLARE_TABLE(ActivationTable<double>, activation_f64)
TFLBP_DECLARE_TABLE(RowNormTable<float>, row_norm_f32)
TFLBP_DECLARE_TABLE(RowNormTable<double>, row_norm_f64)
TFLBP_DECLARE_TABLE(NormTable<float>, norm_f32)
TFLBP_DECLARE_TABLE(NormTable<double>, norm_f64)
TFLBP_DECLARE_TABLE(OptimizerTable<float>, optimizer_f32)
TFLBP_DECLARE_TABLE(OptimizerTable<double>, optimizer_f64)
TFLBP_DECLARE_TABLE(RandomTable, random_words)

}  // namespace tflbp
