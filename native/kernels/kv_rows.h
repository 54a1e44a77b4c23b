// Rows of keys and values in a cache: floats, or the codes of src/quant/kv-rows.ts, whose reference gives the
// same bytes. Columns are read as vectors of f32, whatever they are stored as.
#pragma once
#include <algorithm>
#include <cmath>

#include "vec_math.h"
#include "signatures/kv_rows_code.h"

namespace ingot::INGOT_NS {
namespace {

// Levels of the codebooks of 2, 3 and 4 bits, ascending.
alignas(64) constexpr float kLevels4[16] = {
    -2.73258957f, -2.06901723f, -1.61804639f, -1.2562312f, -0.94234046f, -0.65675912f,
    -0.3880483f,  -0.12839503f, 0.12839503f,  0.3880483f,  0.65675912f,  0.94234046f,
    1.2562312f,   1.61804639f,  2.06901723f,  2.73258957f};
alignas(64) constexpr float kLevels3[16] = {-2.1519457f, -1.34390928f, -0.75600528f, -0.24509418f,
                                            0.24509418f, 0.75600528f,  1.34390928f,  2.1519457f};
alignas(64) constexpr float kLevels2[16] = {-1.51041761f, -0.45278003f, 0.45278003f, 1.51041761f};

constexpr bool is_turbo(int form) { return form == rTurbo4 || form == rTurbo3 || form == rTurbo2; }
constexpr int code_bits(int form) {
  return form == rQ8 ? 8 : form == rTurbo3 ? 3 : form == rTurbo2 ? 2 : 4;
}
constexpr const float* levels_of(int form) {
  return form == rTurbo4 ? kLevels4 : form == rTurbo3 ? kLevels3 : kLevels2;
}

// Calls f with the form as a constant.
template <class F> INGOT_INLINE auto with_form(int form, const F& f) {
  switch (form) {
    case rF16: return f(std::integral_constant<int, rF16>{});
    case rQ8: return f(std::integral_constant<int, rQ8>{});
    case rQ4: return f(std::integral_constant<int, rQ4>{});
    case rTurbo4: return f(std::integral_constant<int, rTurbo4>{});
    case rTurbo3: return f(std::integral_constant<int, rTurbo3>{});
    case rTurbo2: return f(std::integral_constant<int, rTurbo2>{});
    default: return f(std::integral_constant<int, rF32>{});
  }
}

// Where the parts of a row of Dh columns are, in bytes.
struct KvRow {
  int64_t Dh, bytes, scales = 0, meta = 0;
  int shift = 0;  // a group has 2^shift columns

