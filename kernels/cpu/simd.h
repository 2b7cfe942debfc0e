// What every instruction set has of its own: how wide a vector is.
#pragma once

namespace tflbp {
namespace TFLBP_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp

// Before a loop of few rounds, whose number is known: arrays in it stay in registers.
#if defined(__GNUC__)
#define TFLBP_UNROLL _Pragma("GCC unroll 16")
#else
#define TFLBP_UNROLL
#endif
