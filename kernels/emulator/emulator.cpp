// The scheduler of the emulator. Compile without sanitizers: it moves stacks.
//
// Under ThreadSanitizer (-DTFLBP_TSAN) every CUDA thread is one of its fibers, switched without ordering, so
// that only barriers (release and acquire of an address of the block's own) order threads, and a missing one
// is a reported race in every schedule. Warp operations deliberately order nothing but themselves. What hides
// races, and what invents them:
//   - one barrier address for all blocks would order blocks that are not ordered: each block has its own;
//   - threads of one launch are not ordered by it: only the host releases the launch's address;
//   - thread i of two blocks on one fiber would look ordered: fibers rotate from block to block;
//   - a stack or an arena used again by another fiber would look like a race: each fiber owns its stack, each
//   block a
//     fresh arena (they return after 1,024 blocks, so pairs of blocks that far apart are not compared).
#include "emulator/emulator.h"

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__)
#error "the emulator switches stacks in x86-64 assembly"
#endif

#if defined(TFLBP_TSAN)
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void* __tsan_get_current_fiber();
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#define TSAN(statement) statement
#else
#define TSAN(statement)
#endif

// Saves the callee-saved registers and the stack pointer, continues on the other stack.
extern "C" void emulator_switch(void** save, void* to);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch,.-emulator_switch
)");

namespace emulator {

Thread* thread;
Config config;
Stats stats;

namespace {

constexpr int MAX_THREADS = 16384;  // resident at once: the threads of a cluster
constexpr int MAX_CLUSTER = 64;
constexpr size_t STACK = 64 << 10;
constexpr size_t STATIC_BYTES = 48 << 10;  // what CUDA allows without opting in
constexpr size_t DYNAMIC_BYTES = 227 << 10;
constexpr size_t ARENA = 512 << 10;  // per block: static in the first half, dynamic in the second
constexpr int ARENAS = 1024;
constexpr int MAX_ARRAYS = 64;

struct Array {
    const void* tag;
    size_t offset, bytes;
};

Thread threads[MAX_THREADS];
Block blocks[MAX_CLUSTER];
Block* current;  // the block being run, for messages
int cluster_size, block_threads, warps;
void* scheduler;  // its stack pointer while a fiber runs
void (*call)(void*);
void* body;
const char* kernel;
bool failed;
char text[512];
Array arrays[MAX_ARRAYS];
int array_count;
size_t static_bytes;
cudaError_t pending;

#if defined(TFLBP_TSAN)
struct Fiber {
    void* fiber;
    void* stack;
};
constexpr unsigned POOL = 8000;
Fiber pool[POOL];
unsigned rotation;
void* host_fiber;
char launched, ended;  // host to threads, threads to host

Fiber& fiber_of(int i, int count) {
    const unsigned used = count > 900 ? std::min(POOL, unsigned(count) + 137) : 1024;
    Fiber& f = pool[(i + rotation) % used];
    if (!f.fiber) f.fiber = __tsan_create_fiber(0);
    return f;
}
#endif

__attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
    if (failed) return;
    failed = true;
    const uint3 at = current ? current->index : uint3{0, 0, 0};
    const int n = snprintf(text, sizeof text, "[%s] block (%u, %u, %u): ", kernel, at.x, at.y, at.z);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + n, sizeof text - n, format, arguments);
    va_end(arguments);
}

// All bits set: NaN for floats. Not memset, which the sanitizers intercept even in a file built without them.
void poison(void* p, size_t bytes) {
    asm volatile("rep stosb" : "+D"(p), "+c"(bytes) : "a"(0xFF) : "memory");
}

