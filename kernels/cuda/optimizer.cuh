// One step of an optimiser for all parameters in one launch, and what looks at all gradients together: the
// sum of their squares, the clipping factor, non-finite values.
//
// Limit: memory: Adam reads four arrays and writes three, 28 bytes per float parameter. The arrays are named
// by a table in device memory, a row of 8 numbers for each: addresses of p, g and up to three states, the
// count, the first block. A block takes CHUNK elements of one array, 16 bytes at a time where the array's
// addresses agree.
//
// What changes from step to step (learning rate, step number, scale of the gradients) is read from device
// memory, so that a captured step can be replayed. Elementwise: deterministic. Formulas: Keras 3's, as in
// backend/common.py.
#pragma once

#include "cuda/types.cuh"

#define CHUNK 16384
#define TABLE_WIDTH 8
#define OPTIMIZER_THREADS 256

enum { HYPER_RATE, HYPER_STEP, HYPER_SCALE, HYPER_COUNT };  // double each

// The array that block `blockIdx.x` works on.
__device__ __forceinline__ const int64_t* table_row(const int64_t* table, int64_t arrays) {
    int64_t low = 0, high = arrays - 1;  // the last row that starts at or before this block
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (table[middle * TABLE_WIDTH + 6] <= int64_t(blockIdx.x))
            low = middle;
        else
            high = middle - 1;
    }
    return table + low * TABLE_WIDTH;
}

template <class A, int STATES>
struct Element {
    A p, g, s[STATES > 0 ? STATES : 1];
};

// rule(element) for every element of the block's chunk; p and the states are written back.
template <class T, int STATES, class Rule>
__device__ __forceinline__ void update(const int64_t* table, int64_t arrays, Rule rule) {
    typedef typename Compute<T>::type A;
    typedef typename Wide<T>::type W;
    const int64_t* row = table_row(table, arrays);
    const int64_t from = (int64_t(blockIdx.x) - row[6]) * CHUNK, left = row[5] - from,
                  n = left < CHUNK ? left : CHUNK;
    T *p = reinterpret_cast<T*>(row[0]) + from, *s[STATES > 0 ? STATES : 1];
    const T* g = reinterpret_cast<const T*>(row[1]) + from;
    bool same = alike(p, g);
    UNROLL_ALL
    for (int k = 0; k < STATES; k++) {
        s[k] = reinterpret_cast<T*>(row[2 + k]) + from;
        same = same && alike(p, s[k]);
    }
    auto one = [&](int64_t i) {
        Element<A, STATES> e;
        e.p = widen(p[i]), e.g = widen(g[i]);
        UNROLL_ALL
        for (int k = 0; k < STATES; k++) e.s[k] = widen(s[k][i]);
        rule(e);
        p[i] = narrow<T>(e.p);
        UNROLL_ALL
        for (int k = 0; k < STATES; k++) s[k][i] = narrow<T>(e.s[k]);
    };
    const int64_t head = same ? misaligned(p, n) : n, wide = (n - head) / W::count;
    UNROLL(1)
    for (int64_t i = threadIdx.x; i < head; i += blockDim.x) one(i);
    UNROLL(1)
    for (int64_t k = threadIdx.x; k < wide; k += blockDim.x) {
        W wp = reinterpret_cast<W*>(p + head)[k], ws[STATES > 0 ? STATES : 1];
        const W wg = reinterpret_cast<const W*>(g + head)[k];
        UNROLL_ALL
        for (int m = 0; m < STATES; m++) ws[m] = reinterpret_cast<W*>(s[m] + head)[k];
        UNROLL_ALL
        for (int j = 0; j < W::count; j++) {
            Element<A, STATES> e;
            e.p = widen(wp.at[j]), e.g = widen(wg.at[j]);
            UNROLL_ALL
            for (int m = 0; m < STATES; m++) e.s[m] = widen(ws[m].at[j]);
            rule(e);
            wp.at[j] = narrow<T>(e.p);
            UNROLL_ALL
            for (int m = 0; m < STATES; m++) ws[m].at[j] = narrow<T>(e.s[m]);
        }
        reinterpret_cast<W*>(p + head)[k] = wp;
        UNROLL_ALL
        for (int m = 0; m < STATES; m++) reinterpret_cast<W*>(s[m] + head)[k] = ws[m];
    }
    UNROLL(1)
    for (int64_t i = head + wide * W::count + threadIdx.x; i < n; i += blockDim.x) one(i);
}

// Nothing is written when the scale is 0: the step is skipped (dynamic loss scaling met an infinity).
#define OPTIMIZER_BEGIN                                                 \
    typedef typename Compute<T>::type A;                                \
    const double rate = hyper[HYPER_RATE], factor = hyper[HYPER_SCALE]; \
    if (factor == 0) return;                                            \
    const A lr = A(rate), scale = A(factor), keep = A(1 - decay * rate);

