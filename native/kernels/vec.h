// One SIMD vector type per instruction-set level: kW f32 lanes, with loads, stores, conversions and
// reductions. Everything lives in the level's namespace, since every level compiles this header with its own
// flags.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernel.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns about its own intrinsics headers.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__) || \
    INGOT_AMX_EMULATE  // tiles want 16 lanes; without AVX-512 the compiler makes them of two
#define INGOT_LANES 16
#elif defined(__AVX__)
#define INGOT_LANES 8
#else
#define INGOT_LANES 4
#endif
#define INGOT_INLINE inline __attribute__((always_inline))

namespace ingot::INGOT_NS {

constexpr int kW = INGOT_LANES;

typedef float vf __attribute__((vector_size(4 * INGOT_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * INGOT_LANES)));  // also the mask type: 0 or -1 per lane
typedef uint32_t vu __attribute__((vector_size(4 * INGOT_LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * INGOT_LANES)));
typedef double vd __attribute__((vector_size(4 * INGOT_LANES)));      // kW / 2 lanes
typedef float vf_half __attribute__((vector_size(2 * INGOT_LANES)));  // kW / 2 lanes
typedef int32_t vi_half __attribute__((vector_size(2 * INGOT_LANES)));

INGOT_INLINE vf set1(float x) { return x - vf{}; }
INGOT_INLINE vi set1i(int32_t x) { return x - vi{}; }
INGOT_INLINE vf load(const float* p) {
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
INGOT_INLINE vi loadi(const void* p) {
  vi v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
INGOT_INLINE vu loadu(const void* p) {
  vu v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
INGOT_INLINE void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
template <class V> INGOT_INLINE void storeb(void* p, V v) { std::memcpy(p, &v, sizeof v); }

INGOT_INLINE vi as_i(vf v) { return (vi)v; }
INGOT_INLINE vf as_f(vi v) { return (vf)v; }
INGOT_INLINE vf to_f(vi v) { return __builtin_convertvector(v, vf); }
// Truncates; lanes outside the int range are unspecified.
INGOT_INLINE vi to_i(vf v) { return __builtin_convertvector(v, vi); }
INGOT_INLINE vf pick(vi mask, vf a, vf b) { return mask ? a : b; }

// a b + c, rounded once where the level can. Where equal bits are promised, plain operators will not do:
// which of them a compiler fuses may differ from one inlined copy to the next.
INGOT_INLINE vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif INGOT_LANES == 8 && defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

INGOT_INLINE vi iota() {
  vi v;
  for (int i = 0; i < kW; i++) v[i] = i;
  return v;
}
// Lanes 0 ... n-1.
INGOT_INLINE vi first_lanes(int n) { return iota() < set1i(n); }

// a or b when either is NaN is unspecified: use on data known to be ordered.
INGOT_INLINE vf vmax(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif INGOT_LANES == 8
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif INGOT_LANES == 4 && defined(__x86_64__)
  return (vf)_mm_max_ps((__m128)a, (__m128)b);
#elif defined(__aarch64__)
  return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#else
  return a > b ? a : b;
#endif
}
INGOT_INLINE vf vmin(vf a, vf b) { return -vmax(-a, -b); }
INGOT_INLINE vf vabs(vf a) { return as_f(as_i(a) & set1i(0x7fffffff)); }
INGOT_INLINE vf vsqrt(vf a) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)a);
#elif INGOT_LANES == 8
  return (vf)_mm256_sqrt_ps((__m256)a);
#elif INGOT_LANES == 4 && defined(__x86_64__)
  return (vf)_mm_sqrt_ps((__m128)a);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)a);
#else
  for (int i = 0; i < kW; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}

INGOT_INLINE float hsum(vf v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float s = 0;
#if INGOT_LANES == 16
  for (int i = 0; i < kW; i++) s += v[i];
#elif INGOT_LANES == 8
  s = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
#else
  s = (v[0] + v[2]) + (v[1] + v[3]);
#endif
  return s;
#endif
}
INGOT_INLINE float hmax(vf v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float m = v[0];
  for (int i = 1; i < kW; i++) m = v[i] > m ? v[i] : m;
  return m;
#endif
}
INGOT_INLINE bool any(vi mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif INGOT_LANES == 8
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif INGOT_LANES == 4 && defined(__x86_64__)
  return _mm_movemask_ps((__m128)mask) != 0;
#elif defined(__aarch64__)
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#else
  int32_t r = 0;
  for (int i = 0; i < kW; i++) r |= mask[i];
  return r != 0;
#endif
}

// Loads n < kW values, 0 in the other lanes.
INGOT_INLINE vf load_n(const float* p, int n) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
#else
  vf v{};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}
INGOT_INLINE void store_n(float* p, vf v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v);
#else
  for (int i = 0; i < n; i++) p[i] = v[i];
#endif
}

