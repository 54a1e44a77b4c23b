// Register-blocked f32 product of a broadcast operand and a vectorised one, shared by matmul and attention.
#pragma once
#include "vec.h"

namespace ingot::INGOT_NS {

// 32 vector registers hold 8 x 3 accumulators, 16 hold 4 x 3.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTileRows = 8;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVecs = 3;

// c[m][n] (+)= sum over k of a[m * am + k * ak] * b[k * ldb + n] for MR rows and NV vectors of columns. A
// function of its own: inside a larger one GCC keeps sums in memory.
template <int MR, int NV>
__attribute__((noinline)) void gemm_tile(const float* a, int64_t am, int64_t ak, const float* b, int64_t ldb,
                                         float* c, int64_t ldc, int64_t K, bool accumulate) {
  vf acc[MR][NV];
  for (int m = 0; m < MR; m++)
    for (int v = 0; v < NV; v++) acc[m][v] = accumulate ? load(c + m * ldc + v * kW) : vf{};
  for (int64_t k = 0; k < K; k++) {
    vf bv[NV];
    for (int v = 0; v < NV; v++) bv[v] = load(b + k * ldb + v * kW);
    for (int m = 0; m < MR; m++) {
      const vf x = set1(a[m * am + k * ak]);
      for (int v = 0; v < NV; v++) acc[m][v] = fma(x, bv[v], acc[m][v]);
    }
  }
  for (int m = 0; m < MR; m++)
    for (int v = 0; v < NV; v++) store(c + m * ldc + v * kW, acc[m][v]);
}

template <int NV>
inline void gemm_columns(const float* a, int64_t am, int64_t ak, const float* b, int64_t ldb, float* c,
                         int64_t ldc, int64_t M, int64_t K, bool accumulate) {
  int64_t m = 0;
  for (; m + kTileRows <= M; m += kTileRows)
    gemm_tile<kTileRows, NV>(a + m * am, am, ak, b, ldb, c + m * ldc, ldc, K, accumulate);
  if (kTileRows > 4 && m + 4 <= M) {
    gemm_tile<4, NV>(a + m * am, am, ak, b, ldb, c + m * ldc, ldc, K, accumulate);
    m += 4;
  }
  if (m + 2 <= M) {
    gemm_tile<2, NV>(a + m * am, am, ak, b, ldb, c + m * ldc, ldc, K, accumulate);
    m += 2;
  }
  if (m < M) gemm_tile<1, NV>(a + m * am, am, ak, b, ldb, c + m * ldc, ldc, K, accumulate);
}

// The same for any M and `vecs` vectors of columns.
inline void gemm_block(const float* a, int64_t am, int64_t ak, const float* b, int64_t ldb, float* c,
                       int64_t ldc, int64_t M, int64_t vecs, int64_t K, bool accumulate) {
  int64_t v = 0;
  for (; v + 3 <= vecs; v += 3)
    gemm_columns<3>(a, am, ak, b + v * kW, ldb, c + v * kW, ldc, M, K, accumulate);
  if (v + 2 == vecs) gemm_columns<2>(a, am, ak, b + v * kW, ldb, c + v * kW, ldc, M, K, accumulate);
  if (v + 1 == vecs) gemm_columns<1>(a, am, ak, b + v * kW, ldb, c + v * kW, ldc, M, K, accumulate);
}

}  // namespace ingot::INGOT_NS
