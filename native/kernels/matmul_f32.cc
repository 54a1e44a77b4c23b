// matmul: batched f32 product, blocked for the caches; b is packed per block into panels of whole vectors.
#include "matmul_f32.h"
#include "signatures/matmul.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kDepth = 128;                         // a panel of a packed block stays in the L1 cache
constexpr int64_t kColumns = kTileVecs * kW *
                             (kW == 16  ? 5
                              : kW == 8 ? 10
                                        : 20);  // 240: a packed block is 120 KiB
constexpr int64_t kRows = 384;

struct Product {
  const float *a, *b;
  float* y;
  int64_t M, K, N;
  bool transposed;
};

// b[k0 ... k0+depth, n0 ... n0+columns] as panels of kTileVecs vectors: [panel][k][kTileVecs * kW], zero
// padded.
void pack(const Product& p, int64_t k0, int64_t depth, int64_t n0, int64_t columns, float* out) {
  constexpr int64_t width = kTileVecs * kW;
  for (int64_t c0 = 0; c0 < columns; c0 += width) {
    const int64_t live = min64(width, columns - c0);
    if (live < width) std::memset(out, 0, size_t(depth * width) * 4);
    if (!p.transposed) {
      for (int64_t k = 0; k < depth; k++)
        std::memcpy(out + k * width, p.b + (k0 + k) * p.N + n0 + c0, size_t(live) * 4);
    } else {
      int64_t c = 0;
      for (; c + kW <= live; c += kW) {
        int64_t k = 0;
        for (; k + kW <= depth; k += kW) {
          vf v[kW];
          for (int i = 0; i < kW; i++) v[i] = load(p.b + (n0 + c0 + c + i) * p.K + k0 + k);
          transpose(v);
          for (int i = 0; i < kW; i++) store(out + (k + i) * width + c, v[i]);
        }
        for (; k < depth; k++)
          for (int i = 0; i < kW; i++) out[k * width + c + i] = p.b[(n0 + c0 + c + i) * p.K + k0 + k];
      }
      for (; c < live; c++)
        for (int64_t k = 0; k < depth; k++) out[k * width + c] = p.b[(n0 + c0 + c) * p.K + k0 + k];
    }
    out += depth * width;
  }
}

void add_block(const float* tile, int64_t width, float* y, int64_t ldy, int64_t rows, int64_t columns,
               bool accumulate) {
  for (int64_t m = 0; m < rows; m++)
    for (int64_t n = 0; n < columns; n++)
      y[m * ldy + n] = (accumulate ? y[m * ldy + n] : 0.f) + tile[m * width + n];
}

// Rows [m0, m0 + rows) by columns [n0, n0 + columns) of one batch entry.
void block(const Product& p, int64_t m0, int64_t rows, int64_t n0, int64_t columns, float* scratch) {
  constexpr int64_t width = kTileVecs * kW;
  float* packed = scratch;
  float* edge = packed + kDepth * kColumns;
  for (int64_t k0 = 0; k0 < max64(p.K, 1); k0 += kDepth) {
    const int64_t depth = min64(kDepth, p.K - k0);
    pack(p, k0, depth, n0, columns, packed);
    for (int64_t c = 0; c < columns; c += width) {
      const float* panel = packed + c * depth;
      const float* a = p.a + m0 * p.K + k0;
      float* y = p.y + m0 * p.N + n0 + c;
      const int64_t live = min64(width, columns - c);
      if (live == width) {
        gemm_columns<kTileVecs>(a, p.K, 1, panel, width, y, p.N, rows, depth, k0 > 0);
      } else {
        gemm_columns<kTileVecs>(a, p.K, 1, panel, width, edge, width, rows, depth, false);
        add_block(edge, width, y, p.N, rows, live, k0 > 0);
      }
    }
  }
}

