// The caches of this CPU, read once.
#pragma once

#include <stdint.h>

namespace tflbp {

// Bytes that one thread may fill.
struct CacheSizes {
    int64_t l2, l3;
};
const CacheSizes& cache_sizes();

// Whether a pass that reads and writes so many bytes should write past the caches: its result would not stay
// in them until it is read, and an ordinary store first reads what it overwrites.
bool writes_past_cache(int64_t moved);

}  // namespace tflbp
