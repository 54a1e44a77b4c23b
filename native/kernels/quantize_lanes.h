// What quantising is written in: f64 vectors whose eight lanes are eight groups of values. Every lane adds in
// the order of the plain definition (src/quant/), so results are the same bit for bit, on every processor.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "layout.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define INGOT_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define INGOT_CLONES
#endif
#define INGOT_ALWAYS static inline __attribute__((always_inline))

namespace ingot::quantizing {

constexpr int kLanes = 8;
typedef double vd __attribute__((vector_size(8 * kLanes)));
typedef int64_t vm __attribute__((vector_size(8 * kLanes)));  // of comparisons
typedef uint8_t vc __attribute__((vector_size(kLanes)));

constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr double kTiniest = 1e-30;  // below this a group is zero: its scale would not be a number any more

INGOT_ALWAYS vd all(double x) { return x - vd{}; }
INGOT_ALWAYS vd magnitude(vd x) { return x < 0 ? -x : x; }
INGOT_ALWAYS vd lower(vd a, vd b) { return b < a ? b : a; }
INGOT_ALWAYS vd higher(vd a, vd b) { return b > a ? b : a; }
// The whole number next to v, ties to even, within [low, high].
INGOT_ALWAYS vd code_near(vd v, double low, double high) {
  const vd inside = lower(all(high), higher(all(low), v));
  return (inside + 0x1.8p52) - 0x1.8p52;
}
INGOT_ALWAYS vd one_over(vd x) { return x == 0 ? vd{} : 1.0 / x; }
INGOT_ALWAYS vc bytes_of(vd x) { return __builtin_convertvector(__builtin_convertvector(x, vm), vc); }

// The workers take subnormal numbers for zeros; while this lives, they are what they are.
class Subnormals {
 public:
#if defined(__x86_64__)
  Subnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ & ~0x8040u); }
  ~Subnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  Subnormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" : : "r"(before_ & ~(uint64_t(1) << 24)) : "memory");
  }
  ~Subnormals() { __asm__ volatile("msr fpcr, %0" : : "r"(before_) : "memory"); }

 private:
  uint64_t before_;
#else
  Subnormals() {}
#endif
};

// The largest number of a type of scales.
constexpr double largest(int type) {
  return type == dF16 ? 65504 : type == dBF16 ? 0x1.FEp127 : 0x1.FFFFFEp127;
}

// Bits of the number of a type of scales next to a value, by way of the f32 next to it; too large ones become
// the largest. `near` receives what they are worth.
INGOT_ALWAYS uint32_t scale_near(int type, double value, double& near) {
  const double most = largest(type);
  const float f = float(value > most ? most : value < -most ? -most : value);
  uint32_t bits;
  memcpy(&bits, &f, 4);
  near = f;
  if (type == dF32) return bits;
  if (type == dBF16) {
    const uint32_t kept = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, word = kept << 16;
    float back;
    memcpy(&back, &word, 4);
    near = back;
    return kept;
  }
  const uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  uint32_t half;
  if (rest >= 0x38800000) {  // normal
    const uint32_t shifted = rest - 0x38000000;
    half = (shifted + 0xfff + (shifted >> 13 & 1)) >> 13;
    near = std::ldexp(double(1024 + (half & 1023)), int(half >> 10) - 25);
  } else {
    half = uint32_t(std::nearbyint(double(std::fabs(f)) * 0x1p24));
    near = half * 0x1p-24;
  }
  if (sign) near = -near;
  return sign | half;
}

}  // namespace ingot::quantizing
