// Rows that the blocks of a cluster take together, each a part that fits its shared memory: from sm_90 on.
//
// Limit: as softmax.cuh, for rows of up to 8 x 96 KB, which one block would have to read twice. Partial
// results are read from all blocks in the order of their ranks, so that each finds the same bits.
#pragma once

#include "cuda/softmax.cuh"

#define CLUSTER 8  // what every GPU with clusters can do

#if defined(TFLBP_EMULATOR) || !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

// The grid: 8 blocks a row. The launch gives each (per * sizeof(T) + 32) / 16 * 16 bytes.
template <class T>
__global__ void TFLBP_CLUSTER_OF(CLUSTER) __launch_bounds__(512, 1)
    softmax_cross_entropy_cluster(const T* logits, const int64_t* __restrict__ labels,
                                  const typename Compute<T>::type* __restrict__ weight,
                                  const typename Compute<T>::type* __restrict__ share,
                                  typename Compute<T>::type* __restrict__ loss, T* grad, int64_t per,
                                  int64_t classes, double smoothing, int64_t ignored, int64_t ignores) {
    typedef typename Compute<T>::type A;
    const int64_t first = cluster_rank() * per, left = classes - first,
                  count = left < 0     ? 0
                          : left < per ? left
                                       : per;
    const Part part = {int64_t(blockIdx.x) / CLUSTER, first, count, int(threadIdx.x), int(blockDim.x), 0};
    cross_entropy<T, false, true>(part, logits, labels, weight, share, loss, grad, classes, smoothing,
                                  ignored, ignores, [](Online<A>& own, A& smooth, A& total) {
                                      TFLBP_SHARED(A, found, 4);
                                      if (threadIdx.x == 0) {
                                          found[0] = own.top, found[1] = own.sum, found[2] = smooth,
                                          found[3] = total;
                                      }
                                      cluster_sync();
                                      own = Online<A>();
                                      smooth = total = 0;
                                      UNROLL(1)
                                      for (int rank = 0; rank < CLUSTER; rank++) {
                                          const A* its = map_shared(found, rank);
                                          Online<A> other;
                                          other.top = its[0], other.sum = its[1];
                                          own.add(other);
                                          smooth += its[2], total += its[3];
                                      }
                                      cluster_sync();  // no block leaves while another may read its memory
                                  });
}

#endif
