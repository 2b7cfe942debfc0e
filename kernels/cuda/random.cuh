// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011): the numbers of kernels/cpu/random_isa.cpp and
// ops/random.py, bit for bit. Word i of a stream is a function of (seed, offset, i) alone, so no state is
// kept, and dropout's backward makes its mask again instead of reading it.
//
// Limit: one write (dropout: one read, one write); ten rounds of two 32 x 32 bit products per four words hide
// behind it. `advance`, if not null, holds blocks to add to the offset: a captured step moves on by itself.
#pragma once

#include "cuda/types.cuh"

struct Words {
    uint32_t at[4];
};

__device__ __forceinline__ Words philox(uint64_t counter, uint64_t seed) {
    uint32_t a = uint32_t(counter), b = uint32_t(counter >> 32), c = 0, d = 0, k0 = uint32_t(seed),
             k1 = uint32_t(seed >> 32);
    UNROLL_ALL
    for (int round = 0; round < 10; round++) {
        const uint32_t p = __umulhi(a, 0xD2511F53u), q = __umulhi(c, 0xCD9E8D57u), low = a * 0xD2511F53u;
        a = q ^ b ^ k0;
        b = c * 0xCD9E8D57u;
        c = p ^ d ^ k1;
        d = low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return Words{{a, b, c, d}};
}

__device__ __forceinline__ uint64_t start_of(int64_t offset, const int64_t* advance) {
    return uint64_t(offset) + (advance ? uint64_t(advance[0]) : 0);
}

__device__ __forceinline__ double unit(uint32_t high, uint32_t low) {  // [0, 1), 53 bits
    return (double(high >> 5) * 67108864.0 + double(low >> 6)) * (1.0 / 9007199254740992.0);
}

__global__ void __launch_bounds__(256, 1) random_words(uint32_t* __restrict__ out, int64_t n, int64_t seed,
                                                       int64_t offset, const int64_t* __restrict__ advance) {
    const uint64_t start = start_of(offset, advance);
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; k * 4 < n; k += step) {
        const Words w = philox(start + uint64_t(k), uint64_t(seed));
        if (k * 4 + 4 <= n && aligned(out)) {
            reinterpret_cast<uint4*>(out)[k] = make_uint4(w.at[0], w.at[1], w.at[2], w.at[3]);
        } else {
            UNROLL_ALL
            for (int j = 0; j < 4; j++)
                if (k * 4 + j < n) out[k * 4 + j] = w.at[j];
        }
    }
}

// Uniform in [0, 1) with as many random bits as T has digits: from the high bits of one word, or 53 of two.
template <class T>
__global__ void __launch_bounds__(256, 1)
    random_uniform(T* __restrict__ out, int64_t n, int64_t seed, int64_t offset,
                   const int64_t* __restrict__ advance) {
    const int count = sizeof(T) == 8 ? 2 : 4, digits = Digits<T>::count;
    const uint64_t start = start_of(offset, advance);
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; k * count < n; k += step) {
        const Words w = philox(start + uint64_t(k), uint64_t(seed));
        Pack<T, count> y;
        UNROLL_ALL
        for (int j = 0; j < count; j++) {
            if constexpr (sizeof(T) == 8)
                y.at[j] = unit(w.at[2 * j], w.at[2 * j + 1]);
            else
                y.at[j] = narrow<T>(float(w.at[j] >> (32 - digits)) * (1.0f / float(1 << digits)));
        }
        if (k * count + count <= n && aligned(out)) {
            reinterpret_cast<Pack<T, count>*>(out)[k] = y;
        } else {
            UNROLL_ALL
            for (int j = 0; j < count; j++)
                if (k * count + j < n) out[k * count + j] = y.at[j];
        }
    }
}

// Normal, by Box and Muller's transform in double: with `half` pairs, element i < half takes the cosine of
// pair i, element half + i its sine. Bits differ from the CPU's where the two libraries' log1p, sin and cos
// do.
template <class T>
__global__ void __launch_bounds__(256, 1)
    random_normal(T* __restrict__ out, int64_t n, int64_t half, double mean, double std, int64_t seed,
                  int64_t offset, const int64_t* __restrict__ advance) {
    typedef typename Compute<T>::type A;
    const uint64_t start = start_of(offset, advance);
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < half; i += step) {
        const Words u = philox(start + uint64_t(i / 2), uint64_t(seed)),
                    v = philox(start + uint64_t((half + i) / 2), uint64_t(seed));
        const bool odd_u = i % 2, odd_v = (half + i) % 2;
        const double radius = sqrt(-2.0 * log1p(-unit(odd_u ? u.at[2] : u.at[0], odd_u ? u.at[3] : u.at[1])));
        const double turn = 2 * unit(odd_v ? v.at[2] : v.at[0], odd_v ? v.at[3] : v.at[1]);
        out[i] = narrow<T>(A(radius * cospi(turn) * std + mean));
        if (half + i < n) out[half + i] = narrow<T>(A(radius * sinpi(turn) * std + mean));
    }
}

// out = x * scale where the element's word is at least `threshold`, else 0; x null: the mask itself.
template <class T>
__global__ void __launch_bounds__(256, 1)
    dropout(const T* __restrict__ x, T* __restrict__ out, int64_t n, int64_t threshold, double factor,
            int64_t seed, int64_t offset, const int64_t* __restrict__ advance) {
    typedef typename Compute<T>::type A;
    const int count = sizeof(T) == 2 ? 8 : 4;  // elements of a thread: whole Philox blocks, at least 16 bytes
    const A scale = widen(narrow<T>(A(factor)));
    const uint64_t start = start_of(offset, advance);
    const int64_t step = int64_t(gridDim.x) * blockDim.x;
    const bool wide = aligned(out) && (!x || aligned(x));
    for (int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; k * count < n; k += step) {
        typedef typename Wide<T>::type W;
        const bool whole = wide && k * count + count <= n;
        T in[count];
        if (x && whole) {
            UNROLL_ALL
            for (int j = 0; j < count; j += W::count) {
                const W v = reinterpret_cast<const W*>(x + k * count)[j / W::count];
                for (int m = 0; m < W::count; m++) in[j + m] = v.at[m];
            }
        } else {
            UNROLL_ALL
            for (int j = 0; j < count; j++)
                in[j] = x && k * count + j < n ? x[k * count + j] : narrow<T>(A(1));
        }
        T y[count];
        UNROLL_ALL
        for (int b = 0; b < count / 4; b++) {
            const Words w = philox(start + uint64_t(k * (count / 4) + b), uint64_t(seed));
            UNROLL_ALL
            for (int j = 0; j < 4; j++) {
                const A keep = int64_t(w.at[j]) >= threshold ? scale : A(0);
                y[4 * b + j] = narrow<T>(widen(in[4 * b + j]) * keep);
            }
        }
        if (whole) {
            UNROLL_ALL
            for (int j = 0; j < count; j += W::count) {
                W v;
                for (int m = 0; m < W::count; m++) v.at[m] = y[j + m];
                reinterpret_cast<W*>(out + k * count)[j / W::count] = v;
            }
        } else {
            UNROLL_ALL
            for (int j = 0; j < count; j++)
                if (k * count + j < n) out[k * count + j] = y[j];
        }
    }
}
