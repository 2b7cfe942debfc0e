// The caches of this CPU, read once.
#pragma once

#include <stdint.h>

namespace tflbp {

// Bytes that one thread may fill.
struct CacheSizes {
    int64_t l2, l3;
};
const CacheSizes& cache_sizes();

// Whether an array of that size is better written past the caches: it would not stay in them until it is
// read, and an ordinary store first reads what it overwrites.
bool writes_past_cache(int64_t bytes);

}  // namespace tflbp
