#include "tflbp/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#ifdef _WIN32
#include <malloc.h>
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#endif

namespace tflbp {
namespace {

inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Long enough to catch the next kernel of a training step, short enough not to be seen by a neighbour.
constexpr auto kSpin = std::chrono::microseconds(40);

// Whether helpers help. Where other processes hold the cores, a helper that lost its core in the middle of a
// job keeps its caller waiting for its next time slice: 3 to 20 ms, when the call takes 0.2. From the
// caller's own jobs follows what a call would have taken alone; once the calls of late have lost by helpers,
// the pool rests for many times that, twice as many each time in a row, and tries again.
class Balance {
  public:
    using Clock = std::chrono::steady_clock;

    bool rests(Clock::time_point now) const { return now < until_; }

    void add(double alone, double taken, Clock::time_point now) {
        saved_ = std::min(saved_ + alone - taken, kStake);
        if (saved_ == kStake) times_ = kTimes;
        if (saved_ > -kStake) return;
        const std::chrono::duration<double> rest(std::min(-times_ * saved_, kLongest));
        until_ = now + std::chrono::duration_cast<Clock::duration>(rest);
        saved_ = 0, times_ *= 2;
    }

  private:
    static constexpr double kStake = 5e-4, kTimes = 30, kLongest = 1;  // seconds; of the loss; seconds
    double saved_ = 0, times_ = kTimes;
    Clock::time_point until_{};
};

class Pool {
  public:
    explicit Pool(int threads) : threads_(threads) {}

    int threads() const { return threads_.load(std::memory_order_relaxed); }

    void resize(int threads) {
        std::lock_guard<std::mutex> one(submit_);
        stop_workers();
        balance_ = Balance();
        threads_.store(threads, std::memory_order_relaxed);
    }

    void run(int64_t jobs, void (*fn)(void*, int64_t), void* ctx) {
        std::unique_lock<std::mutex> one(submit_, std::defer_lock);
        const bool alone = threads() == 1 || inside_job || !one.try_lock();
        const auto start = alone ? Balance::Clock::time_point() : Balance::Clock::now();
        if (alone || balance_.rests(start)) {
            for (int64_t i = 0; i < jobs; ++i) fn(ctx, i);
            return;
        }
        start_workers();
        fn_ = fn, ctx_ = ctx, jobs_ = jobs;
        next_.store(0, std::memory_order_relaxed);
        open_.store(true);  // publishes the four above
        epoch_.fetch_add(1);
        if (sleepers_.load() != 0) {
            keep_off_this_core();
            wake(jobs - 1);
        }
        inside_job = true;
        const int64_t mine = claim();
        inside_job = false;
        const std::chrono::duration<double> busy = Balance::Clock::now() - start;
        if (mine == jobs) keep_off_this_core();  // nobody came to help: perhaps we share a core
        // A worker enters by `inside_ + 1`, then looks at `open_`; the caller clears `open_`, then looks at
        // `inside_`. Both sequentially consistent: a late worker either is seen here or leaves untouched.
        open_.store(false);
        for (int spins = 0; inside_.load() != 0; ++spins) {
            if (spins < 4000)
                pause_cpu();
            else
                std::this_thread::yield();  // the worker may be off its core
        }
        if (mine == 0) return;
        const auto end = Balance::Clock::now();
        const std::chrono::duration<double> taken = end - start;
        balance_.add(busy.count() * double(jobs) / double(mine), taken.count(), end);
    }

  private:
    int64_t claim() {
        int64_t ran = 0;
        for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < jobs_; ++ran) fn_(ctx_, i);
        return ran;
    }

