// The memory that this process may have, by the machine and by its container; UINT64_MAX where unknown.
#pragma once

#include <stdint.h>

namespace tflbp {

uint64_t memory_total();
uint64_t memory_available();  // without swapping; 20 us

}  // namespace tflbp
