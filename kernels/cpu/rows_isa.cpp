// The gradient of an embedding.
//
// Limit: writes the table once, reads x once. Each row's entries are chained first, so that a row is written
// in one visit: zeros, a copy, or the sum in the order of the indices. Deterministic: a row belongs to one
// job.
#include "tflbp/parallel.h"
#include "tflbp/rows.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
void scatter(const ScatterRows<T>& a) {
    int32_t *head = a.heads, *next = head + a.rows;
    memset(head, 0xff, (size_t)a.rows * sizeof *head);  // -1: no entry
    for (int64_t i = a.count; i-- > 0;) next[i] = head[a.index[i]], head[a.index[i]] = (int32_t)i;
    const int64_t n = a.n, job = 16384 / (n > 0 ? n : 1) + 1;
    parallel_chunks(
        a.rows, job,
        [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                T* __restrict to = a.out + r * n;
                int32_t i = head[r];
                if (i < 0) {
                    memset(to, 0, (size_t)n * sizeof(T));
                    continue;
                }
                memcpy(to, a.x + i * n, (size_t)n * sizeof(T));
                while ((i = next[i]) >= 0) {
                    const T* from = a.x + i * n;
                    for (int64_t j = 0; j < n; ++j) to[j] += from[j];
                }
            }
        },
        kSerialBelow / (n > 0 ? n : 1));
}

}  // namespace

extern const RowsTable<float> rows_f32 = {scatter<float>};
extern const RowsTable<double> rows_f64 = {scatter<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
