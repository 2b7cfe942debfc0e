#pragma once

// Between two nested loops: GCC would jam rounds of the outer into the inner one, and then finds no vectors
// in it (13 times slower, seen in pooling).
#if defined(__GNUC__)
#define TFLBP_KEEP_LOOPS_APART asm volatile("" ::: "memory")
#else
#define TFLBP_KEEP_LOOPS_APART (void)0
#endif
