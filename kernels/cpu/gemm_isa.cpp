// GEMM for one instruction set: see gemm.h. Needs GCC's vector extensions (GCC, Clang); elsewhere the table
// is empty.
#include "cpu/conv.h"

#if defined(__GNUC__)
#include "cpu/gemm_block.h"
#include "cpu/gemm_conv.h"
#include "cpu/gemm_dot.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

template <class T>
constexpr GemmFunctions<T> kFunctions = {
    kLanes<T>, max_rows(2), 2 * kLanes<T>, gemm_scratch<T>, gemm_block<T>, gemm_dots<T>,
};

template <class T>
constexpr ConvFunctions<T> kConvolution = {conv_panels<T>, conv_pack<T>, conv_forward_lines<T>,
                                           conv_weight_runs<T>};

}  // namespace

extern const GemmTable gemm_table = {kFunctions<float>, kFunctions<double>};
extern const ConvTable conv_table = {kConvolution<float>, kConvolution<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
#else
namespace tflbp {
namespace TFLBP_ISA {
extern const GemmTable gemm_table = {};
extern const ConvTable conv_table = {};
}  // namespace TFLBP_ISA
}  // namespace tflbp
#endif