  KvRow(int form, int64_t Dh) : Dh(Dh), bytes(Dh * (form == rF16 ? 2 : 4)) {
    if (form == rF32 || form == rF16) return;
    const int64_t power = Dh & -Dh, group = is_turbo(form) ? power : min64(power, 32);
    while ((int64_t(1) << shift) < group) shift++;
    meta = form == rQ4 ? 4 : 2;
    scales = ceil_div(Dh * code_bits(form), 32) * 4;
    bytes = ceil_div(scales + Dh / group * meta, 4) * 4;
  }
  static const char* mismatch(int form, int64_t Dh) {
    if (form < rF32 || form >= kKvRows) return "kv cache: unknown form of rows";
    if (form != rF32 && form != rF16 && Dh % 16 != 0)
      return "kv cache: heads of codes are not whole groups of 16 columns";
    return nullptr;
  }
};

INGOT_INLINE vf spread_f16(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return f16_to_f32(h - vh{});
}
// kW codes of Bits bits, the first in the low bits of *p.
template <int Bits> INGOT_INLINE vi unpack_codes(const uint8_t* p) {
#if defined(__AVX512F__)
  if constexpr (Bits == 4) {  // a byte in each pair of lanes, its high half moved to the upper one
    const __m512i x = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    return (vi)((x | _mm512_slli_epi64(x, 28)) & _mm512_set1_epi32(15));
  }
#endif
  constexpr int kPerWord = kW < 32 / Bits ? kW : 32 / Bits;
  uint32_t word[kW / kPerWord] = {};
  std::memcpy(word, p, kW * Bits / 8 == 0 ? 1 : kW * Bits / 8);
  vi w = set1i(int32_t(word[0]));
  if constexpr (kPerWord < kW) w = iota() < set1i(kPerWord) ? w : set1i(int32_t(word[1]));
  return (w >> ((iota() & set1i(kPerWord - 1)) * Bits)) & ((1 << Bits) - 1);
}
INGOT_INLINE vf look_up(const float* levels, int count, vi code) {
#if defined(__AVX512F__)
  return (vf)_mm512_permutexvar_ps((__m512i)code, _mm512_load_ps(levels));
#elif INGOT_LANES == 8 && defined(__AVX2__)
  const vf low = (vf)_mm256_permutevar8x32_ps(_mm256_load_ps(levels), (__m256i)code);
  if (count <= 8) return low;
  const vf high = (vf)_mm256_permutevar8x32_ps(_mm256_load_ps(levels + 8), (__m256i)code);
  return pick(code > set1i(7), high, low);
#else
  vf out;
  for (int i = 0; i < kW; i++) out[i] = levels[code[i]];
  return out;
#endif
}

template <bool Half> INGOT_INLINE vf load_floats(const uint8_t* p, int64_t i) {
  if constexpr (Half) return load_f16(reinterpret_cast<const uint16_t*>(p) + i);
  return load(reinterpret_cast<const float*>(p) + i);
}
template <bool Half> INGOT_INLINE vf load_floats_n(const uint8_t* p, int64_t i, int n) {
  if constexpr (Half) return load_f16_n(reinterpret_cast<const uint16_t*>(p) + i, n);
  return load_n(reinterpret_cast<const float*>(p) + i, n);
}

constexpr bool is_coded(int form) { return form != rF32 && form != rF16; }

// kW signed bytes; compilers take many steps for it by themselves.
INGOT_INLINE vi widen_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif INGOT_LANES == 8 && defined(__AVX2__)
  return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  vi out;
  for (int i = 0; i < kW; i++) out[i] = int8_t(p[i]);
  return out;
#endif
}

// Of a group: its scale and, of rQ4, its minimum.
struct KvScale {
  vf scale, minimum;
};
template <int Form> INGOT_INLINE KvScale scale_at(const KvRow& s, const uint8_t* row, int64_t d) {
  const uint8_t* meta = row + s.scales + (d >> s.shift) * s.meta;
  if constexpr (Form == rQ4) return {spread_f16(meta), spread_f16(meta + 2)};
  return {spread_f16(meta), vf{}};
}
// Columns d ... d + kW - 1 of codes, of a group with this scale; d is a multiple of kW.
template <int Form>
INGOT_INLINE vf load_codes(const KvRow& s, const uint8_t* row, int64_t d, const KvScale& of) {
  if constexpr (Form == rQ8) return to_f(widen_bytes(row + d)) * of.scale;
  if constexpr (Form == rQ4) return fma(to_f(unpack_codes<4>(row + d / 2)), of.scale, of.minimum);
  if constexpr (Form == rTurbo4) return look_up(kLevels4, 16, unpack_codes<4>(row + d / 2)) * of.scale;
  const vi low = unpack_codes<2>(row + d / 4);
  if constexpr (Form == rTurbo2) return look_up(kLevels2, 4, low) * of.scale;
  vi high = unpack_codes<1>(row + s.Dh / 4 + d / 8);
  if constexpr (kW < 8) high = (set1i(row[s.Dh / 4 + d / 8]) >> (iota() + int32_t(d % 8))) & 1;
  return look_up(kLevels3, 8, low | (high << 2)) * of.scale;
}
// Columns d ... d + kW - 1 of a row; of codes, d is a multiple of kW.
template <int Form> INGOT_INLINE vf load_kv(const KvRow& s, const uint8_t* row, int64_t d) {
  if constexpr (!is_coded(Form)) return load_floats<Form == rF16>(row, d);
  else return load_codes<Form>(s, row, d, scale_at<Form>(s, row, d));
}
// The first n < kW columns from d on, of floats: codes fill whole vectors.
template <int Form> INGOT_INLINE vf load_kv_n(const KvRow& s, const uint8_t* row, int64_t d, int n) {
  if constexpr (Form == rF32 || Form == rF16) return load_floats_n<Form == rF16>(row, d, n);
  return load_kv<Form>(s, row, d);
}

// ---- Writing: every step rounds as the reference does ----

inline uint16_t to_half(float x) {
  return f32_to_f16(set1(std::min(std::max(x, -65504.f), 65504.f)))[0];
}
inline float from_half(uint16_t h) { return f16_to_f32(h - vh{})[0]; }
inline float inverse_of(float scale) { return scale == 0 ? 0.f : 1.f / scale; }
INGOT_INLINE vf between(vf x, float low, float high) { return vmin(vmax(x, set1(low)), set1(high)); }
INGOT_INLINE void store_codes(uint8_t* to, vf codes) {
  typedef int8_t vb __attribute__((vector_size(kW)));
  const vb bytes = __builtin_convertvector(to_i(codes), vb);
  std::memcpy(to, &bytes, kW);
}

inline void quantise_signed(const float* x, int64_t n, uint8_t* codes, uint8_t* meta) {
  vf peak{};
  for (int64_t i = 0; i < n; i += kW) peak = vmax(peak, vabs(load(x + i)));
  const uint16_t bits = to_half(hmax(peak) / 127.f);
  const vf inverse = set1(inverse_of(from_half(bits)));
  for (int64_t i = 0; i < n; i += kW)
    store_codes(codes + i, rint_small(between(load(x + i) * inverse, -127, 127)));
  std::memcpy(meta, &bits, 2);
}
inline void quantise_nibbles(const float* x, int64_t n, uint8_t* codes, uint8_t* meta) {
  vf low = load(x), high = low;
  for (int64_t i = kW; i < n; i += kW) low = vmin(low, load(x + i)), high = vmax(high, load(x + i));
  const float top = hmax(high), bottom = -hmax(-low);
  const uint16_t low_bits = to_half(bottom + 0.f);  // no negative zero
  const float minimum = from_half(low_bits);
  const uint16_t bits = to_half(std::max(0.f, top - minimum) / 15.f);
  const vf inverse = set1(inverse_of(from_half(bits)));
  for (int64_t i = 0; i < n; i += kW)
    store_codes(codes + i, rint_small(between((load(x + i) - minimum) * inverse, 0, 15)));
  std::memcpy(meta, &bits, 2);
  std::memcpy(meta + 2, &low_bits, 2);
}
inline void quantise_turbo(int form, const float* x, int64_t n, uint8_t* codes, uint8_t* meta) {
  const float* levels = levels_of(form);
  const int count = 1 << code_bits(form);
  float square = 0, length = 0;
  for (int64_t i = 0; i < n; i++) square += x[i] * x[i];
  const vf inverse = set1(inverse_of(std::sqrt(square / float(n))));
  for (int64_t i = 0; i < n; i += kW) {
    const vf y = load(x + i) * inverse;
    vi code{};
    for (int c = 0; c + 1 < count; c++) code -= y > set1((levels[c] + levels[c + 1]) * 0.5f);
    store_codes(codes + i, to_f(code));
  }
  for (int64_t i = 0; i < n; i++) length += levels[codes[i]] * levels[codes[i]];
  const uint16_t bits = to_half(std::sqrt(square / length));
  std::memcpy(meta, &bits, 2);
}

constexpr int64_t kMaxCodedDim = 4096;

// Dh finite columns as a row of codes.
inline void write_codes(int form, const KvRow& s, const float* x, uint8_t* row) {
  uint8_t codes[kMaxCodedDim];
  std::memset(row, 0, size_t(s.bytes));
  const int64_t group = int64_t(1) << s.shift;
  for (int64_t d = 0; d < s.Dh; d += group) {
    uint8_t* meta = row + s.scales + (d >> s.shift) * s.meta;
    if (form == rQ8) quantise_signed(x + d, group, codes + d, meta);
    else if (form == rQ4) quantise_nibbles(x + d, group, codes + d, meta);
    else quantise_turbo(form, x + d, group, codes + d, meta);
  }
  if (form == rQ8) {
    std::memcpy(row, codes, size_t(s.Dh));
    return;
  }
  const int bits = code_bits(form) == 4 ? 4 : 2, per_byte = 8 / bits, mask = (1 << bits) - 1;
  for (int64_t d = 0; d < s.Dh; d++)
    row[d / per_byte] |= uint8_t((codes[d] & mask) << (d % per_byte * bits));
  if (form == rTurbo3)
    for (int64_t d = 0; d < s.Dh; d++) row[s.Dh / 4 + d / 8] |= uint8_t((codes[d] >> 2) << (d % 8));
}

}  // namespace
}  // namespace ingot::INGOT_NS
