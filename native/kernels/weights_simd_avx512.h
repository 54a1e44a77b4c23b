// AVX-512 with VNNI: 16 lanes, unsigned codes times signed activations in one instruction.
#pragma once
// GCC 12 warns about its own intrinsics headers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace ingot::INGOT_NS {

constexpr int kW = 16;
constexpr bool kSignedCodes = false;
constexpr int kFewRows = 8;                    // most rows of one streaming pass
constexpr int tile_rows(int) { return 6; }     // int8 tile: rows x kTileParts vectors, by the bits of a code
constexpr int kTileParts = 2;
constexpr int kFloatRows = 12;                 // f32 tile: 12 rows x 32 lanes

using vf = __m512;
typedef int vi __attribute__((vector_size(64)));
using vb = __m512i;

#define INGOT_V inline __attribute__((always_inline))
INGOT_V vf load(const float* p) { return _mm512_loadu_ps(p); }
INGOT_V void store(float* p, vf x) { _mm512_storeu_ps(p, x); }
INGOT_V vf to_float(vi x) { return _mm512_cvtepi32_ps((__m512i)x); }
INGOT_V vi to_int_nearest(vf x) { return (vi)_mm512_cvtps_epi32(x); }
INGOT_V vf vabs(vf x) { return _mm512_abs_ps(x); }
INGOT_V vf load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
INGOT_V vf load_bf16(const uint16_t* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
}
INGOT_V vf load_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
INGOT_V vf load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
INGOT_V vi load_i(const void* p) { return (vi)_mm512_loadu_si512(p); }
INGOT_V void store_i8(int8_t* p, vi x) { _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)x)); }
INGOT_V float sum_lanes(vf x) { return _mm512_reduce_add_ps(x); }
INGOT_V float max_lanes(vf x) { return _mm512_reduce_max_ps(x); }
INGOT_V int sum_lanes_i(vi x) { return _mm512_reduce_add_epi32((__m512i)x); }

INGOT_V vb load_codes(const uint8_t* p) { return _mm512_loadu_si512(p); }
INGOT_V void store_codes(uint8_t* p, vb x) { _mm512_storeu_si512(p, x); }
INGOT_V vb low_nibbles(vb x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
INGOT_V vb high_nibbles(vb x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15)); }
INGOT_V vb bias_codes(vb x) { return x; }
// low | (bits of `high` from bit `shift` on, as many as `mask` has from bit `to` on) << to
template <int To>
INGOT_V vb join_bits(vb low, vb high, int shift, int mask) {
  const vb h = shift < To   ? _mm512_slli_epi16(high, unsigned(To - shift))
               : shift > To ? _mm512_srli_epi16(high, unsigned(shift - To))
                            : high;
  return _mm512_ternarylogic_epi32(low, h, _mm512_set1_epi8(char(mask)), 0xF8);  // low | (h & mask)
}
INGOT_V vb look_up_codes(vb x, const uint8_t* table) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)table)), x);
}
// e4m3 numbers 2^-8 times, the four bytes of each lane one by one: as half floats, whose exponent has a bit
// more and whose conversion keeps subnormals. No byte is NaN (holds_nan).
constexpr bool kE4m3AsHalves = true;
INGOT_V void e4m3_columns(vb x, vf (&columns)[4]) {
  const __m512i kept = _mm512_set1_epi16(short(0xBF80));  // sign, 0, 7 bits
  const __m512i apart = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28,
                                         26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_permutexvar_epi16(apart, _mm512_and_si512(_mm512_srai_epi16(x, 1), kept));
  const __m512i even = _mm512_permutexvar_epi16(
      apart, _mm512_and_si512(_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 1), kept));
  columns[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(even));
  columns[1] = _mm512_cvtph_ps(_mm512_castsi512_si256(odd));
  columns[2] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(even, 1));
  columns[3] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(odd, 1));
}
INGOT_V bool holds_nan(const vb (&c)[8]) {
  const __m512i low = _mm512_set1_epi8(127);
  __m512i top = _mm512_and_si512(c[0], low);
  for (int i = 1; i < 8; i++) top = _mm512_max_epu8(top, _mm512_and_si512(c[i], low));
  return _mm512_cmpeq_epi8_mask(top, low) != 0;
}
// A dot product over a block: d = begin(start), step for each 4 columns, end. Codes have `Bits` bits; `a`
// points at the 4 activations that all lanes share.
template <int Bits>
INGOT_V vi dot_begin(vi start) { return start; }
// The instruction is written out because GCC 12 surrounds the intrinsic's accumulator with register copies.
template <int Bits>
INGOT_V vi dot_step(vi d, vb codes, const int8_t* a) {
  int word;
  memcpy(&word, a, 4);
  asm("vpdpbusd %2, %1, %0" : "+v"(d) : "v"(codes), "v"(_mm512_set1_epi32(word)));
  return d;
}
// The same where no other vector shares the activations: broadcast by the instruction itself.
template <int Bits>
INGOT_V vi dot_step_once(vi d, vb codes, const int8_t* a) {
  typedef int __attribute__((may_alias)) word;
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(d) : "v"(codes), "m"(*reinterpret_cast<const word*>(a)));
  return d;
}
template <int Bits>
INGOT_V vi dot_end(vi d, vi) { return d; }

// The 4-bit code at `shift` of each lane, looked up: the permute reads only the low four bits of an index.
constexpr bool kLooksUpNibbles = true;
INGOT_V vf nibble_table(float zero) {
  return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) - zero;
}
INGOT_V vf look_up_nibble(vi word, int shift, vf table) {
  return _mm512_permutexvar_ps(_mm512_srli_epi32((__m512i)word, unsigned(shift)), table);
}

// Stores the first n lanes.
INGOT_V void store_lanes(float* p, vf x, int n) {
  _mm512_mask_storeu_ps(p, n >= 16 ? 0xFFFF : (1u << n) - 1, x);
}
INGOT_V vf load_lanes(const float* p, int n) {
  return _mm512_maskz_loadu_ps(n >= 16 ? 0xFFFF : (1u << n) - 1, p);
}
#undef INGOT_V

}  // namespace ingot::INGOT_NS
