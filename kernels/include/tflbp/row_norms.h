// Layer, RMS and group norm: the table of functions, one per float type and instruction set (see kernels.h).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

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

TFLBP_DECLARE_TABLE(RowNormTable<float>, row_norm_f32)
TFLBP_DECLARE_TABLE(RowNormTable<double>, row_norm_f64)

}  // namespace tflbp
