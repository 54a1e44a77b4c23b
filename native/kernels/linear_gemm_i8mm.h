// The int8 tile of many rows for NEON's matrix multiply (smmla): 2 rows x 8 columns times 2 lanes x 8 columns
// -> 2 x 2. Unpacked codes are [4][8][16]: for every 8 columns, the 8 pairs of neighbouring lanes.
#pragma once
#include "linear_gemv.h"

namespace ingot::INGOT_NS {

#if defined(__ARM_FEATURE_MATMUL_INT8)

constexpr bool kHasMatrixInt8 = true;

// Codes of the four lanes of vector `part` in block order -> their place in the unpacked block.
INGOT_INLINE void store_matrix_codes(uint8_t* out, const vb (&c)[8], int part) {
  for (int t = 0; t < 4; t++) {
    const uint32x4_t low = vreinterpretq_u32_u8(c[2 * t]), high = vreinterpretq_u32_u8(c[2 * t + 1]);
    vst1q_u8(out + 128 * t + 32 * part, vreinterpretq_u8_u32(vzip1q_u32(low, high)));
    vst1q_u8(out + 128 * t + 32 * part + 16, vreinterpretq_u8_u32(vzip2q_u32(low, high)));
  }
}

INGOT_INLINE float32x4_t pair_of(const float* p) {
  return vreinterpretq_f32_u64(vld1q_dup_u64(reinterpret_cast<const uint64_t*>(p)));
}
INGOT_INLINE float32x4_t each_twice(float a, float b) { return vcombine_f32(vdup_n_f32(a), vdup_n_f32(b)); }
INGOT_INLINE int32x4_t each_twice(int a, int b) { return vcombine_s32(vdup_n_s32(a), vdup_n_s32(b)); }

// P pairs of rows x 8 lanes (half a panel). `b`: the unpacked blocks, `scales` of the same lanes follow at
// 512.
template <int L, int P, int Stride>
__attribute__((noinline)) void matrix_tile(const uint8_t* b, int half, const ActBlock* const* rows,
                                           int64_t blocks, float* const* C, bool first) {
  constexpr int halves = scales_per_block(L), zero = dot_zero_shift(L), steps = 4 / halves;
  const ActBlock* a[2 * P];
  float32x4_t acc[P][4];
  for (int r = 0; r < 2 * P; r++) a[r] = rows[r];
  for (int p = 0; p < P; p++)
    for (int j = 0; j < 4; j++)
      acc[p][j] =
          first ? vdupq_n_f32(0) : vcombine_f32(vld1_f32(C[2 * p] + 2 * j), vld1_f32(C[2 * p + 1] + 2 * j));
  for (int64_t k = 0; k < blocks; k++, b += Stride) {
    const float* scales = reinterpret_cast<const float*>(b + 512) + half * 8;
    for (int h = 0; h < halves; h++) {
      int32x4_t d[P][4];
      for (int p = 0; p < P; p++) {
        int32x4_t start = vdupq_n_s32(0);
        if constexpr (zero != 0) {
          const ActBlock &x = *a[2 * p], &y = *a[2 * p + 1];
          const int nx = halves == 1 ? x.nsum8 : h == 0 ? x.nsum8_first : x.nsum8 - x.nsum8_first;
          const int ny = halves == 1 ? y.nsum8 : h == 0 ? y.nsum8_first : y.nsum8 - y.nsum8_first;
          start = (int32x4_t)dot_start<zero>((vi)each_twice(nx, ny));
        }
        for (int j = 0; j < 4; j++) d[p][j] = start;
      }
      for (int t = h * steps; t < (h + 1) * steps; t++) {
        int8x16_t w[4];
        for (int j = 0; j < 4; j++) w[j] = vreinterpretq_s8_u8(vld1q_u8(b + 128 * t + 64 * half + 16 * j));
        for (int p = 0; p < P; p++) {
          const int8x16_t x = vcombine_s8(vld1_s8(a[2 * p]->q + 8 * t), vld1_s8(a[2 * p + 1]->q + 8 * t));
          for (int j = 0; j < 4; j++) d[p][j] = vmmlaq_s32(d[p][j], x, w[j]);
        }
      }
      for (int p = 0; p < P; p++) {
        const float32x4_t scale = each_twice(a[2 * p]->scale, a[2 * p + 1]->scale);
        for (int j = 0; j < 4; j++)
          acc[p][j] = vfmaq_f32(acc[p][j], vcvtq_f32_s32(d[p][j]),
                                vmulq_f32(scale, pair_of(scales + 16 * h + 2 * j)));
      }
    }
    if constexpr (has_minimum(L)) {
      for (int p = 0; p < P; p++)
        for (int h = 0; h < halves; h++) {
          const ActBlock &x = *a[2 * p], &y = *a[2 * p + 1];
          const float32x4_t sum =
              halves == 1 ? each_twice(x.fsum, y.fsum) : each_twice(half_sum(x, h), half_sum(y, h));
          for (int j = 0; j < 4; j++)
            acc[p][j] = vfmaq_f32(acc[p][j], sum, pair_of(scales + 16 * (halves + h) + 2 * j));
        }
    }
    for (int r = 0; r < 2 * P; r++) a[r]++;
  }
  for (int p = 0; p < P; p++)
    for (int j = 0; j < 4; j++) {
      vst1_f32(C[2 * p] + 2 * j, vget_low_f32(acc[p][j]));
      vst1_f32(C[2 * p + 1] + 2 * j, vget_high_f32(acc[p][j]));
    }
}

// Up to four rows x 16 lanes of one unpacked panel; a missing second row of a pair is computed and dropped.
template <int L, int Stride>
void matrix_rows(const uint8_t* unpacked, const ActBlock* const* rows, int n, int64_t blocks, float* const* C,
                 bool first) {
  float dropped[16] = {};
  const ActBlock* a[4];
  float* c[4];
  for (int r = 0; r < 4; r++) a[r] = rows[r < n ? r : 0];
  for (int half = 0; half < 2; half++) {
    for (int r = 0; r < 4; r++) c[r] = r < n ? C[r] + half * 8 : dropped;
    if (n > 2) matrix_tile<L, 2, Stride>(unpacked, half, a, blocks, c, first);
    else matrix_tile<L, 1, Stride>(unpacked, half, a, blocks, c, first);
  }
}

#else

constexpr bool kHasMatrixInt8 = false;
INGOT_INLINE void store_matrix_codes(uint8_t*, const vb (&)[8], int) {}
template <int L, int Stride>
void matrix_rows(const uint8_t*, const ActBlock* const*, int, int64_t, float* const*, bool) {}

#endif

}  // namespace ingot::INGOT_NS
