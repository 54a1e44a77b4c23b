// Activations: int8 quantisation per 32 columns in the form the dot-product kernels read.
#pragma once
#include "weights_simd.h"

namespace ingot::INGOT_NS {

// 32 quantised activations. x ≈ scale q.
struct ActBlock {
  int8_t q[32];
  float scale;
  float fsum;           // scale * sum of q: what a minimum is multiplied by
  int32_t nsum8;        // -8 times the sum of q: a dot product with codes whose zero is 8 starts here
  int32_t nsum8_first;  // of the first 16
};
static_assert(sizeof(ActBlock) == 48);

// scale * sum of q of one half: what the minimum of a group of 16 is multiplied by.
INGOT_INLINE float half_sum(const ActBlock& x, int half) {
  return x.scale * (-0.125f * float(half ? x.nsum8 - x.nsum8_first : x.nsum8_first));
}

// One block. `finite` collects what is not.
INGOT_INLINE void quantize_block(const float* x, ActBlock& out, vf& finite) {
  constexpr int n = kBlock / kW;
  vf v[n], m{};
  for (int i = 0; i < n; i++)
    v[i] = load(x + i * kW), m = vmax(m, vabs(v[i])), finite = fma(v[i], vf{}, finite);
  const float amax = max_lanes(m), inverse = amax > 0 ? 127.0f / amax : 0.0f;
  vi half[2] = {vi{}, vi{}};
  for (int i = 0; i < n; i++) {
    const vf scaled = v[i] * inverse;
    const vi q = to_int_nearest(vabs(scaled) < 128.0f ? scaled : vf{});  // NaN has no integer
    store_i8(out.q + i * kW, q);
    half[i * kW / 16] += q;
  }
  const int s0 = sum_lanes_i(half[0]), s = s0 + sum_lanes_i(half[1]);
  out.scale = amax / 127.0f;
  out.fsum = out.scale * float(s);
  out.nsum8 = -8 * s;
  out.nsum8_first = -8 * s0;
}

#if defined(__AVX512VNNI__)
// 16 blocks at once, bit for bit the same: a block alone is mostly reductions across lanes, one after the
// other.
inline void quantize_16_blocks(const float* x, ActBlock* out, vf& finite) {
  // Within 128-bit lanes, four vectors to one: elements are of vectors 0, 2, 1, 3.
  const auto pairs = [](auto a, auto b, auto op) {
    return op(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  };
  const auto quads = [&](const __m512* v, auto op) {
    const __m512d a = _mm512_castps_pd(pairs(v[0], v[2], op)), b = _mm512_castps_pd(pairs(v[1], v[3], op));
    return op(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  };
  const auto larger = [](__m512 a, __m512 b) { return _mm512_max_ps(a, b); };
  const auto added = [](__m512 a, __m512 b) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
  };
  __m512 m[16], r[8], t[4];
  for (int b = 0; b < 16; b++) {
    const vf v0 = load(x + b * kBlock), v1 = load(x + b * kBlock + kW);
    m[b] = _mm512_max_ps(vabs(v0), vabs(v1));
    finite = fma(v1, vf{}, fma(v0, vf{}, finite));
  }
  for (int i = 0; i < 8; i++)
    r[i] = larger(_mm512_shuffle_f32x4(m[i], m[i + 8], 0x44), _mm512_shuffle_f32x4(m[i], m[i + 8], 0xEE));
  for (int i = 0; i < 4; i++)
    t[i] = larger(_mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD));
  // Lanes of 128 bits are of blocks 0, 8, 4, 12 and on.
  const vf amax = _mm512_permutexvar_ps(
      _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15), quads(t, larger));
  alignas(64) float inverse[16];
  store(inverse, _mm512_maskz_div_ps(_mm512_cmp_ps_mask(amax, vf{}, _CMP_GT_OQ), set1(127.0f), amax));
  __m256i sums[16];  // of 4 bytes each: the lower half is of the first 16
  for (int b = 0; b < 16; b++) {
    const vf scale = set1(inverse[b]);
    const __m128i low = _mm512_cvtepi32_epi8((__m512i)to_int_nearest(load(x + b * kBlock) * scale));
    const __m128i high = _mm512_cvtepi32_epi8((__m512i)to_int_nearest(load(x + b * kBlock + kW) * scale));
    const __m256i q = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out[b].q), q);
    sums[b] = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q);
  }
  for (int i = 0; i < 8; i++)
    r[i] = _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(sums[i]), sums[i + 8], 1));
  const __m512i low = _mm512_castps_si512(quads(r, added)), high = _mm512_castps_si512(quads(r + 4, added));
  const __m512i index = _mm512_setr_epi32(0, 2, 1, 3, 16, 18, 17, 19, 8, 10, 9, 11, 24, 26, 25, 27);
  const vi s0 = (vi)_mm512_permutex2var_epi32(low, index, high);
  const vi s = s0 + (vi)_mm512_permutex2var_epi32(low, _mm512_add_epi32(index, _mm512_set1_epi32(4)), high);
  const vf scale = amax / 127.0f;
  const vf fsum = scale * to_float(s), nsum8 = as_float(s * -8), first = as_float(s0 * -8);
  // {scale, fsum, nsum8, nsum8_first} of each block, as they lie there.
  const __m512 a[2] = {_mm512_unpacklo_ps(scale, fsum), _mm512_unpackhi_ps(scale, fsum)};
  const __m512 c[2] = {_mm512_unpacklo_ps(nsum8, first), _mm512_unpackhi_ps(nsum8, first)};
  for (int e = 0; e < 4; e++) {
    const __m512d p = _mm512_castps_pd(a[e / 2]), q = _mm512_castps_pd(c[e / 2]);
    alignas(64) float rows[16];
    store(rows, _mm512_castpd_ps(e % 2 ? _mm512_unpackhi_pd(p, q) : _mm512_unpacklo_pd(p, q)));
    for (int lane = 0; lane < 4; lane++) memcpy(&out[4 * lane + e].scale, rows + 4 * lane, 16);
  }
}
#endif

// An input that is not finite makes every result of its row NaN: int8 could not carry it, and it must not
// vanish.
inline void quantize_row(const float* x, int64_t K, ActBlock* out) {
  vf finite{};
  int64_t b = 0;
#if defined(__AVX512VNNI__)
  for (; b + 16 <= K / kBlock; b += 16) quantize_16_blocks(x + b * kBlock, out + b, finite);
#endif
  for (; b < K / kBlock; b++) quantize_block(x + b * kBlock, out[b], finite);
  if (sum_lanes(finite) == 0) return;
  for (b = 0; b < K / kBlock; b++) out[b].scale = out[b].fsum = __builtin_nanf("");
}

}  // namespace ingot::INGOT_NS
