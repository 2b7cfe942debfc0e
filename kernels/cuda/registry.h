// The kernels of a build, by name expression: what nvcc and the emulator know, and NVRTC compiles when asked.
//
// Every parameter of a kernel is a pointer, an int64_t or a double: 8 bytes. So a launch is a name, a
// geometry and a list of numbers, the same for the three hosts.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "cuda/portable.h"

namespace tflbp_cuda {

struct Kernel {
    const char* name;        // as in C++: "softmax<float, 256, true, false>"
    const char* parameters;  // a letter each: p pointer, i int64_t, d double
    const void* function;
    void (*run)(const void* function, void** arguments);  // the emulator: what one thread does
    int cluster;  // blocks; the emulator's launch needs it, a GPU's compiler has been told
};

inline std::vector<Kernel>& registry() {
    static std::vector<Kernel> kernels;
    return kernels;
}

template <class P>
constexpr char letter() {
    static_assert(sizeof(P) == 8, "kernels take pointers, int64_t and double");
    return std::is_pointer<P>::value ? 'p' : std::is_floating_point<P>::value ? 'd' : 'i';
}

template <class... P>
struct Parameters {
    static constexpr char letters[sizeof...(P) + 1] = {letter<P>()..., '\0'};
};

#if defined(TFLBP_EMULATOR)
template <class... P, size_t... I>
void run(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<P*>(arguments[I])...);
}
#endif

struct Registered {
    template <class... P>
    Registered(const char* name, void (*kernel)(P...), int cluster = 1) {
        Kernel k = {name, Parameters<P...>::letters, reinterpret_cast<const void*>(kernel), nullptr, cluster};
#if defined(TFLBP_EMULATOR)
        k.run = [](const void* function, void** arguments) {
            run(reinterpret_cast<void (*)(P...)>(const_cast<void*>(function)), arguments,
                std::index_sequence_for<P...>());
        };
#endif
        registry().push_back(k);
    }
};

// Error code of the launch. arguments: pointers to the values.
int launch(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void* stream, void** arguments);

}  // namespace tflbp_cuda

#define TFLBP_JOINED(a, b) a##b
#define TFLBP_UNIQUE(a, b) TFLBP_JOINED(a, b)
#define TFLBP_KERNEL(...) \
    static const ::tflbp_cuda::Registered TFLBP_UNIQUE(kernel_, __COUNTER__)(#__VA_ARGS__, &__VA_ARGS__);
#define TFLBP_CLUSTER_KERNEL(blocks, ...)                                                                \
    static const ::tflbp_cuda::Registered TFLBP_UNIQUE(kernel_, __COUNTER__)(#__VA_ARGS__, &__VA_ARGS__, \
                                                                             blocks);
// Left to NVRTC where nvcc builds the module: what is seldom asked for, double among it, would double the
// build.
#if defined(TFLBP_EMULATOR)
#define TFLBP_SELDOM(...) TFLBP_KERNEL(__VA_ARGS__)
#else
#define TFLBP_SELDOM(...)
#endif

#if defined(TFLBP_FEW_TYPES)  // for the sanitizers, whose builds are slow
#define TFLBP_EACH_FLOAT(use) use(float, TFLBP_KERNEL) use(float16, TFLBP_KERNEL)
#else
#define TFLBP_EACH_FLOAT(use) \
    use(float, TFLBP_KERNEL) use(double, TFLBP_SELDOM) use(float16, TFLBP_KERNEL) use(bfloat16, TFLBP_KERNEL)
#endif
