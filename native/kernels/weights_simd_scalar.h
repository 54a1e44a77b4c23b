// No SIMD assumed: compiler vectors, which any compiler turns into what the target has. 4 lanes, or as many
// as INGOT_SCALAR_LANES says.
#pragma once

#ifndef INGOT_SCALAR_LANES
#define INGOT_SCALAR_LANES 4
#endif

namespace ingot::INGOT_NS {

constexpr int kW = INGOT_SCALAR_LANES;
constexpr bool kSignedCodes = false;
constexpr int kFewRows = 2;
constexpr int tile_rows(int) { return 2; }
constexpr int kTileParts = 1;
constexpr int kFloatRows = 4;

typedef float vf __attribute__((vector_size(4 * INGOT_SCALAR_LANES)));
typedef int vi __attribute__((vector_size(4 * INGOT_SCALAR_LANES)));
typedef uint8_t vb __attribute__((vector_size(4 * INGOT_SCALAR_LANES)));
typedef int8_t vs __attribute__((vector_size(4 * INGOT_SCALAR_LANES)));

inline float half_to_float(uint16_t h);

#define INGOT_V inline __attribute__((always_inline))
INGOT_V vf load(const float* p) { vf x; memcpy(&x, p, sizeof x); return x; }
INGOT_V void store(float* p, vf x) { memcpy(p, &x, sizeof x); }
INGOT_V vf to_float(vi x) { return __builtin_convertvector(x, vf); }
// The compiler may not look through this: `v` is rounded to f32 here and what follows starts from it.
INGOT_V void keep_rounded(vf& v) {
#if defined(__x86_64__) && INGOT_SCALAR_LANES == 4
  asm volatile("" : "+x"(v));
#elif defined(__aarch64__) && INGOT_SCALAR_LANES == 4
  asm volatile("" : "+w"(v));
#else
  asm volatile("" : "+m"(v));
#endif
}
INGOT_V vi to_int_nearest(vf x) {  // |x| < 2^22: adding 1.5 * 2^23 rounds to the nearest even
  const vf magic = vf{} + 12582912.0f;
  keep_rounded(
      x);  // else a product becomes a fused multiply-add with the magic number, which rounds ties another way
  vf y = x + magic;
  keep_rounded(y);  // else the two additions cancel
  return __builtin_convertvector(y - magic, vi);
}
INGOT_V vf vabs(vf x) { return x < 0 ? -x : x; }
// Lane i is f(i).
template <class V, class F>
INGOT_V V each_lane(F&& f) {
  V x;
  for (int i = 0; i < kW; i++) x[i] = f(i);
  return x;
}
INGOT_V vf load_f16(const uint16_t* p) { return each_lane<vf>([p](int i) { return half_to_float(p[i]); }); }
INGOT_V vf load_bf16(const uint16_t* p) {
  return (vf)each_lane<vi>([p](int i) { return int(uint32_t(p[i]) << 16); });
}
INGOT_V vf load_u8(const uint8_t* p) { return each_lane<vf>([p](int i) { return float(p[i]); }); }
INGOT_V vf load_i8(const uint8_t* p) { return each_lane<vf>([p](int i) { return float(int8_t(p[i])); }); }
INGOT_V vi load_i(const void* p) { vi x; memcpy(&x, p, sizeof x); return x; }
INGOT_V void store_i8(int8_t* p, vi x) { for (int i = 0; i < kW; i++) p[i] = int8_t(x[i]); }
INGOT_V float sum_lanes(vf x) {
  float s = 0;
  for (int i = 0; i < kW; i += 4) s += (x[i] + x[i + 1]) + (x[i + 2] + x[i + 3]);
  return s;
}
INGOT_V float max_lanes(vf x) {
  float m = x[0];
  for (int i = 1; i < kW; i++) m = x[i] > m ? x[i] : m;
  return m;
}
INGOT_V int sum_lanes_i(vi x) {
  int s = 0;
  for (int i = 0; i < kW; i++) s += x[i];
  return s;
}

INGOT_V vb load_codes(const uint8_t* p) { vb x; memcpy(&x, p, sizeof x); return x; }
INGOT_V void store_codes(uint8_t* p, vb x) { memcpy(p, &x, sizeof x); }
INGOT_V vb low_nibbles(vb x) { return x & 15; }
INGOT_V vb high_nibbles(vb x) { return x >> 4; }
INGOT_V vb bias_codes(vb x) { return x; }
template <int To>
INGOT_V vb join_bits(vb low, vb high, int shift, int mask) {
  return low | (((high >> shift) << To) & uint8_t(mask));
}
INGOT_V vb look_up_codes(vb x, const uint8_t* table) {
  vb y;
  for (int i = 0; i < 4 * kW; i++) y[i] = table[x[i]];
  return y;
}
template <int Bits>
INGOT_V vi dot_begin(vi start) { return start; }
template <int Bits>
INGOT_V vi dot_step(vi d, vb codes, const int8_t* a) {
  const vi w = (vi)codes;
  return d + (w & 255) * int(a[0]) + ((w >> 8) & 255) * int(a[1]) + ((w >> 16) & 255) * int(a[2]) +
         ((w >> 24) & 255) * int(a[3]);
}
template <int Bits>
INGOT_V vi dot_step_once(vi d, vb codes, const int8_t* a) { return dot_step<Bits>(d, codes, a); }
template <int Bits>
INGOT_V vi dot_end(vi d, vi) { return d; }

constexpr bool kLooksUpNibbles = false;
INGOT_V vf nibble_table(float) { return vf{}; }
INGOT_V vf look_up_nibble(vi, int, vf table) { return table; }

constexpr bool kE4m3AsHalves = false;
INGOT_V void e4m3_columns(vb, vf (&)[4]) {}
INGOT_V bool holds_nan(const vb (&)[8]) { return true; }

INGOT_V void store_lanes(float* p, vf x, int n) { for (int i = 0; i < kW && i < n; i++) p[i] = x[i]; }
INGOT_V vf load_lanes(const float* p, int n) {
  vf x{};
  for (int i = 0; i < kW && i < n; i++) x[i] = p[i];
  return x;
}
#undef INGOT_V

}  // namespace ingot::INGOT_NS
