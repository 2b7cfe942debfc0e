#include "cuda/clusters.cuh"
#include "cuda/registry.h"

// setup.py compiles this file for sm_90 and newer only.
TFLBP_CLUSTER_KERNEL(CLUSTER, softmax_cross_entropy_cluster<float>)
TFLBP_CLUSTER_KERNEL(CLUSTER, softmax_cross_entropy_cluster<float16>)
TFLBP_CLUSTER_KERNEL(CLUSTER, softmax_cross_entropy_cluster<bfloat16>)
#if defined(TFLBP_EMULATOR)  // else left to NVRTC
TFLBP_CLUSTER_KERNEL(CLUSTER, softmax_cross_entropy_cluster<double>)
#endif
