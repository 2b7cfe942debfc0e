// All kernels: function tables, one per float type and instruction-set level, filled in cpu/*_isa.cpp.
//
// All arrays are C-contiguous. Every result is independent of the number of threads: work is cut by its size
// alone, and partial results are combined in a fixed order.
#pragma once

#include "tflbp/activations.h"
#include "tflbp/batch_norm.h"
#include "tflbp/losses.h"
#include "tflbp/optimizers.h"
#include "tflbp/pooling.h"
#include "tflbp/random.h"
#include "tflbp/row_norms.h"
#include "tflbp/rows.h"
