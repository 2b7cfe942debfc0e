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

// exp(x) for x <= 0 (right up to 88 and 709), within 1 ulp; 0 where the result would be subnormal; NaN for
// NaN.
inline float exp_neg(float x) {
    const float shift = 12582912.f;  // 1.5 * 2^23
    const float z = x * 1.44269504f + shift, n = z - shift;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, n * first is exact
    float p = 1.3819048052e-3f;                                   // (exp(r) - 1 - r) / r^2 to 3e-9
    p = p * r + 8.3685775905e-3f;
    p = p * r + 4.1668294728e-2f;
    p = p * r + 0.16666522128f;
    p = p * r + 0.4999999392f;
    const float e = (p * r * r + r) + 1.f;
    const float scale = from_bits((bits(z) << 23) + 0x3f800000u);  // 2^n
    return x < -87.33654f ? 0.f : e * scale;
}
inline double exp_neg(double x) {
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
    const double e = (p * r * r + r) + 1.0;
    const double scale = from_bits((bits(z) << 52) + 0x3ff0000000000000u);
    return x < -708.3964185322641 ? 0.0 : e * scale;
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

}  // namespace
}  // namespace TFLBP_ISA
}  // namespace tflbp
