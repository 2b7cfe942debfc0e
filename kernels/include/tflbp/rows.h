// Rows of a table added where indices say: the gradient of an embedding (see kernels.h).
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// out (rows, n) = 0, then out[index[i]] += x[i] for i in [0, count), in that order. heads: room for rows +
// count.
template <class T>
struct ScatterRows {
    int64_t rows, n, count;
    const int64_t* index;  // in [0, rows)
    const T* x;
    T* out;
    int32_t* heads;
};

template <class T>
struct RowsTable {
    void (*scatter)(const ScatterRows<T>&);
};
TFLBP_DECLARE_TABLE(RowsTable<float>, rows_f32)
TFLBP_DECLARE_TABLE(RowsTable<double>, rows_f64)

}  // namespace tflbp