template <class T>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    sgd(const int64_t* __restrict__ table, int64_t arrays, const double* __restrict__ hyper, double decay) {
    OPTIMIZER_BEGIN
    const A step = lr * scale;
    update<T, 0>(table, arrays, [=](auto& e) { e.p = e.p * keep - e.g * step; });
}

template <class T>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    sgd_momentum(const int64_t* __restrict__ table, int64_t arrays, const double* __restrict__ hyper,
                 double decay, double momentum, int64_t nesterov) {
    OPTIMIZER_BEGIN
    const A step = lr * scale, m = A(momentum);
    update<T, 1>(table, arrays, [=](auto& e) {
        const A d = e.g * step, v = m * e.s[0] - d;
        e.s[0] = v;
        e.p = e.p * keep + (nesterov ? m * v - d : v);
    });
}

// Adam, AdamW with decay, AMSGrad with a third state.
template <class T, bool AMSGRAD>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    adam(const int64_t* __restrict__ table, int64_t arrays, const double* __restrict__ hyper, double decay,
         double beta1, double beta2, double eps) {
    OPTIMIZER_BEGIN
    const double step = hyper[HYPER_STEP];
    const A alpha = A(rate * sqrt(1 - pow(beta2, step)) / (1 - pow(beta1, step))), rest1 = A(1 - beta1),
            rest2 = A(1 - beta2), small = A(eps);
    (void)lr;
    update<T, AMSGRAD ? 3 : 2>(table, arrays, [=](auto& e) {
        const A d = e.g * scale;
        e.s[0] += (d - e.s[0]) * rest1;
        e.s[1] += (d * d - e.s[1]) * rest2;
        A second = e.s[1];
        if constexpr (AMSGRAD) {
            if (!(e.s[2] >= second)) e.s[2] = second;
            second = e.s[2];
        }
        e.p = e.p * keep - e.s[0] * alpha / (root(second) + small);
    });
}

// States: mean of squares, then momentum, then mean gradient, as far as they are used.
template <class T, bool MOMENTUM, bool CENTERED>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    rmsprop(const int64_t* __restrict__ table, int64_t arrays, const double* __restrict__ hyper, double decay,
            double rho, double momentum, double eps) {
    OPTIMIZER_BEGIN
    const A keep2 = A(rho), rest2 = A(1 - rho), m = A(momentum), small = A(eps);
    update<T, 1 + MOMENTUM + CENTERED>(table, arrays, [=](auto& e) {
        const A d = e.g * scale;
        e.s[0] = e.s[0] * keep2 + d * d * rest2;
        A squares = e.s[0];
        if constexpr (CENTERED) {
            A& mean = e.s[1 + MOMENTUM];
            mean = mean * keep2 + d * rest2;
            squares -= mean * mean;
        }
        A step = d * lr / root(squares + small);
        if constexpr (MOMENTUM) step = e.s[1] = e.s[1] * m + step;
        e.p = e.p * keep - step;
    });
}

template <class T>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    lion(const int64_t* __restrict__ table, int64_t arrays, const double* __restrict__ hyper, double decay,
         double beta1, double beta2) {
    OPTIMIZER_BEGIN
    const A b1 = A(beta1), rest1 = A(1 - beta1), b2 = A(beta2), rest2 = A(1 - beta2);
    update<T, 1>(table, arrays, [=](auto& e) {
        const A d = e.g * scale, mixed = e.s[0] * b1 + d * rest1;
        const A sign = mixed > 0 ? A(1) : mixed < 0 ? A(-1) : mixed;  // 0 and NaN stay
        e.p = e.p * keep - sign * lr;
        e.s[0] = e.s[0] * b2 + d * rest2;
    });
}