// One row of a: columns [n0, n1) of y, reading b once and in place.
void one_row(const Product& p, int64_t m, int64_t n0, int64_t n1) {
  const float* a = p.a + m * p.K;
  float* y = p.y + m * p.N;
  if (p.transposed) {
    for (int64_t n = n0; n < n1; n++) {
      const float* b = p.b + n * p.K;
      vf s[4] = {};
      int64_t k = 0;
      for (; k + 4 * kW <= p.K; k += 4 * kW)
        for (int v = 0; v < 4; v++) s[v] += load(a + k + v * kW) * load(b + k + v * kW);
      for (; k < p.K; k += kW) {
        const int lanes = int(min64(kW, p.K - k));
        s[0] += load_some(a + k, lanes) * load_some(b + k, lanes);
      }
      y[n] = hsum((s[0] + s[1]) + (s[2] + s[3]));
    }
    return;
  }
  constexpr int kVecs = 4;
  int64_t n = n0;
  for (; n + kVecs * kW <= n1; n += kVecs * kW) {
    vf s[kVecs] = {};
    for (int64_t k = 0; k < p.K; k++)
      for (int v = 0; v < kVecs; v++) s[v] += a[k] * load(p.b + k * p.N + n + v * kW);
    for (int v = 0; v < kVecs; v++) store(y + n + v * kW, s[v]);
  }
  for (; n < n1; n += kW) {
    const int lanes = int(min64(kW, n1 - n));
    vf s{};
    for (int64_t k = 0; k < p.K; k++) s += a[k] * load_some(p.b + k * p.N + n, lanes);
    store_some(y + n, s, lanes);
  }
}

void run(const Args& args, Ctx& ctx) {
  const MatmulArgs given(args);
  const int64_t batch = given.batch(), M = given.M(), N = given.N();
  if (batch == 0 || M == 0 || N == 0) return;
  Product p{nullptr, nullptr, nullptr, M, given.K(), N, given.transpose_b()};
  const auto bind = [&](int64_t entry) {
    p.a = given.a() + entry * given.a_stride();
    p.b = given.b() + entry * given.b_stride();
    p.y = given.y() + entry * M * N;
  };
  if (M <= 3) {  // too few rows to repay packing
    const int64_t parts = ceil_div(N, 64);
    for (int64_t item; (item = ctx.next(batch * parts)) >= 0;) {
      bind(item / parts);
      for (int64_t m = 0; m < M; m++) one_row(p, m, item % parts * 64, min64(N, item % parts * 64 + 64));
    }
    return;
  }
  const int64_t nb = ceil_div(N, kColumns);
  int64_t rows = kRows;  // smaller blocks pack b more often, but leave no core without work
  while (rows > 48 && batch * ceil_div(M, rows) * nb < 4 * ctx.nthreads) rows /= 2;
  const int64_t mb = ceil_div(M, rows);
  for (int64_t item; (item = ctx.next(batch * mb * nb)) >= 0;) {
    bind(item / (mb * nb));
    const int64_t m0 = item / nb % mb * rows, n0 = item % nb * kColumns;
    block(p, m0, min64(rows, M - m0), n0, min64(kColumns, N - n0), reinterpret_cast<float*>(ctx.scratch));
  }
}

const char* check(const Args& args) {
  if (const char* problem = MatmulArgs::mismatch(args)) return problem;
  const MatmulArgs a(args);
  const double batch = double(a.batch()), M = double(a.M()), K = double(a.K()), N = double(a.N());
  const double sa = double(a.a_stride()), sb = double(a.b_stride());
  if (batch < 0 || M < 0 || K < 0 || N < 0 || sa < 0 || sb < 0) return "matmul: negative size or stride";
  if (batch == 0 || M == 0 || N == 0) return nullptr;
  if (((batch - 1) * sa + M * K) * 4 > double(a.a_buf().bytes)) return "matmul: a smaller than [batch, M, K]";
  if (((batch - 1) * sb + K * N) * 4 > double(a.b_buf().bytes)) return "matmul: b smaller than [batch, K, N]";
  if (batch * M * N * 4 > double(a.y_buf().bytes)) return "matmul: y smaller than [batch, M, N]";
  return nullptr;
}

const KernelDef defs[] = {{"matmul", run, nullptr, check}};

}  // namespace
extern const Table matmul_f32_table;
const Table matmul_f32_table = {defs, 1};
}  // namespace ingot::INGOT_NS
