#include "tflbp/allocator.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "tflbp/memory.h"

#if defined(__unix__) || defined(__APPLE__)
#define TFLBP_CACHE 1
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __APPLE__
#include <malloc/malloc.h>
#elif defined(__linux__)
#include <malloc.h>
#endif

// Under AddressSanitizer blocks are never reused, so that it sees a use after free.
#if defined(__SANITIZE_ADDRESS__)
#define TFLBP_KEEP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TFLBP_KEEP 0
#endif
#endif
#ifndef TFLBP_KEEP
#define TFLBP_KEEP 1
#endif

namespace tflbp {

#ifdef TFLBP_CACHE
namespace {

constexpr size_t kSmallest = 2048;  // below: malloc, whose own bins are as fast
constexpr int kFirstPower = 11, kClasses = 4 * (47 - kFirstPower);
constexpr size_t kAlign = 64;
constexpr size_t kHuge =
    size_t(2) << 20;  // page size that madvise asks for, for blocks of at least twice that
// Zeros of this size and more come from calloc: its pages stay unmapped until they are touched.
constexpr size_t kLazyZeros = size_t(32) << 20;
constexpr uint32_t kRefusals = 64;  // blocks that found no room, between two looks for idle ones

struct Block {
    Block* next;
};

// Held for a few instructions only.
class SpinLock {
  public:
    void lock() {
        for (int tries = 0; flag_.test_and_set(std::memory_order_acquire); ++tries)
            if (tries > 100) std::this_thread::yield();
    }
    void unlock() { flag_.clear(std::memory_order_release); }

  private:
    std::atomic_flag flag_ = ATOMIC_FLAG_INIT;
};

struct alignas(64) Class {
    SpinLock lock;
    Block* head = nullptr;
    uint64_t hits = 0, misses = 0;
    uint64_t kept = 0, idle = 0;  // blocks; and the least `kept` since idle ones were last given back
};

Class classes[kClasses];
std::atomic<uint64_t> cached{0}, cap{0};
std::atomic<int64_t> live{0}, peak{0};
std::atomic<uint64_t> trims{0};
std::atomic<uint32_t> refused{0};

struct Fit {
    int index;
    size_t bytes;
};
// The class for n >= kSmallest bytes; an index past the end for absurd sizes.
Fit fit(size_t n) {
    const int power = 63 - __builtin_clzll(n);
    const size_t base = size_t(1) << power, quarter = base / 4, steps = (n - base + quarter - 1) / quarter;
    return {(power - kFirstPower) * 4 + (int)steps, base + steps * quarter};
}

uint64_t class_bytes(int i) { return (uint64_t(4 + i % 4) << (i / 4 + kFirstPower)) / 4; }

void raise_peak(int64_t to) {
    int64_t top = peak.load(std::memory_order_relaxed);
    while (to > top && !peak.compare_exchange_weak(top, to, std::memory_order_relaxed)) {
    }
}

void count_live(int64_t change) { raise_peak(live.fetch_add(change, std::memory_order_relaxed) + change); }

size_t usable(void* p) {
#ifdef __APPLE__
    return malloc_size(p);
#elif defined(__linux__)
    return malloc_usable_size(p);
#else
    return 0;
#endif
}

void* take(Class& c, size_t bytes) {
    c.lock.lock();
    Block* b = c.head;
    if (b)
        c.head = b->next, ++c.hits, c.idle = --c.kept < c.idle ? c.kept : c.idle;
    else
        ++c.misses;
    c.lock.unlock();
    if (b) cached.fetch_sub(bytes, std::memory_order_relaxed);
    return b;
}

// Gives the blocks of a class back that lie deepest, so have waited longest, all but the first `keep`.
uint64_t release(int i, uint64_t keep) {
    Class& c = classes[i];
    uint64_t freed = 0;
    c.lock.lock();
    Block** end = &c.head;
    for (uint64_t n = 0; n < keep && *end; ++n) end = &(*end)->next;
    Block* b = *end;
    *end = nullptr;
    c.kept = c.idle = c.kept < keep ? c.kept : keep;
    c.lock.unlock();
    while (b) {
        Block* next = b->next;
        free(b);
        b = next;
        freed += class_bytes(i);
    }
    cached.fetch_sub(freed, std::memory_order_relaxed);
    return freed;
}

// Gives back what no request has needed since the last time: sizes of an earlier phase of the program must
// not keep those of this one out.
void release_idle() {
    uint64_t freed = 0;
    for (int i = 0; i < kClasses; ++i) {
        classes[i].lock.lock();
        const uint64_t keep = classes[i].kept - classes[i].idle;
        classes[i].lock.unlock();
        freed += release(i, keep);
    }
    if (freed) trims.fetch_add(1, std::memory_order_relaxed);
}

// Room for one more block below the cap.
bool reserve(uint64_t bytes) {
    for (int tries = 0;; ++tries) {
        const uint64_t now = cached.fetch_add(bytes, std::memory_order_relaxed) + bytes;
        if (now <= cap.load(std::memory_order_relaxed)) return true;
        cached.fetch_sub(bytes, std::memory_order_relaxed);
        if (tries || refused.fetch_add(1, std::memory_order_relaxed) % kRefusals != kRefusals - 1)
            return false;
        release_idle();
    }
}

void* fresh(size_t bytes) {
    void* p = nullptr;
    if (bytes >= kLazyZeros) cache_make_room(bytes);
    const size_t align = bytes >= kHuge ? kHuge : kAlign;
    if (posix_memalign(&p, align, bytes) != 0 && (cache_trim() == 0 || posix_memalign(&p, align, bytes) != 0))
        return nullptr;
#ifdef MADV_HUGEPAGE
    if (bytes >= 2 * kHuge)
        madvise(p, bytes, MADV_HUGEPAGE);  // fewer faults and TLB misses; a refusal does no harm
#endif
    return p;
}

const bool fork_safe = [] {
    pthread_atfork(
        [] {
            for (Class& c : classes) c.lock.lock();
        },
        [] {
            for (Class& c : classes) c.lock.unlock();
        },
        [] {
            for (Class& c : classes) c.lock.unlock();
        });
    return true;
}();

}  // namespace

bool cache_available() { return fork_safe; }

void* cache_malloc(size_t n) {
    if (n < kSmallest) return malloc(n ? n : 1);
    const Fit f = fit(n);
    if (f.index >= kClasses) return nullptr;
    void* p = take(classes[f.index], f.bytes);
    if (!p) p = fresh(f.bytes);
    if (p) count_live((int64_t)f.bytes);
    return p;
}

void* cache_calloc(size_t count, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) return nullptr;
    if (n < kSmallest) return calloc(n ? n : 1, 1);
    const Fit f = fit(n);
    if (f.index >= kClasses) return nullptr;
    void* p = take(classes[f.index], f.bytes);
    if (!p && n >= kLazyZeros) {
        p = calloc(f.bytes, 1);
    } else {
        if (!p) p = fresh(f.bytes);
        if (p) memset(p, 0, n);
    }
    if (p) count_live((int64_t)f.bytes);
    return p;
}