// n <= kW values.
INGOT_INLINE vf load_some(const float* p, int n) { return n == kW ? load(p) : load_n(p, n); }
INGOT_INLINE void store_some(float* p, vf v, int n) {
  if (n == kW) store(p, v);
  else store_n(p, v, n);
}

INGOT_INLINE vh load_h(const uint16_t* p) {
  vh v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
INGOT_INLINE vf f16_to_f32(vh h) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps((__m256i)h);
#elif INGOT_LANES == 8 && defined(__F16C__)
  return (vf)_mm256_cvtph_ps((__m128i)h);
#elif defined(__aarch64__)
  return (vf)vcvt_f32_f16((float16x4_t)h);
#else
  const vi w = __builtin_convertvector(h, vi);
  const vi magnitude = (w & 0x7fff) << 13;
  const vi special = magnitude >= set1i(0x7c00 << 13);
  const vi scaled = as_i(as_f(magnitude) * 0x1p112f);  // rebias; exact for subnormals too
  return as_f((special ? magnitude | 0x7f800000 : scaled) | ((w & 0x8000) << 16));
#endif
}
// Rounds to nearest even; NaN stays NaN.
INGOT_INLINE vh f32_to_f16(vf f) {
#if defined(__AVX512F__)
  return (vh)_mm512_cvtps_ph((__m512)f, _MM_FROUND_TO_NEAREST_INT);
#elif INGOT_LANES == 8 && defined(__F16C__)
  return (vh)_mm256_cvtps_ph((__m256)f, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__aarch64__)
  return (vh)vcvt_f16_f32((float32x4_t)f);
#else
  const vi bits = as_i(f), magnitude = bits & 0x7fffffff;
  const vi normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - (112 << 23)) >> 13;
  const vi small = as_i(as_f(magnitude) + 0.5f) - 0x3f000000;  // the adder rounds at the subnormal step 2^-24
  vi r = magnitude < set1i(113 << 23) ? small : normal;
  r = magnitude >= set1i(0x47800000) ? set1i(0x7c00) : r;
  r = magnitude > set1i(0x7f800000) ? set1i(0x7e00) : r;
  return __builtin_convertvector(r | ((bits >> 16) & 0x8000), vh);
#endif
}
INGOT_INLINE vf load_f16(const uint16_t* p) { return f16_to_f32(load_h(p)); }
INGOT_INLINE vf load_f16_n(const uint16_t* p, int n) {
  vh v{};
  std::memcpy(&v, p, size_t(n) * 2);
  return f16_to_f32(v);
}
INGOT_INLINE void store_f16(uint16_t* p, vf v) { storeb(p, f32_to_f16(v)); }
INGOT_INLINE void store_f16_n(uint16_t* p, vf v, int n) {
  const vh h = f32_to_f16(v);
  std::memcpy(p, &h, size_t(n) * 2);
}
INGOT_INLINE vf bf16_to_f32(vh h) { return as_f(__builtin_convertvector(h, vi) << 16); }
INGOT_INLINE vh f32_to_bf16(vf f) {
  const vu bits = (vu)f;
  vu r = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  r = (vi)(f != f) ? (bits >> 16) | 0x40 : r;
  return __builtin_convertvector(r, vh);
}

// Lane i of the result is lane F::at(i) of a followed by b.
template <class F, int... I> INGOT_INLINE vf shuffle(vf a, vf b, std::integer_sequence<int, I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, F::at(I)...);
#else
  return __builtin_shuffle(a, b, vi{F::at(I)...});
#endif
}
template <class F>
INGOT_INLINE vf shuffle(vf a, vf b) {
  return shuffle<F>(a, b, std::make_integer_sequence<int, kW>{});
}
// Lanes with bit S set come from b, the others from a; `FlipA` and `FlipB`: from the lane at the other side
// of bit S.
template <int S, bool FlipA, bool FlipB> struct Zip {
  static constexpr int at(int i) { return i & S ? kW + (FlipB ? i ^ S : i) : (FlipA ? i ^ S : i); }
};

// Lane i of the result is the sum over the lanes of v[i].
template <int S = 1> INGOT_INLINE vf sum_each(vf* v) {
  for (int i = 0; i < kW / S; i += 2)
    v[i / 2] = shuffle<Zip<S, false, false>>(v[i], v[i + 1]) + shuffle<Zip<S, true, true>>(v[i], v[i + 1]);
  if constexpr (2 * S < kW) return sum_each<2 * S>(v);
  return v[0];
}
// Transposes the kW x kW matrix whose rows are v[0 ... kW-1].
template <int S = 1> INGOT_INLINE void transpose(vf* v) {
  for (int i = 0; i < kW; i++) {
    if (i & S) continue;
    const vf a = v[i], b = v[i + S];
    v[i] = shuffle<Zip<S, false, true>>(a, b);
    v[i + S] = shuffle<Zip<S, true, false>>(a, b);
  }
  if constexpr (2 * S < kW) transpose<2 * S>(v);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace ingot::INGOT_NS