    // Linux wakes a thread on the waker's core and may leave it there for 10 ms and more although another
    // core idles: two threads then take twice the time of one. The workers may run on every core of the
    // process but this one.
    void keep_off_this_core() {
#ifdef __linux__
        const int cpu = sched_getcpu();
        if (cpu < 0 || cpu == kept_off_) return;
        cpu_set_t set;
        if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) != 0) return;
        CPU_CLR(cpu, &set);
        if (CPU_COUNT(&set) == 0) return;
        for (auto& worker : workers_) pthread_setaffinity_np(worker.native_handle(), sizeof set, &set);
        kept_off_ = cpu;
#endif
    }

    void wake(int64_t wanted) {
        std::lock_guard<std::mutex> hold(sleep_);
        if (wanted >= threads() - 1)
            wake_.notify_all();
        else
            for (int64_t i = 0; i < wanted; ++i) wake_.notify_one();
    }

    void work() {
        inside_job = true;  // a kernel called from a job runs serially
        uint64_t seen = 0;
        while (wait_for_work(&seen)) {
            inside_.fetch_add(1);
            if (open_.load()) claim();
            inside_.fetch_sub(1);
        }
    }

    bool wait_for_work(uint64_t* seen) {
        const auto until = std::chrono::steady_clock::now() + kSpin;
        while (epoch_.load() == *seen) {
            for (int i = 0; i < 64 && epoch_.load(std::memory_order_relaxed) == *seen; ++i) pause_cpu();
            if (std::chrono::steady_clock::now() < until) continue;
            std::unique_lock<std::mutex> hold(sleep_);
            sleepers_.fetch_add(1);
            wake_.wait(hold, [&] { return epoch_.load() != *seen; });
            sleepers_.fetch_sub(1);
        }
        *seen = epoch_.load();
        return !stop_.load();
    }

    void start_workers() {
        if (!workers_.empty()) return;
#ifndef _WIN32
        sigset_t all, before;  // signals belong to the interpreter's threads
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
        try {
            for (int i = 1; i < threads(); ++i) workers_.emplace_back(&Pool::work, this);
        } catch (const std::exception&) {  // no more threads to be had: the ones there are do the work
        }
#ifndef _WIN32
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
    }

    void stop_workers() {
        if (workers_.empty()) return;
        stop_.store(true);
        epoch_.fetch_add(1);
        {
            std::lock_guard<std::mutex> hold(sleep_);
            wake_.notify_all();
        }
        for (auto& worker : workers_) worker.join();
        workers_.clear();
        kept_off_ = -1;
        stop_.store(false);
    }

    std::mutex submit_;
    std::atomic<int> threads_;
    std::vector<std::thread> workers_;
    Balance balance_;
    int kept_off_ = -1;  // the core that the workers leave to their caller

    void (*fn_)(void*, int64_t) = nullptr;
    void* ctx_ = nullptr;
    int64_t jobs_ = 0;
    // Each on its own cache line: every claim writes next_, every spinning worker reads epoch_.
    alignas(64) std::atomic<int64_t> next_{0};
    alignas(64) std::atomic<uint64_t> epoch_{0};
    alignas(64) std::atomic<int> inside_{0};
    alignas(64) std::atomic<bool> open_{false};
    std::atomic<bool> stop_{false};
    std::atomic<int> sleepers_{0};
    std::mutex sleep_;
    std::condition_variable wake_;

    static thread_local bool inside_job;
};

thread_local bool Pool::inside_job = false;

int cores() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const int n = static_cast<int>(std::thread::hardware_concurrency());
    return n > 0 ? n : 1;
}

// Never destroyed: a worker may still be waiting on it while the process exits.
alignas(64) unsigned char storage[sizeof(Pool)];
Pool* const pool = [] {
#ifndef _WIN32
    // The child of a fork has no workers and perhaps locked mutexes: it starts afresh, the old object is left
    // as is.
    pthread_atfork(nullptr, nullptr, [] { new (storage) Pool(reinterpret_cast<Pool*>(storage)->threads()); });
#endif
    return new (storage) Pool(cores());
}();

void* aligned(size_t bytes) {
#ifdef _WIN32
    return _aligned_malloc(bytes, 64);
#else
    void* p = nullptr;
    return posix_memalign(&p, 64, bytes) == 0 ? p : nullptr;
#endif
}

void release(void* p) {
#ifdef _WIN32
    _aligned_free(p);
#else
    free(p);
#endif
}

struct Scratch {
    void* block[4] = {};
    size_t size[4] = {};
    ~Scratch() {
        for (void* p : block) release(p);
    }
};

}  // namespace

int num_threads() { return pool->threads(); }

void set_num_threads(int n) { pool->resize(n < 1 ? cores() : n); }

void parallel_jobs(int64_t jobs, void (*fn)(void*, int64_t), void* ctx) { pool->run(jobs, fn, ctx); }

void* scratch(int slot, size_t bytes) {
    thread_local Scratch mine;
    if (mine.size[slot] < bytes) {
        release(mine.block[slot]);
        mine.size[slot] = 0;
        const size_t rounded = (bytes + 4095) / 4096 * 4096;
        mine.block[slot] = aligned(rounded);
        if (mine.block[slot]) mine.size[slot] = rounded;
    }
    return mine.block[slot];
}

}  // namespace tflbp
