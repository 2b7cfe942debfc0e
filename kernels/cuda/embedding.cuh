// The gradient of a look-up: rows of g added where their indices say, each index's rows in their order.
//
// Limit: g is read once, the table's rows that occur are written once. The indices come sorted (stable), with
// the order that sorts them. A block adds up runs of equal indices within SPAN positions; a run that crosses
// a border leaves partial sums behind, which a second kernel adds in order: no atomics, the same bits every
// time, and a frequent index is shared by many blocks.
#pragma once

#include "cuda/types.cuh"

#define SPAN 64

// out (rows of the table, features) is zero before. head[span]: the sum of the run that began in an earlier
// span; tail[span]: of the run that goes on in the next one, if it began in this one.
template <class T>
__global__ void __launch_bounds__(256, 1)
    embedding_runs(const T* __restrict__ g, const int64_t* __restrict__ indices,
                   const int64_t* __restrict__ order, T* __restrict__ out,
                   typename Compute<T>::type* __restrict__ head, typename Compute<T>::type* __restrict__ tail,
                   int64_t n, int64_t features) {
    typedef typename Compute<T>::type A;
    const int64_t f = int64_t(blockIdx.y) * blockDim.x + threadIdx.x, span = blockIdx.x, first = span * SPAN,
                  last = first + SPAN < n ? first + SPAN : n;
    if (f >= features) return;
    bool earlier = first > 0 && indices[first - 1] == indices[first];
    A sum = 0;
    UNROLL(4)
    for (int64_t i = first; i < last; i++) {
        sum += widen(g[order[i] * features + f]);
        if (i + 1 < last && indices[i + 1] == indices[i]) continue;
        const bool later = i + 1 == last && last < n && indices[last] == indices[i];
        if (earlier)
            head[span * features + f] = sum;
        else if (later)
            tail[span * features + f] = sum;
        else
            out[indices[i] * features + f] = narrow<T>(sum);
        sum = 0;
        earlier = false;
    }
}

// The block of the span in which a crossing run begins adds up the run.
template <class T>
__global__ void __launch_bounds__(256, 1)
    embedding_crossings(const int64_t* __restrict__ indices,
                        const typename Compute<T>::type* __restrict__ head,
                        const typename Compute<T>::type* __restrict__ tail, T* __restrict__ out, int64_t n,
                        int64_t features) {
    typedef typename Compute<T>::type A;
    const int64_t f = int64_t(blockIdx.y) * blockDim.x + threadIdx.x, span = blockIdx.x, first = span * SPAN;
    int64_t border = first + SPAN;
    if (f >= features || border >= n || indices[border] != indices[border - 1]) return;
    const int64_t index = indices[border];
    if (first > 0 && indices[first] == index && indices[first - 1] == index) return;  // it began earlier
    A sum = tail[span * features + f];
    for (; border < n && indices[border] == index; border += SPAN) {
        sum += head[border / SPAN * features + f];
        if (border + SPAN <= n && indices[border + SPAN - 1] != index) break;
    }
    out[index * features + f] = narrow<T>(sum);
}
