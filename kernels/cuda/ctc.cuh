// Connectionist temporal classification (Graves et al. 2006): loss and gradient from logarithms of
// probabilities. Reference: backend/ctc.py.
//
// ctc: a block walks one sample's steps forward and back, a state for each of its threads, two rows of states
// in shared memory; what it leaves in `path` is the probability of each state at each step. Limit: two
// barriers a step. ctc_gradient: a block for each sample and step, exp(logp) less what its states say. A
// class that several states say gets their sum in the states' order, by the thread of the first: no atomics,
// the same bits every time.
#pragma once

#include "cuda/types.cuh"

#define CTC_THREADS 256

__device__ __forceinline__ float exact_exponential(float x) { return expf(x); }
__device__ __forceinline__ double exact_exponential(double x) { return exp(x); }

// log(exp(a) + exp(b) + exp(c)); -inf for three -inf, NaN for a NaN.
template <class A>
__device__ __forceinline__ A log_sum(A a, A b, A c) {
    A top = a > b ? a : b;
    top = top > c ? top : c;
    if (top == A(-INFINITY)) return a + b + c;
    return top +
           logarithm(exact_exponential(a - top) + exact_exponential(b - top) + exact_exponential(c - top));
}

// The label of a sample, with a blank before, between and after its characters: 2 length + 1 states.
struct Spelling {
    const int64_t* label;
    int64_t blank, states;

    __device__ __forceinline__ int64_t at(int64_t s) const { return s % 2 ? label[s / 2] : blank; }
    // Whether s may follow s - 2: a character that is not the one before it.
    __device__ __forceinline__ bool skips(int64_t s) const {
        return s % 2 && s >= 3 && s < states && label[s / 2] != blank && label[s / 2] != label[s / 2 - 1];
    }
};

// logp (samples, time, classes), labels (samples, most), steps and lengths (samples). path (samples, time,
// 2 most + 1). chain (samples, most): the next place with the same character, or most; ~that where there is
// one before. loss (samples): infinity for a label that no path spells.
template <class A>
__global__ void __launch_bounds__(CTC_THREADS, 1)
    ctc(const A* __restrict__ logp, const int64_t* __restrict__ labels, const int64_t* __restrict__ steps,
        const int64_t* __restrict__ lengths, A* path, int64_t* __restrict__ chain, A* __restrict__ loss,
        int64_t time, int64_t classes, int64_t most, int64_t blank) {
    TFLBP_DYNAMIC_SHARED(A, shared);
    const int64_t sample = blockIdx.x, last = steps[sample], width = 2 * most + 1;
    const Spelling its = {labels + sample * most, blank, 2 * lengths[sample] + 1};
    const int64_t n = its.states;
    if (last < 0 || last > time || n < 1 || n > width) {  // only the host can refuse such lengths
        if (threadIdx.x == 0) loss[sample] = A(NAN);
        return;
    }
    const A no = A(-INFINITY);
    auto said = [=](int64_t t, int64_t s) {  // NaN for a class that is none: only the host can refuse it
        const int64_t c = its.at(s);
        return c >= 0 && c < classes ? logp[(sample * time + t) * classes + c] : A(NAN);
    };
    A* kept = path + sample * time * width;
    A *now = shared, *then = shared + width;
    for (int64_t t = 0; t < last; t++) {
        for (int64_t s = threadIdx.x; s < n; s += blockDim.x) {
            A before = s < 2 ? A(0) : no;
            if (t) before = log_sum(then[s], s ? then[s - 1] : no, its.skips(s) ? then[s - 2] : no);
            now[s] = before + said(t, s);
            kept[t * width + s] = now[s];
        }
        __syncthreads();
        A* other = now;
        now = then, then = other;
    }
    // a sample without any step spells the empty label only
    const A total = !last ? (n == 1 ? A(0) : no) : n == 1 ? then[0] : log_sum(then[n - 1], then[n - 2], no);
    if (threadIdx.x == 0) loss[sample] = -total;
    for (int64_t j = threadIdx.x; j < most; j += blockDim.x) {
        int64_t next = j + 1, before = j - 1;
        while (next < n / 2 && its.label[next] != its.label[j]) next++;
        while (before >= 0 && its.label[before] != its.label[j]) before--;
        if (next >= n / 2) next = most;
        chain[sample * most + j] = before >= 0 ? ~next : next;
    }
    for (int64_t t = last - 1; t >= 0; t--) {
        for (int64_t s = threadIdx.x; s < n; s += blockDim.x) {
            A after = s >= n - 2 ? A(0) : no;
            if (t < last - 1)
                after = log_sum(then[s], s + 1 < n ? then[s + 1] : no, its.skips(s + 2) ? then[s + 2] : no);
            A& alpha = kept[t * width + s];
            alpha = total > no ? exact_exponential(alpha + after - total) : total == no ? A(0) : total;
            now[s] = after + said(t, s);
        }
        __syncthreads();
        A* other = now;
        now = then, then = other;
    }
}

// grad = exp(logp) - the probability of the class at the step; 0 past the sample's steps, and where no path
// spells its label. A block for each.
template <class A>
__global__ void __launch_bounds__(CTC_THREADS, 1)
    ctc_gradient(const A* __restrict__ logp, const int64_t* __restrict__ labels,
                 const int64_t* __restrict__ steps, const int64_t* __restrict__ lengths,
                 const A* __restrict__ path, const int64_t* __restrict__ chain, const A* __restrict__ loss,
                 A* __restrict__ grad, int64_t time, int64_t classes, int64_t most, int64_t blank) {
    const int64_t row = blockIdx.x, sample = row / time, t = row - sample * time, length = lengths[sample];
    A* out = grad + row * classes;
    const A* p = logp + row * classes;
    if (t >= steps[sample] || !(loss[sample] < A(INFINITY))) {
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) out[c] = 0;
        return;
    }
    for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) out[c] = exact_exponential(p[c]);
    const A* state = path + row * (2 * most + 1);
    const int64_t* label = labels + sample * most;
    A blanks = 0;
    for (int64_t s = threadIdx.x; s <= 2 * length; s += blockDim.x)
        if (s % 2 == 0 || label[s / 2] == blank) blanks += state[s];
    blanks = group_sum<false>(blanks);
    __syncthreads();  // what stands in out is replaced, by other threads
    for (int64_t j = threadIdx.x; j < length; j += blockDim.x) {
        int64_t at = chain[sample * most + j];
        const int64_t c = label[j];
        if (at < 0 || c == blank) continue;
        A sum = state[2 * j + 1];
        for (; at < most; at = chain[sample * most + at] < 0 ? ~chain[sample * most + at] : most)
            sum += state[2 * at + 1];
        out[c] = exact_exponential(p[c]) - sum;
    }
    if (threadIdx.x == 0) out[blank] = exact_exponential(p[blank]) - blanks;
}
