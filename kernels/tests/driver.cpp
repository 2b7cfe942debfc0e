// Runs every kernel without Python, for the sanitizers: each instruction set of this CPU, both float types,
// awkward sizes, heap buffers of exactly the needed size so that one element too far is seen. Arguments:
// kernels | threads. The values are checked by tests/test_kernels.py; here only that they are finite.

#include "driver.h"

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <thread>
#include <vector>

#include "cpu/linear.h"
#include "tflbp/allocator.h"
#include "tflbp/kernels.h"
#include "tflbp/parallel.h"

namespace {

using namespace tflbp;

template <class T>
struct Tables {
    const LossTable<T>& loss;
    const NormTable<T>& norm;
    const OptimizerTable<T>& optimizer;
};

template <class T>
void run_losses(const LossTable<T>& k, int64_t rows, int64_t classes) {
    for (int variant = 0; variant < 4; ++variant) {
        Buffer<T> x(rows * classes), grad(rows * classes), weight(classes, 0.5, 2);
        Buffer<double> loss(rows);
        std::unique_ptr<int64_t[]> labels(new int64_t[rows]);
        for (int64_t i = 0; i < rows; ++i)
            labels[i] = i % 5 == 4 ? -1 : (int64_t)(uniform() * (double)classes);
        CrossEntropy<T> a{};
        a.logits = x, a.labels = labels.get(), a.weight = variant & 1 ? weight.p.get() : nullptr;
        a.weight_sum = (double)classes, a.rows = rows, a.classes = classes;
        a.smoothing = variant & 2 ? 0.1 : 0.0, a.scale = 0.5, a.grad = variant == 3 ? nullptr : grad.p.get(),
        a.loss = loss;
        k.cross_entropy(a);
        loss.check("cross_entropy loss"), grad.check("cross_entropy grad");
    }
    Buffer<T> x(rows * classes), out(rows * classes), g(rows * classes), dx(rows * classes);
    for (bool log : {false, true}) {
        k.softmax(x, out, rows, classes, log);
        k.softmax_backward(g, out, dx, rows, classes, log);
        out.check("softmax"), dx.check("softmax_backward");
    }
    k.sigmoid_cross_entropy(x, g, out, dx, rows * classes);
    k.sigmoid_cross_entropy(x, g, out, nullptr, rows * classes);
    out.check("sigmoid_cross_entropy"), dx.check("sigmoid_cross_entropy grad");
}

template <class T>
void run_norm(const NormTable<T>& k, int64_t outer, int64_t channels, int64_t inner) {
    const NormShape shape{outer, channels, inner};
    const int64_t n = outer * channels * inner;
    Buffer<T> x(n), g(n), out(n), dx(n), w(channels), b(channels), mean(channels), var(channels),
        inv(channels), dw(channels), db(channels), scale(channels), offset(channels);
    const size_t bytes = k.workspace(shape);
    std::unique_ptr<double[]> work(new double[(bytes + 7) / 8]);
    k.forward({shape, x, w, b, 1e-3, out, mean, var, inv, work.get(), nullptr, nullptr});
    k.backward({shape, g, x, w, mean, inv, dx, dw, db, work.get(), nullptr, nullptr});
    k.forward({shape, x, w, b, 1e-3, out, mean, var, inv, work.get(), scale, offset});
    k.backward({shape, g, x, w, mean, inv, dx, dw, db, work.get(), scale, offset});
    out.check("batch_norm"), dx.check("batch_norm dx"), dw.check("batch_norm dw"), db.check("batch_norm db");
    var.check("batch_norm var");
}

template <class T>
void run_optimizer(const OptimizerTable<T>& k, int64_t n) {
    Buffer<T> p(n), g(n), m(n), v(n, 0, 1), h(n, 0, 1);
    for (bool nesterov : {false, true}) k.sgd({0.1, 0.9, 0.01, 1, nesterov}, p, g, m, n);
    k.sgd({0.1, 0, 0, 1, false}, p, g, nullptr, n);
    k.adam({0.1, 0.1, 0.9, 0.99, 1e-7, 0.01, 1}, p, g, m, v, nullptr, n);
    k.adam({0.1, 0.1, 0.9, 0.99, 1e-7, 0.01, 1}, p, g, m, v, h, n);
    p.check("optimizer");
    if (!std::isfinite(k.sum_of_squares(p, n))) std::exit(1);
}

template <class T>
void run_linear(int64_t m, int64_t n, int64_t k) {
    Buffer<T> x(m * k), w(k * n), b(n), out(m * n), g(m * n), dx(m * k), dw(k * n), db(n);
    if (!gemm_available()) return;
    for (bool relu : {false, true}) {
        const Operand<T> rows{x, k, false}, weight{w, relu ? n : k, !relu};
        if (!gemm<T>({m, n, k, rows, weight, out, n, relu ? b.p.get() : nullptr, relu})) std::exit(1);
        out.check("linear");
        Buffer<T> masked(m * masked_stride<T>(n));
        if (!linear_backward<T>({m, n, k, g, x, weight, relu ? out.p.get() : nullptr, masked, dx, dw, db}))
            std::exit(1);
        dx.check("linear dx"), dw.check("linear dw"), db.check("linear db");
    }
    for (bool ta : {false, true})
        for (bool tb : {false, true}) {
            const Operand<T> a{x, ta ? m : k, ta}, c{w, tb ? k : n, tb};
            if (!gemm<T>({m, n, k, a, c, out, n, nullptr, false})) std::exit(1);
            out.check("gemm");
        }
}

template <class T>
void run_all(const Tables<T>& t) {
    for (int64_t rows : {0, 1, 7, 32, 33, 65})
        for (int64_t classes : {1, 2, 7, 10, 32, 33, 63, 64, 65, 1000}) run_losses(t.loss, rows, classes);
    run_losses(t.loss, 1, 540001);
    for (int64_t outer : {1, 2, 7, 64, 300})
        for (int64_t channels : {1, 3, 10, 63, 64, 65, 130})
            for (int64_t inner : {1, 2, 7, 65}) run_norm(t.norm, outer, channels, inner);
    run_norm(t.norm, 33000, 3, 1), run_norm(t.norm, 40, 2, 5000), run_norm(t.norm, 3, 20, 4097);
    for (int64_t n : {0, 1, 7, 63, 64, 65, 1000, 16384}) run_optimizer(t.optimizer, n);
    for (int64_t m : {1, 2, 3, 7, 33})
        for (int64_t n : {1, 7, 10, 33, 65})
            for (int64_t k : {1, 3, 17, 64, 300}) run_linear<T>(m, n, k);
    run_linear<T>(64, 130, 784);
}

void run_random() {
    const RandomTable& k = TFLBP_DISPATCH(random_words);
    for (int64_t n : {0, 1, 3, 4, 5, 127, 128, 129, 1000}) {
        Buffer<uint32_t> words(n);
        Buffer<float> f(n), g(n);
        Buffer<double> d(n), e(n);
        k.words(words, 4, n, 5, 0xFFFFFFFFu), k.uniform_f32(f, 4, n, 5, 6), k.uniform_f64(d, 4, n, 5, 6);
        f.check("uniform_f32"), d.check("uniform_f64");
        for (bool past : {false, true}) {
            k.dropped_f32(f, g, 0, n, {1u << 30, 1.5, 5, 6, past});
            k.dropped_f64(d, e, 0, n, {1u << 30, 1.5, 5, 6, past});
            g.check("dropped_f32"), e.check("dropped_f64");
        }
    }
}

void run_allocator() {
    cache_set_cap(cache_default_cap());
    for (int round = 0; round < 3; ++round)
        for (size_t n : {0, 1, 2047, 2048, 2049, 4096, 5000, 100000, 3 << 20}) {
            char* p = (char*)cache_malloc(n);
            std::memset(p, 1, n);
            const size_t grown = n * 2 + 10;
            p = (char*)cache_realloc(p, grown);
            std::memset(p, 2, grown);
            cache_free(p, grown);
            char* z = (char*)cache_calloc(n, 1);
            for (size_t i = 0; i < n; ++i)
                if (z[i]) std::exit(1);
            z = (char*)cache_realloc(z, n / 2);
            std::memset(z, 3, n / 2);
            cache_free(z, n / 2);
        }
    cache_free(nullptr, 0);
    cache_trim();
}

void kernels() {
    set_num_threads(3);
    for (Isa level : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        if (!isa_supported(level) || !set_isa(isa_name(level))) continue;
        run_all<float>({TFLBP_DISPATCH(loss_f32), TFLBP_DISPATCH(norm_f32), TFLBP_DISPATCH(optimizer_f32)});
        run_all<double>({TFLBP_DISPATCH(loss_f64), TFLBP_DISPATCH(norm_f64), TFLBP_DISPATCH(optimizer_f64)});
        run_random();
        run_fused();
        std::printf("%s done\n", isa_name(level));
    }
    run_allocator();
    set_num_threads(1);
}

// Many callers at once, jobs that call kernels, and a pool that changes its size meanwhile; the allocator
// beside it.
void threads() {
    set_num_threads(4);
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; ++c)
        callers.emplace_back([c] {
            for (int round = 0; round < 300; ++round) {
                const int64_t jobs = 1 + (round * 7 + c) % 40;
                std::vector<int64_t> out((size_t)jobs, 0);
                parallel_for(jobs, [&](int64_t i) {
                    int64_t inner[3] = {0, 0, 0};
                    parallel_for(3, [&](int64_t j) { inner[j] = i * j; });
                    out[(size_t)i] = inner[0] + inner[1] + inner[2] + 1;
                });
                for (int64_t i = 0; i < jobs; ++i)
                    if (out[(size_t)i] != 3 * i + 1) std::abort();
                if (c == 0 && round % 50 == 49) set_num_threads(1 + round / 50);
                if (round % 10 == 0) usleep(300);  // lets the workers fall asleep
                void* p = cache_malloc(5000 + (size_t)round);
                std::memset(p, c, 5000);
                cache_free(p, 5000 + (size_t)round);
            }
        });
    for (auto& t : callers) t.join();
    const int64_t rows = 400, classes = 129;
    std::vector<std::thread> users;
    for (int c = 0; c < 2; ++c)
        users.emplace_back([&] {
            for (int round = 0; round < 5; ++round) {
                std::vector<float> x((size_t)(rows * classes), 1.f), out(x.size());
                TFLBP_DISPATCH(loss_f32).softmax(x.data(), out.data(), rows, classes, false);
                run_linear<float>(200, 33, 70);
                run_together();
            }
        });
    for (auto& t : users) t.join();
    set_num_threads(1);
    cache_trim();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "kernels") == 0)
        kernels();
    else if (argc == 2 && std::strcmp(argv[1], "threads") == 0)
        threads();
    else
        return 2;
    std::puts("all done");
}
