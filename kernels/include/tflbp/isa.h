// Which instruction set runs, chosen once at run time.
//
// Every `*_isa.cpp` is compiled once per level with TFLBP_ISA set to baseline, avx2 or avx512, and puts all
// it holds into `namespace tflbp::TFLBP_ISA` (helpers into an anonymous namespace inside it). It exports one
// const table of function pointers; TFLBP_DISPATCH picks the table of the level in use.
//
// Rule for those files: nothing from the C++ library that is a template or inline function (std::min,
// std::vector, std::sqrt): compiled with -mavx512f it becomes a weak symbol, the linker may keep that copy
// for the whole library, and an old CPU dies of SIGILL in code that "was not dispatched". C functions are
// fine. A test reads the symbol tables of the objects.
#pragma once

namespace tflbp {

enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2 };

Isa isa();                       // the level in use: the best one this CPU has, unless set_isa changed it
bool set_isa(const char* name);  // for tests; false when this build or this CPU lacks it
bool isa_supported(Isa level);
const char* isa_name(Isa level);

}  // namespace tflbp

// `table` is declared as: namespace tflbp { namespace avx2 { extern const T table; } ... }
// (TFLBP_DECLARE_TABLE)
#ifdef TFLBP_X86_LEVELS
#define TFLBP_DECLARE_TABLE(type, table) \
    namespace baseline {                 \
    extern const type table;             \
    }                                    \
    namespace avx2 {                     \
    extern const type table;             \
    }                                    \
    namespace avx512 {                   \
    extern const type table;             \
    }
#define TFLBP_DISPATCH(table)                                        \
    (::tflbp::isa() == ::tflbp::Isa::avx512 ? ::tflbp::avx512::table \
     : ::tflbp::isa() == ::tflbp::Isa::avx2 ? ::tflbp::avx2::table   \
                                            : ::tflbp::baseline::table)
#else
#define TFLBP_DECLARE_TABLE(type, table) \
    namespace baseline {                 \
    extern const type table;             \
    }
#define TFLBP_DISPATCH(table) (::tflbp::baseline::table)
#endif
