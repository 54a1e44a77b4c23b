// NEON with dotprod: 4 lanes. Dot products are of signed bytes, so 8-bit codes are made signed.
#pragma once
#include <arm_neon.h>

namespace ingot::INGOT_NS {

constexpr int kW = 4;
constexpr bool kSignedCodes = true;
constexpr int kFewRows = 4;
constexpr int tile_rows(int) { return 4; }
constexpr int kTileParts = 2;
constexpr int kFloatRows = 8;

typedef float vf __attribute__((vector_size(16)));
typedef int vi __attribute__((vector_size(16)));
using vb = uint8x16_t;

#define INGOT_V inline __attribute__((always_inline))
INGOT_V vf load(const float* p) { return (vf)vld1q_f32(p); }
INGOT_V void store(float* p, vf x) { vst1q_f32(p, (float32x4_t)x); }
INGOT_V vf to_float(vi x) { return (vf)vcvtq_f32_s32((int32x4_t)x); }
INGOT_V vi to_int_nearest(vf x) { return (vi)vcvtnq_s32_f32((float32x4_t)x); }
INGOT_V vf vabs(vf x) { return (vf)vabsq_f32((float32x4_t)x); }
INGOT_V vf load_f16(const uint16_t* p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
INGOT_V vf load_bf16(const uint16_t* p) { return (vf)vshll_n_u16(vld1_u16(p), 16); }
INGOT_V vf load_u8(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return (vf)vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(w)))));
}
INGOT_V vf load_i8(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return (vf)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(w)))));
}
INGOT_V vi load_i(const void* p) { return (vi)vld1q_s32(static_cast<const int32_t*>(p)); }
INGOT_V void store_i8(int8_t* p, vi x) {
  const int16x4_t h = vmovn_s32((int32x4_t)x);
  const int8x8_t b = vmovn_s16(vcombine_s16(h, h));
  vst1_lane_s32(reinterpret_cast<int32_t*>(p), vreinterpret_s32_s8(b), 0);
}
INGOT_V float sum_lanes(vf x) { return vaddvq_f32((float32x4_t)x); }
INGOT_V float max_lanes(vf x) { return vmaxvq_f32((float32x4_t)x); }
INGOT_V int sum_lanes_i(vi x) { return vaddvq_s32((int32x4_t)x); }

INGOT_V vb load_codes(const uint8_t* p) { return vld1q_u8(p); }
INGOT_V void store_codes(uint8_t* p, vb x) { vst1q_u8(p, x); }
INGOT_V vb low_nibbles(vb x) { return vandq_u8(x, vdupq_n_u8(15)); }
INGOT_V vb high_nibbles(vb x) { return vshrq_n_u8(x, 4); }
INGOT_V vb bias_codes(vb x) { return veorq_u8(x, vdupq_n_u8(0x80)); }
template <int To>
INGOT_V vb join_bits(vb low, vb high, int shift, int mask) {
  const vb h = vshlq_u8(high, vdupq_n_s8(int8_t(To - shift)));  // to the right where negative
  return vorrq_u8(low, vandq_u8(h, vdupq_n_u8(uint8_t(mask))));
}
INGOT_V vb look_up_codes(vb x, const uint8_t* table) { return vqtbl1q_u8(vld1q_u8(table), x); }

// e4m3 numbers 2^-8 times, the four bytes of each lane one by one: as half floats, whose exponent has a bit
// more and whose conversion keeps subnormals. No byte is NaN (holds_nan).
constexpr bool kE4m3AsHalves = true;
INGOT_V void e4m3_columns(vb x, vf (&columns)[4]) {
  const auto halves = [](int16x8_t words, vf& first, vf& second) __attribute__((always_inline)) {
    // Kept: sign, 0, 7 bits.
    const uint32x4_t x = vreinterpretq_u32_s16(vandq_s16(words, vdupq_n_s16(int16_t(0xBF80))));
    first = (vf)vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(x)));
    second = (vf)vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(x, 16)));
  };
  const int16x8_t words = vreinterpretq_s16_u8(x);
  halves(vshrq_n_s16(vshlq_n_s16(words, 8), 1), columns[0], columns[2]);
  halves(vshrq_n_s16(words, 1), columns[1], columns[3]);
}
INGOT_V bool holds_nan(const vb (&c)[8]) {
  uint8x16_t top = vandq_u8(c[0], vdupq_n_u8(127));
  for (int i = 1; i < 8; i++) top = vmaxq_u8(top, vandq_u8(c[i], vdupq_n_u8(127)));
  return vmaxvq_u8(top) == 127;
}

template <int Bits>
INGOT_V vi dot_begin(vi start) { return start; }
template <int Bits>
INGOT_V vi dot_step(vi d, vb codes, const int8_t* a) {
  const int8x16_t x = vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(a)));
  return (vi)vdotq_s32((int32x4_t)d, vreinterpretq_s8_u8(codes), x);
}
template <int Bits>
INGOT_V vi dot_step_once(vi d, vb codes, const int8_t* a) { return dot_step<Bits>(d, codes, a); }
template <int Bits>
INGOT_V vi dot_end(vi d, vi) { return d; }

constexpr bool kLooksUpNibbles = false;
INGOT_V vf nibble_table(float) { return vf{}; }
INGOT_V vf look_up_nibble(vi, int, vf table) { return table; }

INGOT_V void store_lanes(float* p, vf x, int n) {
  if (n >= 4) return store(p, x);
  for (int i = 0; i < n; i++) p[i] = x[i];
}
INGOT_V vf load_lanes(const float* p, int n) {
  if (n >= 4) return load(p);
  vf x{};
  for (int i = 0; i < n; i++) x[i] = p[i];
  return x;
}
#undef INGOT_V

}  // namespace ingot::INGOT_NS
