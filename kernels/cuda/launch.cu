// One launch, for any kernel: the run time's, or the emulator's.
#include "cuda/registry.h"

namespace tflbp_cuda {

#if defined(TFLBP_EMULATOR)

int launch(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void*, void** arguments) {
    emulator::launch(kernel.name, grid, block, shared, kernel.cluster,
                     [&] { kernel.run(kernel.function, arguments); });
    return emulator::last_error();
}

#else

int launch(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void* stream, void** arguments) {
    if (shared > 40 * 1024) {  // with static shared memory perhaps above 48 KB, which has to be asked for
        const cudaError_t error =
            cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
        if (error) return error;
    }
    return cudaLaunchKernel(kernel.function, grid, block, arguments, shared,
                            static_cast<cudaStream_t>(stream));
}

#endif

}  // namespace tflbp_cuda