void cache_free(void* p, size_t n) {
    if (!p) return;
    if (n < kSmallest) {
        free(p);
        return;
    }
    const Fit f = fit(n);
    count_live(-(int64_t)f.bytes);
    // Blocks that calloc or realloc made may be less aligned than the cache promises.
    if (!TFLBP_KEEP || reinterpret_cast<uintptr_t>(p) % kAlign || !reserve(f.bytes)) {
        free(p);
        return;
    }
    Class& c = classes[f.index];
    Block* b = static_cast<Block*>(p);
    c.lock.lock();
    b->next = c.head;
    c.head = b;
    ++c.kept;
    c.lock.unlock();
}

// NumPy does not say how large the old block was; the heap knows. The new one must be as large as its class,
// for it will come back through cache_free.
void* cache_realloc(void* p, size_t n) {
    if (!p) return cache_malloc(n);
    const size_t had = usable(p);
    const size_t bytes = n < kSmallest ? (n ? n : 1) : fit(n).bytes;
    void* q = realloc(p, bytes);
    if (!q) return nullptr;
    if (had >= kSmallest) {  // the largest class that fits the old block
        const int power = 63 - __builtin_clzll(had);
        const size_t base = size_t(1) << power, quarter = base / 4;
        count_live(-(int64_t)(base + (had - base) / quarter * quarter));
    }
    if (n >= kSmallest) count_live((int64_t)bytes);
    return q;
}

void cache_set_cap(uint64_t bytes) {
    cap.store(bytes, std::memory_order_relaxed);
    if (cached.load(std::memory_order_relaxed) > bytes) cache_trim();
}

uint64_t cache_default_cap() {
    const uint64_t most = uint64_t(4) << 30, total = memory_total();
    return total == UINT64_MAX ? most / 4 : total / 4 < most ? total / 4 : most;
}

uint64_t cache_trim() {
    uint64_t freed = 0;
    for (int i = 0; i < kClasses; ++i) freed += release(i, 0);
    if (freed) trims.fetch_add(1, std::memory_order_relaxed);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return freed;
}

uint64_t cache_make_room(uint64_t bytes) {
    return cached.load(std::memory_order_relaxed) && memory_available() < bytes ? cache_trim() : 0;
}

AllocatorStats cache_stats() {
    AllocatorStats s{};
    for (Class& c : classes) {
        c.lock.lock();
        s.hits += c.hits, s.misses += c.misses;
        c.lock.unlock();
    }
    const int64_t now = live.load(std::memory_order_relaxed), top = peak.load(std::memory_order_relaxed);
    s.cached_bytes = cached.load(std::memory_order_relaxed);
    s.live_bytes = now > 0 ? (uint64_t)now : 0, s.peak_bytes = top > 0 ? (uint64_t)top : 0;
    s.cap_bytes = cap.load(std::memory_order_relaxed);
    s.trims = trims.load(std::memory_order_relaxed);
    return s;
}

int cache_classes() { return kClasses; }

ClassStats cache_class(int i) {
    Class& c = classes[i];
    c.lock.lock();
    const ClassStats s{class_bytes(i), c.kept, c.hits, c.misses};
    c.lock.unlock();
    return s;
}

int64_t cache_live() { return live.load(std::memory_order_relaxed); }

int64_t cache_reset_peak(int64_t to) {
    const int64_t before = peak.exchange(live.load(std::memory_order_relaxed), std::memory_order_relaxed);
    raise_peak(to);
    return before;
}

#else  // no posix_memalign: NumPy's own allocator stays

bool cache_available() { return false; }
void* cache_malloc(size_t n) { return malloc(n ? n : 1); }
void* cache_calloc(size_t count, size_t size) { return calloc(count ? count : 1, size ? size : 1); }
void* cache_realloc(void* p, size_t n) { return realloc(p, n ? n : 1); }
void cache_free(void* p, size_t) { free(p); }
void cache_set_cap(uint64_t) {}
uint64_t cache_default_cap() { return 0; }
uint64_t cache_trim() { return 0; }
uint64_t cache_make_room(uint64_t) { return 0; }
AllocatorStats cache_stats() { return {}; }
int cache_classes() { return 0; }
ClassStats cache_class(int) { return {}; }
int64_t cache_live() { return 0; }
int64_t cache_reset_peak(int64_t) { return 0; }

#endif

}  // namespace tflbp
