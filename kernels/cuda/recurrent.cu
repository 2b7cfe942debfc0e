#include "cuda/recurrent.cuh"
#include "cuda/registry.h"

TFLBP_KERNEL(recurrent<float>)
TFLBP_KERNEL(recurrent_backward<float>)
TFLBP_SELDOM(recurrent<double>)
TFLBP_SELDOM(recurrent_backward<double>)
