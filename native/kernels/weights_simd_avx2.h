// AVX2: 8 lanes. The multiply of unsigned by signed bytes saturates at 16 bits, so 8-bit codes are made
// signed and their sign moved to the activation (128 * 127 * 2 fits); sums of products of up to 4 bits stay
// in 16 bits for a whole block.
#pragma once
#include <immintrin.h>

namespace ingot::INGOT_NS {

constexpr int kW = 8;
constexpr bool kSignedCodes = true;
constexpr int kFewRows = 4;
constexpr int tile_rows(int bits) {
  return bits <= 4 ? 6 : 4;
}  // sums of wider codes take registers of their own
constexpr int kTileParts = 2;
constexpr int kFloatRows = 6;

using vf = __m256;
typedef int vi __attribute__((vector_size(32)));
using vb = __m256i;

#define INGOT_V inline __attribute__((always_inline))
INGOT_V vf load(const float* p) { return _mm256_loadu_ps(p); }
INGOT_V void store(float* p, vf x) { _mm256_storeu_ps(p, x); }
INGOT_V vf to_float(vi x) { return _mm256_cvtepi32_ps((__m256i)x); }
INGOT_V vi to_int_nearest(vf x) { return (vi)_mm256_cvtps_epi32(x); }
INGOT_V vf vabs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
INGOT_V vf load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
INGOT_V vf load_bf16(const uint16_t* p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
INGOT_V vf load_u8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
INGOT_V vf load_i8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
INGOT_V vi load_i(const void* p) { return (vi)_mm256_loadu_si256((const __m256i*)p); }
INGOT_V void store_i8(int8_t* p, vi x) {
  const __m128i w =
      _mm_packs_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  _mm_storel_epi64((__m128i*)p, _mm_packs_epi16(w, w));
}
INGOT_V float sum_lanes(vf x) {
  const __m128 h = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)),
               q = _mm_add_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
INGOT_V float max_lanes(vf x) {
  const __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)),
               q = _mm_max_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
INGOT_V int sum_lanes_i(vi x) {
  const __m128i h =
      _mm_add_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  const __m128i q = _mm_add_epi32(h, _mm_unpackhi_epi64(h, h));
  return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 1)));
}

INGOT_V vb load_codes(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
INGOT_V void store_codes(uint8_t* p, vb x) { _mm256_storeu_si256((__m256i*)p, x); }
INGOT_V vb low_nibbles(vb x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
INGOT_V vb high_nibbles(vb x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(15)); }
INGOT_V vb bias_codes(vb x) { return _mm256_xor_si256(x, _mm256_set1_epi8(char(0x80))); }
template <int To>
INGOT_V vb join_bits(vb low, vb high, int shift, int mask) {
  const vb h = shift < To   ? _mm256_slli_epi16(high, To - shift)
               : shift > To ? _mm256_srli_epi16(high, shift - To)
                            : high;
  return _mm256_or_si256(low, _mm256_and_si256(h, _mm256_set1_epi8(char(mask))));
}
INGOT_V vb look_up_codes(vb x, const uint8_t* table) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)table)), x);
}

// e4m3 numbers 2^-8 times, the four bytes of each lane one by one: as half floats, whose exponent has a bit
// more and whose conversion keeps subnormals. No byte is NaN (holds_nan).
constexpr bool kE4m3AsHalves = true;
INGOT_V void e4m3_columns(vb x, vf (&columns)[4]) {
  const __m256i kept = _mm256_set1_epi16(short(0xBF80));  // sign, 0, 7 bits
  const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
                                         8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const auto halves = [&](__m256i words, vf& first, vf& second) __attribute__((always_inline)) {
    const __m256i pairs = _mm256_shuffle_epi8(_mm256_and_si256(words, kept), apart);
    const __m256i x = _mm256_permute4x64_epi64(pairs, 0xD8);
    first = _mm256_cvtph_ps(_mm256_castsi256_si128(x));
    second = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
  };
  halves(_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 1), columns[0], columns[2]);
  halves(_mm256_srai_epi16(x, 1), columns[1], columns[3]);
}
INGOT_V bool holds_nan(const vb (&c)[8]) {
  const __m256i low = _mm256_set1_epi8(127);
  __m256i top = _mm256_and_si256(c[0], low);
  for (int i = 1; i < 8; i++) top = _mm256_max_epu8(top, _mm256_and_si256(c[i], low));
  return _mm256_movemask_epi8(_mm256_cmpeq_epi8(top, low)) != 0;
}

template <int Bits>
INGOT_V vi dot_begin(vi start) { return Bits <= 4 ? vi{} : start; }
template <int Bits>
INGOT_V vi dot_step(vi d, vb codes, const int8_t* a) {
  int word;
  memcpy(&word, a, 4);
  const __m256i x = _mm256_set1_epi32(word);
  const __m256i pairs = Bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
                                  : _mm256_maddubs_epi16(codes, x);
  if constexpr (Bits <= 4) d = (vi)_mm256_add_epi16((__m256i)d, pairs);
  else d += (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  asm("" : "+x"(d));  // GCC would add the products up as a tree, and spill most of them
  return d;
}
template <int Bits>
INGOT_V vi dot_step_once(vi d, vb codes, const int8_t* a) { return dot_step<Bits>(d, codes, a); }
template <int Bits>
INGOT_V vi dot_end(vi d, vi start) {
  if constexpr (Bits <= 4) return start + (vi)_mm256_madd_epi16((__m256i)d, _mm256_set1_epi16(1));
  return d;
}

constexpr bool kLooksUpNibbles = false;
INGOT_V vf nibble_table(float) { return vf{}; }
INGOT_V vf look_up_nibble(vi, int, vf table) { return table; }

INGOT_V __m256i lane_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// A masked store of all lanes takes AMD's cores ten times as long.
INGOT_V void store_lanes(float* p, vf x, int n) {
  if (n >= kW) store(p, x);
  else _mm256_maskstore_ps(p, lane_mask(n), x);
}
INGOT_V vf load_lanes(const float* p, int n) {
  return n >= kW ? load(p) : _mm256_maskload_ps(p, lane_mask(n));
}
#undef INGOT_V

}  // namespace ingot::INGOT_NS