uint32_t random_number() {
    uint32_t& x = config.seed;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

// ---------------------------------------------------------------- fibers
void yield() {
    Thread* self = thread;
    stats.switches++;
    TSAN(__tsan_switch_to_fiber(host_fiber, 1);)
    emulator_switch(&self->stack_pointer, scheduler);
}

void entry() {
    TSAN(__tsan_acquire(&launched);)
    call(body);
    TSAN(__tsan_release(&ended);)
    thread->state = State::done;
    yield();
    abort();  // a thread that is done is never resumed
}

void resume(Thread& t) {
    thread = &t;
    TSAN(__tsan_switch_to_fiber(t.fiber, 1);)
    emulator_switch(&scheduler, t.stack_pointer);
    thread = nullptr;
}

void prepare(Thread& t) {
    if (!t.stack) {
        t.stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (t.stack == MAP_FAILED) throw std::bad_alloc();
    }
    void** top = reinterpret_cast<void**>(static_cast<char*>(t.stack) + STACK);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;  // the registers emulator_switch restores
    t.stack_pointer = top;
    t.state = State::ready;
}

// ---------------------------------------------------------------- warps
int lanes_of(int warp) { return std::min(32, block_threads - warp * 32); }

int source_lane(const Thread& t, int lane) {
    const int first = lane / t.width * t.width, last = first + t.width - 1;
    switch (t.op) {
        case WarpOp::shuffle:
            return first + (t.argument & (t.width - 1));
        case WarpOp::up:
            return lane - t.argument < first ? lane : lane - t.argument;
        case WarpOp::down:
            return lane + t.argument > last ? lane : lane + t.argument;
        case WarpOp::exclusive_or:
            return (lane ^ t.argument) > last ? lane : lane ^ t.argument;
        default:
            return lane;
    }
}

// The lanes that `lane` waits for, or 0 when some have not arrived; fails when they never can.
unsigned complete_group(const Thread* lanes, int lane, unsigned existing) {
    const Thread& t = lanes[lane];
    const unsigned group = t.mask & existing;
    if (!(group >> lane & 1)) {
        fail("line %d: lane %d calls a warp operation with a mask that leaves it out", t.line, lane);
        return 0;
    }
    bool full = true;
    for (int j = 0; j < 32; j++) {
        if (!(group >> j & 1)) continue;
        const Thread& other = lanes[j];
        if (other.state == State::done) {
            fail("line %d: a warp operation names lane %d, which has exited", t.line, j);
            return 0;
        }
        if (other.state != State::at_warp) {
            full = false;
        } else if (other.op != t.op || other.mask != t.mask || other.line != t.line) {
            fail("lanes %d and %d of a warp meet at different warp operations (lines %d and %d)", lane, j,
                 t.line, other.line);
            return 0;
        }
    }
    return full ? group : 0;
}

void exchange(Thread* lanes, unsigned group) {
    unsigned votes = 0;
    for (int j = 0; j < 32; j++)
        if ((group >> j & 1) && lanes[j].value) votes |= 1u << j;
    for (int j = 0; j < 32; j++) {
        if (!(group >> j & 1)) continue;
        Thread& t = lanes[j];
        const int from = source_lane(t, j);
        t.result = t.op == WarpOp::ballot ? votes : group >> from & 1 ? lanes[from].value : ~uint64_t(0);
    }
    for (int j = 0; j < 32; j++)
        if (group >> j & 1) lanes[j].state = State::ready;
    stats.warp_ops++;
}

// Releases the groups of a warp that are complete; whether any lane became ready.
bool resolve_warp(Block& block, int warp) {
    Thread* lanes = block.threads + warp * 32;
    const int n = lanes_of(warp);
    const unsigned existing = n == 32 ? ~0u : (1u << n) - 1;
    bool any = false;
    for (int i = 0; i < n && !failed; i++) {
        if (lanes[i].state != State::at_warp) continue;
        const unsigned group = complete_group(lanes, i, existing);
        if (!group) continue;
        exchange(lanes, group);
        any = true;
    }
    return any && !failed;
}

// ---------------------------------------------------------------- blocks
struct Schedule {
    int item[32];
    int count;
    explicit Schedule(int n) : count(n) {
        for (int i = 0; i < n; i++) item[i] = config.order == Order::reverse ? n - 1 - i : i;
        if (config.order == Order::random)
            for (int i = n - 1; i > 0; i--) std::swap(item[i], item[random_number() % (i + 1)]);
    }
};

void run_warp(Block& block, int warp) {
    do {
        const Schedule lanes(lanes_of(warp));
        for (int i = 0; i < lanes.count; i++) {
            Thread& t = block.threads[warp * 32 + lanes.item[i]];
            if (t.state == State::ready) resume(t);
            if (failed) return;
        }
    } while (resolve_warp(block, warp));
}

// How many threads of the block stand at a cluster barrier once none can go on; block barriers are released
// here.
int run_block(Block& block) {
    current = &block;
    for (;;) {
        const Schedule order(warps);
        for (int i = 0; i < order.count && !failed; i++) run_warp(block, order.item[i]);
        if (failed) return 0;
        int done = 0, at_block = 0, at_cluster = 0, line = -1;
        for (int i = 0; i < block_threads; i++) {
            const Thread& t = block.threads[i];
            if (t.state == State::done) {
                done++;
                continue;
            }
            if (t.state == State::at_warp) {
                fail("deadlock: thread %d waits at the warp operation in line %d", i, t.line);
                return 0;
            }
            (t.state == State::at_cluster ? at_cluster : at_block)++;
            if (line >= 0 && t.line != line) {
                fail("threads wait at different barriers (lines %d and %d)", line, t.line);
                return 0;
            }
            line = t.line;
        }
        if (done && at_block + at_cluster) {
            fail("line %d: %d threads wait at a barrier, %d have exited", line, at_block + at_cluster, done);
            return 0;
        }
        if (!at_block) return at_cluster;
        stats.barriers++;
        for (int i = 0; i < block_threads; i++) block.threads[i].state = State::ready;
    }
}

void run_cluster() {
    for (;;) {
        int waiting = 0;
        for (int i = 0; i < cluster_size && !failed; i++)
            waiting += run_block(blocks[config.order == Order::reverse ? cluster_size - 1 - i : i]);
        if (failed || !waiting) return;
        if (waiting != cluster_size * block_threads) {
            fail("%d of the cluster's %d threads wait at its barrier, the others have exited", waiting,
                 cluster_size * block_threads);
            return;
        }
        for (int i = 0; i < waiting; i++) threads[i].state = State::ready;
    }
}

unsigned char* arena(int i) {
    static unsigned char* base;
    if (!base) {
        void* p = mmap(nullptr, ARENAS * ARENA, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        base = static_cast<unsigned char*>(p);
    }
    return base + i * ARENA;
}

void enter(Block& block, int rank, uint3 index, dim3 dim, dim3 grid, size_t dynamic_bytes) {
#if defined(TFLBP_TSAN)
    static int next;
    next = (next + 1) % ARENAS;
#else
    const int next = rank;
#endif
    stats.blocks++;
    block.index = index;
    block.dim = dim;
    block.grid = grid;
    block.rank = rank;
    block.threads = threads + rank * block_threads;
    block.shared = arena(next);
    block.dynamic = block.shared + ARENA / 2;
    block.dynamic_bytes = dynamic_bytes;
    block.sync = reinterpret_cast<char*>(block.shared + ARENA - 4096);
    poison(block.shared, static_bytes);
    poison(block.dynamic, dynamic_bytes);
    for (int i = 0; i < block_threads; i++) {
        Thread& t = block.threads[i];
        t.lane = i & 31;
        t.warp = i >> 5;
        t.block = &block;
        t.index = {i % dim.x, i / dim.x % dim.y, i / (dim.x * dim.y)};
#if defined(TFLBP_TSAN)
        Fiber& f = fiber_of(rank * block_threads + i, cluster_size * block_threads);
        t.fiber = f.fiber;
        t.stack = f.stack;
        prepare(t);
        f.stack = t.stack;
#else
        prepare(t);
#endif
    }
}

void wait(State state, int line) {
    thread->state = state;
    thread->line = line;
    yield();
}

}  // namespace

// ---------------------------------------------------------------- what kernels call
void block_sync(int line) {
    TSAN(char* at = thread->block->sync; __tsan_release(at);)
    wait(State::at_block, line);
    TSAN(__tsan_acquire(at);)
}

void cluster_barrier(int line) {
    TSAN(char* at = blocks[0].sync + 64; __tsan_release(at);)
    wait(State::at_cluster, line);
    TSAN(__tsan_acquire(at);)
}

uint64_t warp_op(WarpOp op, unsigned mask, uint64_t value, int argument, int width, int line) {
    Thread* t = thread;
    t->op = op;
    t->mask = mask;
    t->value = value;
    t->argument = argument;
    t->width = width;
    wait(State::at_warp, line);
    return t->result;
}

void WarpSync::operator()(unsigned mask) const {
    TSAN(char* at = thread->block->sync + 128 + 8 * thread->warp; __tsan_release(at);)
    warp_op(WarpOp::sync, mask, 0, 0, 32, line);
    TSAN(__tsan_acquire(at);)
}

int rank_in_cluster() { return thread->block->rank; }

void* map_shared(void* p, int rank) {
    unsigned char* at = static_cast<unsigned char*>(p);
    const Block& own = *thread->block;
    if (rank < 0 || rank >= cluster_size) {
        fail("map_shared: rank %d is outside the cluster of %d", rank, cluster_size);
    } else if (at >= own.shared && at < own.shared + ARENA) {
        return blocks[rank].shared + (at - own.shared);
    } else {
        fail("map_shared: the address is not in this block's shared memory");
    }
    return p;
}

void* shared_array(const void* tag, size_t bytes) {
    for (int i = 0; i < array_count; i++)
        if (arrays[i].tag == tag) return thread->block->shared + arrays[i].offset;
    const size_t offset = (static_bytes + 15) / 16 * 16;
    if (array_count == MAX_ARRAYS || offset + bytes > STATIC_BYTES) {
        fail("%zu bytes of static shared memory are over the limit of %zu", offset + bytes, STATIC_BYTES);
        return thread->block->dynamic;  // memory that exists; the launch ends at the next switch
    }
    arrays[array_count++] = {tag, offset, bytes};
    static_bytes = offset + bytes;
    for (int i = 0; i < cluster_size; i++) poison(blocks[i].shared + offset, bytes);
    return thread->block->shared + offset;
}

void* dynamic_shared() { return thread->block->dynamic; }

// ---------------------------------------------------------------- what the host calls
cudaError_t last_error() {
    const cudaError_t error = pending;
    pending = cudaSuccess;
    return error;
}

void launch(const char* name, dim3 grid, dim3 dim, size_t dynamic_bytes, int cluster, void (*run)(void*),
            void* argument) {
    const uint64_t count = uint64_t(dim.x) * dim.y * dim.z;
    stats.launches++;
    if (count < 1 || count > 1024 || dim.z > 64 || !grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535 || dynamic_bytes > DYNAMIC_BYTES || cluster < 1 ||
        cluster > MAX_CLUSTER || grid.x % cluster || cluster * count > MAX_THREADS) {
        pending = cudaErrorInvalidConfiguration;
        return;
    }
    kernel = name;
    call = run;
    body = argument;
    failed = false;
    cluster_size = cluster;
    block_threads = int(count);
    warps = (block_threads + 31) / 32;
    array_count = 0;
    static_bytes = 0;
    TSAN(host_fiber = __tsan_get_current_fiber(); __tsan_release(&launched);)
    for (unsigned z = 0; z < grid.z && !failed; z++)
        for (unsigned y = 0; y < grid.y && !failed; y++)
            for (unsigned x = 0; x < grid.x && !failed; x += cluster) {
                for (int c = 0; c < cluster; c++)
                    enter(blocks[c], c, {x + c, y, z}, dim, grid, dynamic_bytes);
                run_cluster();
                TSAN(rotation += 37;)
            }
    TSAN(__tsan_acquire(&ended);)
    stats.shared_bytes = std::max(stats.shared_bytes, static_bytes + dynamic_bytes);
    current = nullptr;
    if (failed) throw Error(text);
}

}  // namespace emulator
