// Runs launches that a test recorded (tests/cuda_hosts.py, Recorder), each on memory of exactly the sizes and
// alignments it had: for the sanitizers, and to compare the results bit by bit. g++ builds it with the
// emulator, where it runs the threads in one of three orders; nvcc for a GPU, for compute-sanitizer.
//
//   replay FILE ORDER (on a GPU 0, or 1: do not read the results): exit 0 when all results are the recorded
//   ones, 1 when one is not, 2 when the emulator refused, 4 when CUDA did.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/registry.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

namespace {

FILE* file;

template <class T>
T get() {
    T value;
    if (fread(&value, sizeof value, 1, file) != 1) exit(3);
    return value;
}

std::vector<char> bytes(uint64_t n) {
    std::vector<char> out(n);
    if (n && fread(out.data(), 1, n, file) != n) exit(3);
    return out;
}

#if defined(TFLBP_EMULATOR)
char* allocate(uint64_t n) { return static_cast<char*>(malloc(n)); }
void release(char* p) { free(p); }
void copy(void* to, const void* from, uint64_t n) { memcpy(to, from, n); }
void wait() {}
#else
void check(cudaError_t error) {
    if (!error) return;
    printf("REFUSED %s\n", cudaGetErrorString(error));
    exit(4);
}
char* allocate(uint64_t n) {
    void* p;
    check(cudaMalloc(&p, n));
    return static_cast<char*>(p);
}
void release(char* p) { check(cudaFree(p)); }
void copy(void* to, const void* from, uint64_t n) { check(cudaMemcpy(to, from, n, cudaMemcpyDefault)); }
void wait() { check(cudaDeviceSynchronize()); }
#endif

// The memory of one array: `lead` bytes that nobody may touch give it its alignment.
struct Buffer {
    char* base;
    char* p;
    uint64_t lead, size;
    std::vector<char> before, after;
};

// Memory that nobody wrote, which the tests make NaN: on a GPU it stays so, for initcheck.
bool fresh(const std::vector<char>& before) {
    for (char c : before)
        if (c != char(0xFF)) return false;
    return true;
}

Buffer buffer() {
    Buffer b;
    b.lead = get<uint64_t>();
    b.size = get<uint64_t>();
    b.base = allocate(b.lead + b.size + (b.size == 0));
    b.p = b.base + b.lead;
    b.before = bytes(b.size);
    b.after = bytes(b.size);
    return b;
}

const tflbp_cuda::Kernel* find(const std::string& name) {
    for (const auto& k : tflbp_cuda::registry())
        if (name == k.name) return &k;
    return nullptr;
}

int wrong = 0, ran = 0;
bool compare = true;

void one() {
    const std::vector<char> text = bytes(get<uint64_t>());
    const std::string name(text.begin(), text.end());
    uint64_t geometry[6];  // grid, block, shared bytes
    for (uint64_t& g : geometry) g = get<uint64_t>();
    std::vector<Buffer> buffers(get<uint64_t>());
    for (Buffer& b : buffers) b = buffer();
    const uint64_t moved = get<uint64_t>();  // words that hold addresses
    for (uint64_t i = 0; i < moved; i++) {
        const uint64_t in = get<uint64_t>(), word = get<uint64_t>(), target = get<uint64_t>();
        for (char* where : {buffers[in].before.data(), buffers[in].after.data()})
            memcpy(where + 8 * word, &buffers[target].p, sizeof(char*));
    }
    for (Buffer& b : buffers) {
#if !defined(TFLBP_EMULATOR)
        if (fresh(b.before)) continue;
#endif
        if (b.size) copy(b.p, b.before.data(), b.size);
        ASAN_POISON_MEMORY_REGION(b.base, b.lead & ~uint64_t(7));
    }
    std::vector<uint64_t> slots(get<uint64_t>());
    for (uint64_t& slot : slots) {
        const uint64_t is_buffer = get<uint64_t>(), value = get<uint64_t>();
        slot = is_buffer ? reinterpret_cast<uint64_t>(buffers[value].p) : value;
    }
    std::vector<void*> places;
    for (uint64_t& slot : slots) places.push_back(&slot);
    if (const tflbp_cuda::Kernel* kernel = find(name)) {
        const dim3 grid(geometry[0], geometry[1], geometry[2]), block(geometry[3], geometry[4]);
        if (tflbp_cuda::launch(*kernel, grid, block, geometry[5], nullptr, places.data())) {
            printf("WRONG %s: the launch was refused\n", name.c_str());
            wrong++;
        }
        wait();
        for (size_t i = 0; i < buffers.size(); i++) {
            const Buffer& b = buffers[i];
            if (!b.size || !compare || (b.after == b.before && fresh(b.before))) continue;
            std::vector<char> found(b.size);
            copy(found.data(), b.p, b.size);
            if (found != b.after) {
                printf("WRONG %s: array %zu differs\n", name.c_str(), i);
                wrong++;
            }
        }
        ran++;
    }
    for (Buffer& b : buffers) {
        ASAN_UNPOISON_MEMORY_REGION(b.base, b.lead);
        release(b.base);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || !(file = fopen(argv[1], "rb"))) return 3;
#if defined(TFLBP_EMULATOR)
    emulator::config.order = emulator::Order(atoi(argv[2]));
    emulator::config.seed = 12345;
    try {
        for (uint64_t n = get<uint64_t>(); n; n--) one();
    } catch (const emulator::Error& error) {
        printf("REFUSED %s\n", error.what());
        return 2;
    }
#else
    compare = atoi(argv[2]) == 0;
    for (uint64_t n = get<uint64_t>(); n; n--) one();
#endif
    printf("%d launches\n", ran);
    return wrong ? 1 : 0;
}