// ---------------------------------------------------------------- all gradients together
// part[block] = the sum of squares of the block's chunk, in double.
template <class T>
__global__ void __launch_bounds__(OPTIMIZER_THREADS, 1)
    squares(const int64_t* __restrict__ table, int64_t arrays, double* __restrict__ part) {
    typedef typename Compute<T>::type A;
    const int64_t* row = table_row(table, arrays);
    const int64_t from = (int64_t(blockIdx.x) - row[6]) * CHUNK, left = row[5] - from;
    double sum = 0;
    each_pack(reinterpret_cast<const T*>(row[1]) + from, left < CHUNK ? left : CHUNK, threadIdx.x, blockDim.x,
              [&](int64_t, const auto& pack) {
                  A near = 0;  // a pack's squares in A, so that double is added once a pack
                  bool fits = sizeof(A) == 8;
                  if (!fits) {
                      for (int j = 0; j < pack.count; j++) near += widen(pack.at[j]) * widen(pack.at[j]);
                      fits = near < A(1e30) && near > A(1e-30);
                  }
                  if (sizeof(A) == 4 && fits)
                      sum += near;
                  else
                      for (int j = 0; j < pack.count; j++)
                          sum += double(widen(pack.at[j])) * double(widen(pack.at[j]));
              });
    sum = group_sum<false>(sum);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

// out[0] = the sum of squares; out[1] = 1 if it is not finite, else 0. With `most` > 0, hyper's scale is
// multiplied by most / norm where norm, the root of the sum times the scale, is above it (NaN where the norm
// is not finite). With `skip`, the scale becomes 0 where the sum is not finite. One block; hyper may be null.
template <class A>
__global__ void __launch_bounds__(512, 1)
    squares_total(const A* __restrict__ part, int64_t blocks, A* __restrict__ out, double* hyper, double most,
                  int64_t skip) {
    A sum = 0;
    for (int64_t i = threadIdx.x; i < blocks; i += blockDim.x) sum += part[i];
    sum = group_sum<false>(sum);
    if (threadIdx.x) return;
    const bool finite = sum < A(INFINITY);
    out[0] = sum;
    out[1] = finite ? A(0) : A(1);
    if (!hyper) return;
    const double norm = sqrt(sum) * fabs(hyper[HYPER_SCALE]);
    if (most > 0 && !(norm <= most))
        hyper[HYPER_SCALE] *= norm < double(INFINITY) ? most / norm : double(NAN);
    if (skip && !finite) hyper[HYPER_SCALE] = 0;
}

// ---------------------------------------------------------------- what a step begins with
// Written by kernels, since a copy from the host would wait for its source, and cannot be captured.

// hyper = rate, step, scale. step_at and factor, if not null, hold the step's number and a factor of the
// scale on the device: what only the device knows, where steps are skipped.
__global__ void __launch_bounds__(32, 1)
    begin_step(double* __restrict__ hyper, double rate, double step, double scale,
               const double* __restrict__ step_at, const double* __restrict__ factor) {
    if (threadIdx.x) return;
    hyper[HYPER_RATE] = rate;
    hyper[HYPER_STEP] = step_at ? *step_at : step;
    hyper[HYPER_SCALE] = factor ? scale * *factor : scale;
}

// factor = the scale, lowered so that the norm, the root of total[0] times it, is at most `limit`; a norm
// that is infinite counts as `infinite`. A scale of 0 on the device, which skips the step, stays.
__global__ void __launch_bounds__(32, 1)
    clip_scale(const double* __restrict__ total, double* __restrict__ factor, double scale,
               const double* __restrict__ scale_at, double limit, double infinite) {
    if (threadIdx.x) return;
    if (scale_at) scale = *scale_at;
    const double norm = sqrt(*total) * scale;
    if (!(norm <= limit)) scale *= limit / (norm == double(INFINITY) ? infinite : norm);
    *factor = scale_at && *scale_at == 0 ? 0.0 : scale;
}

// A dynamic loss scale's step (torch.amp.GradScaler's rule): factor = 1 / scale, or 0 where total[0], a sum
// of squares of gradients, is not finite; then the scale grows after `interval` finite ones in a row, up to
// `largest`, or backs off.
__global__ void __launch_bounds__(32, 1)
    scale_step(const double* __restrict__ total, double* __restrict__ scale, double* __restrict__ streak,
               double* __restrict__ updates, double* __restrict__ factor, double growth, double backoff,
               double interval, double largest) {
    if (threadIdx.x) return;
    const double old = *scale, longer = *streak + 1;
    const bool finite = *total < double(INFINITY), grows = finite && longer >= interval;
    *factor = finite ? 1 / old : 0.0;
    *updates += finite ? 1 : 0;
    *streak = finite && !grows ? longer : 0.0;
    *scale = !finite ? old * backoff : grows && old * growth <= largest ? old * growth : old;
}

#define EACH_WORD(use)                                                                                    \
    use(0) use(1) use(2) use(3) use(4) use(5) use(6) use(7) use(8) use(9) use(10) use(11) use(12) use(13) \
        use(14) use(15) use(16) use(17) use(18) use(19) use(20) use(21) use(22) use(23) use(24) use(25)   \
            use(26) use(27) use(28) use(29) use(30) use(31)
#define WORD(k) , int64_t word##k

// out[start + k stride] = word k, k < count <= 32: addresses into a table.
__global__ void __launch_bounds__(32, 1)
    set_words(int64_t* __restrict__ out, int64_t start, int64_t stride, int64_t count EACH_WORD(WORD)) {
    int64_t mine = 0;
#define PICK(k) \
    if (threadIdx.x == k) mine = word##k;
    EACH_WORD(PICK)
#undef PICK
    if (threadIdx.x < count) out[start + threadIdx.x * stride] = mine;
}
#undef WORD
#undef EACH_WORD

// The step number and its rate for the step to come: part of a captured step.
__global__ void __launch_bounds__(32, 1) next_step(double* hyper) {
    if (threadIdx.x == 0 && hyper[HYPER_SCALE] != 0) hyper[HYPER_STEP] += 1;
}
