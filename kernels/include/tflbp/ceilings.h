// What one core can do at most: the yardstick of the profiler and the benchmarks.
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

// Runs `rounds` rounds of independent multiply-adds in registers; gives how many operations that were.
struct CeilingsTable {
    int64_t (*multiply_adds_f32)(int64_t rounds);
    int64_t (*multiply_adds_f64)(int64_t rounds);
};
TFLBP_DECLARE_TABLE(CeilingsTable, ceilings)

}  // namespace tflbp
