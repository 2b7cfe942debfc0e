// exp and log in plain arithmetic, so that the compiler vectorises the loops that use them.
//
// Limit: about 20 instructions per vector for float32: 3.7e9 exp/s with AVX2, 7.9e9 with AVX-512 on one core
// (libm: 0.5e9). Idea: Cody-Waite reduction by multiples of ln 2, then a minimax polynomial (Remez, computed
// with 50 digits). No branch, no table, no conversion float -> int (its result is undefined for NaN): the
// rounded multiple is read from the low bits of x * log2(e) + 1.5 * 2^mantissa.
//
// Everything is local to one instruction-set level (see isa.h).
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

namespace tflbp {
namespace TFLBP_ISA {
namespace {

inline uint32_t bits(float x) {
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}
inline uint64_t bits(double x) {
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}
inline float from_bits(uint32_t b) {
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}
inline double from_bits(uint64_t b) {
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

inline float root(float x) { return sqrtf(x); }
inline double root(double x) { return sqrt(x); }
inline float absolute(float x) { return fabsf(x); }
inline double absolute(double x) { return fabs(x); }
inline float with_sign(float x, float of) { return copysignf(x, of); }
inline double with_sign(double x, double of) { return copysign(x, of); }
template <class T>
inline T larger(T a, T b) {
    return a > b ? a : b;
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Elements of a group of running values: 128 bytes, four vectors with AVX2. One vector alone would wait for
// each addition (measured: a quarter of the speed); the compiler keeps such an array in registers.
template <class T>
constexpr int64_t kGroup = 128 / (int64_t)sizeof(T);

// sum of term(i) for i in [0, n), in an order that depends on n alone.
template <class T, class F>
inline T group_sum(int64_t n, const F& term) {
    T side[kGroup<T>], total = 0;
    int64_t i = 0;
    for (int64_t j = 0; j < kGroup<T>; ++j) side[j] = 0;
    for (; i + kGroup<T> <= n; i += kGroup<T>)
        for (int64_t j = 0; j < kGroup<T>; ++j) side[j] += term(i + j);
    for (int64_t half = kGroup<T> / 2; half >= 1; half /= 2)
        for (int64_t j = 0; j < half; ++j) side[j] += side[j + half];
    for (; i < n; ++i) total += term(i);
    return total + side[0];
}

// The parts of exp(x) = (rest + 1) scale, scale = 2^n.
template <class T>
struct ExpParts {
    T rest, scale;
};
inline ExpParts<float> exp_parts(float x) {
    const float shift = 12582912.f;  // 1.5 * 2^23
    const float z = x * 1.44269504f + shift, n = z - shift;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, n * first is exact
    float p = 1.3819048052e-3f;                                   // (exp(r) - 1 - r) / r^2 to 3e-9
    p = p * r + 8.3685775905e-3f;
    p = p * r + 4.1668294728e-2f;
    p = p * r + 0.16666522128f;
    p = p * r + 0.4999999392f;
    return {p * r * r + r, from_bits((bits(z) << 23) + 0x3f800000u)};
}
inline ExpParts<double> exp_parts(double x) {
    const double shift = 6755399441055744.0;  // 1.5 * 2^52
    const double z = x * 1.4426950408889634074 + shift, n = z - shift;
    const double r = (x - n * 0.6931471803691238) - n * 1.9082149292705878161e-10;
    double p = 2.5001494782081774988e-8;  // the same to 4e-18
    p = p * r + 2.762959122189405882e-7;
    p = p * r + 2.7557579013764488825e-6;
    p = p * r + 2.4801495107448779335e-5;
    p = p * r + 1.9841269519010832651e-4;
    p = p * r + 1.3888888941482674343e-3;
    p = p * r + 8.3333333334860469317e-3;
    p = p * r + 4.1666666666539427762e-2;
    p = p * r + 0.16666666666666431795;
    p = p * r + 0.50000000000000093267;
    return {p * r * r + r, from_bits((bits(z) << 52) + 0x3ff0000000000000u)};
}

// exp(x) for x <= 0 (right up to 88 and 709), within 1 ulp; 0 where the result would be subnormal; NaN for
// NaN.
inline float exp_neg(float x) {
    const ExpParts<float> e = exp_parts(x);
    return x < -87.33654f ? 0.f : (e.rest + 1.f) * e.scale;
}
inline double exp_neg(double x) {
    const ExpParts<double> e = exp_parts(x);
    return x < -708.3964185322641 ? 0.0 : (e.rest + 1.0) * e.scale;
}

// 1 / (1 + exp(-x)), from exp of a negative number alone; 1 - it as well, which has its own digits.
template <class T>
struct Sigmoid {
    T value, rest;
    explicit Sigmoid(T x) {
        const T e = exp_neg(-absolute(x)), near = T(1) / (T(1) + e), far = e * near;
        value = x > 0 ? near : far;
        rest = x > 0 ? far : near;
    }
};

// tanh(|x|) = -m / (m + 2), m = exp(-2 |x|) - 1 without cancellation, within 3 ulp; 1 from 20 on.
template <class T>
inline T tanh_of(T x) {
    const T u = absolute(x), v = u < T(20) || u != u ? u : T(20);
    const ExpParts<T> e = exp_parts(T(-2) * v);
    const T m = e.rest * e.scale + (e.scale - T(1));
    return with_sign(absolute(m) / (m + T(2)), x);
}

// log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1]: 2 atanh(f / (2 + f)), in the form of fdlibm's e_log.c.
inline float log1p_core(float f) {
    const float s = f / (2.f + f), z = s * s, half = 0.5f * f * f;
    const float rest = z * (0.66666774431f + z * (0.39977718212f + z * 0.29868022008f));
    return f - (half - s * (half + rest));
}
inline double log1p_core(double f) {
    const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double p = 0.14789513124828643137;
    p = p * z + 0.15314758885262129897;
    p = p * z + 0.18183533512223533451;
    p = p * z + 0.22222199243112046499;
    p = p * z + 0.28571428734844540867;
    p = p * z + 0.39999999999455288718;
    p = p * z + 0.6666666666666726592;
    return f - (half - s * (half + z * p));
}

// log(1 + u) for u in [0, 1]; both cases of f are exact (u - 1 is, for u >= 0.41), so small u keep all their
// digits.
template <class T>
inline T log1p_unit(T u) {
    const bool upper = u > T(0.41421356237309503);
    const T f = upper ? T(0.5) * (u - T(1)) : u;
    return log1p_core(f) + (upper ? T(0.69314718055994531) : T(0));
}

// log(x) for normal x > 0; NaN for NaN and infinity.
inline float log_pos(float x) {
    const uint32_t shifted = bits(x) + (0x3f800000u - 0x3f3504f3u);  // mantissa cut at sqrt(1/2)
    const float k = from_bits(0x4b000000u | (shifted >> 23)) - (8388608.f + 127.f);
    const float f = from_bits((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.f;
    return k * 0.693359375f + (log1p_core(f) - k * 2.12194440e-4f) + (x - x);
}
inline double log_pos(double x) {
    const uint64_t shifted = bits(x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    const double k = from_bits(0x4330000000000000u | (shifted >> 52)) - (4503599627370496.0 + 1023.0);
    const double f = from_bits((shifted & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
    return k * 0.6931471803691238 + (log1p_core(f) + k * 1.9082149292705878161e-10) + (x - x);
}

// a[0] + a[1] x + ... in the order top first, unrolled.
template <class T, int N>
inline T horner(const T (&a)[N], T x) {
    T p = a[0];
    for (int i = 1; i < N; ++i) p = p * x + a[i];
    return p;
}

// 1 - Phi(u) for u >= 0, e = exp(-u^2 / 2): e t P(2 t - 1), t = 1 / (1 + u / 4), P the Chebyshev expansion of
// the rest (50 digits), to 4e-8 and 1e-16 of itself.
inline float normal_tail(float u, float e) {
    const float a[] = {3.93301424e-5f, 3.233142034e-5f, -0.0003909467247f, -0.0008690419737f, 0.001878057845f,
                       0.01509882397f, 0.04663167772f,  0.09678439073f,    0.151974101f,      0.1888212818f};
    const float t = 1.f / (1.f + 0.25f * u);
    return e * (t * horner(a, t + t - 1.f));
}
inline double normal_tail(double u, double e) {
    const double a[] = {
        -4.22164424169668373e-10, 3.19308785823943002e-10, 4.01684673933235045e-9,   -4.89240223499351214e-9,
        -1.96959008567340945e-8,  4.05579080213391765e-8,  6.61834320494966956e-8,   -2.56746017535798237e-7,
        -1.56238776939129447e-7,  1.48072344438548203e-6,  1.78650538281686543e-7,   -8.7864005897611287e-6,
        -4.76919007679774537e-7,  0.000057773784446822334, 0.0000333360522900369482, -0.000407704621368396431,
        -0.000869923089162875655, 0.00188504724222290475,  0.0150991437225902296,    0.0466304644898946789,
        0.0967843501855566505,    0.151974160492973239,    0.188821282603937863};
    const double t = 1.0 / (1.0 + 0.25 * u);
    return e * (t * horner(a, t + t - 1.0));
}

// erf(sqrt(z)) / sqrt(z) for z in [0, 1], to 4e-11 and 1e-19.
inline float erf_core(float z) {
    const float a[] = {-9.673590812e-6f, 0.0001126825389f, -0.0008484396551f, 0.005221053413f,
                       -0.02686543831f,  0.1128378262f,    -0.3761263848f,    1.128379167f};
    return horner(a, z);
}
inline double erf_core(double z) {
    const double a[] = {5.95893074313494122e-11, -1.13739022964309116e-9, 1.46600519983948477e-8,
                        -1.63503544619596556e-7, 1.64610044809620347e-6,  -0.0000149255955195060435,
                        0.000120553311222992653, -0.0008548326981129666,  0.00522397762482322257,
                        -0.0268661706450773342,  0.112837916709548816,    -0.376126389031837481,
                        1.12837916709551257};
    return horner(a, z);
}

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
