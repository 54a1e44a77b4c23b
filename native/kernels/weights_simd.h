// The vector types of a level and the few operations that plain operators do not cover. `vf`, `vi`: kW lanes
// of f32, i32; `vb`: kW lanes of 4 codes, one per byte. A panel's 16 lanes are kParts vectors.
#pragma once
#include "weights_layout.h"

#if defined(__AVX512VNNI__)
#include "weights_simd_avx512.h"
#elif INGOT_AMX_EMULATE  // tiles want a panel in one vector
#define INGOT_SCALAR_LANES 16
#include "weights_simd_scalar.h"
#elif defined(__AVX2__)
#include "weights_simd_avx2.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "weights_simd_neon.h"
#else
#include "weights_simd_scalar.h"
#endif

#define INGOT_INLINE inline __attribute__((always_inline))

namespace ingot::INGOT_NS {

constexpr int kParts = kPanelRows / kW;

// Plain operators contract to fused multiply-add (-ffp-contract=fast) where the level has it.
INGOT_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }
#ifndef INGOT_SCALAR_LANES  // it has its own
// A product that is rounded to f32 before anything is added to it.
INGOT_INLINE void keep_rounded(vf& v) {
#if defined(__aarch64__)
  asm("" : "+w"(v));
#else
  asm("" : "+v"(v));
#endif
}
#endif
INGOT_INLINE vf set1(float x) { return x - vf{}; }  // x - 0 folds away, 0 + x does not (-0)
INGOT_INLINE vi set1i(int x) { return vi{} + x; }
INGOT_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
INGOT_INLINE vf as_float(vi x) { return reinterpret_cast<vf>(x); }
INGOT_INLINE vi as_int(vf x) { return reinterpret_cast<vi>(x); }

inline float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
  uint32_t bits;
  if (rest >= 0x7c00) bits = (rest << 13) | 0x7f800000u;
  else if (rest >= 0x0400) bits = (rest << 13) + 0x38000000u;
  else {  // subnormal: exact in f32
    const float f = float(rest) * 0x1p-24f;
    memcpy(&bits, &f, 4);
  }
  bits |= sign;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// Powers of two of which half is meant: 2^(byte - 128).
INGOT_INLINE vf load_e8m0(const uint8_t* p) {
  const vi e = to_int_nearest(load_u8(p)), normal = (e - 1) << 23, small = (e + 1) << 21;
  return as_float(normal > small ? normal : small);
}

// The e4m3 number in bits shift … shift + 7 of each lane. Exact.
INGOT_INLINE vf e4m3_to_float(vi word, int shift) {
  const vi byte = word >> shift, magnitude = byte & 127;
  const vi normal = (magnitude << 20) + (120 << 23);  // from a bias of 7 to one of 127
  const vi small = as_int(to_float(magnitude) * 0x1p-9f);
  const vi number = magnitude < 8 ? small : magnitude == 127 ? set1i(0x7FC00000) : normal;
  return as_float(number | ((byte & 128) << 24));
}
INGOT_INLINE vf load_e4m3(const uint8_t* p) { return e4m3_to_float(to_int_nearest(load_u8(p)), 0); }

// kW scales of type `type` (f32, f16, bf16 or 8 bits) at element `at`.
INGOT_INLINE vf load_scale(const uint8_t* p, int64_t at, int type) {
  if (type == dF16) return load_f16(reinterpret_cast<const uint16_t*>(p) + at);
  if (type == dBF16) return load_bf16(reinterpret_cast<const uint16_t*>(p) + at);
  if (type == dE8M0) return load_e8m0(p + at);
  if (type == dE4M3) return load_e4m3(p + at);
  return load(reinterpret_cast<const float*>(p) + at);
}

// 4-byte code lanes as i32, for shifting codes out one by one.
INGOT_INLINE vf code_to_float(vi packed, int shift, int mask) { return to_float((packed >> shift) & mask); }

}  // namespace ingot::INGOT_NS
