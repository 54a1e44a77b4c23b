// The memory of DeepSeek V4: entries made of the rows of a block, attention over the last rows and over
// entries in one softmax, and the matrices of hyper-connections. Items are rows, or heads of rows: what a row
// gives depends on its own sequence only.
#include <algorithm>
#include <cmath>

#include "shared_rows.h"
#include "signatures/block_write.h"
#include "signatures/compressed_attention.h"
#include "signatures/sinkhorn.h"

namespace ingot::INGOT_NS {
namespace {

void store_row(uint8_t* to, const float* x, int64_t n, bool half) {
  if (!half) return void(std::memcpy(to, x, size_t(n) * 4));
  uint16_t* out = reinterpret_cast<uint16_t*>(to);
  int64_t d = 0;
  for (; d + kW <= n; d += kW) store_f16(out + d, load(x + d));
  if (d < n) store_f16_n(out + d, load_n(x + d, int(n - d)), int(n - d));
}

void run_block_write(const Args& args, Ctx& ctx) {
  const BlockWriteArgs a(args);
  const int64_t n = a.rows(), W = a.W(), R = a.R(), ratio = a.ratio(), C = a.overlap() ? 2 * W : W;
  const bool half = a.kv_dtype() == dF16;
  const SharedRows pending{a.pending(), 2 * C,         a.pending_cap(),   a.S(), a.max_pages(),
                           half,        a.sequences(), a.pending_pages(), 1,     a.ring()};
  const SharedRows entries{a.entries(),     W,    a.cap(), a.S(), a.max_pages(), half, a.sequences(),
                           a.entry_pages(), ratio};
  float* sum =
      reinterpret_cast<float*>(ctx.scratch);  // [W], then the largest gates [W] and the sums of weights [W]
  float *most = sum + W, *total = most + W;
  for (int64_t r = ctx.next(n); r >= 0; r = ctx.next(n)) {
    const int64_t end = int64_t(a.positions()[r]) + 1;
    if (end <= 0) return ctx.fail("block_write: row %lld is at position %d", (long long)r, a.positions()[r]);
    if (end % ratio != 0) continue;
    const int64_t start = end - ratio, block = start / ratio;
    const int64_t place = entries.row_ok(r, block + 1) ? entries.slot(r, block) : -1;
    if (place < 0 || !pending.row_ok(r, end))
      return ctx.fail("block_write: the block that ends at position %lld of row %lld has no place",
                      (long long)(end - 1), (long long)r);
    std::fill(most, most + W, kNoScore);
    std::memset(sum, 0, size_t(W) * 4);
    std::memset(total, 0, size_t(W) * 4);
    // The block before by its first series, the block itself by its last.
    for (int64_t own = a.overlap() && start > 0 ? 0 : 1; own < 2; own++) {
      const int64_t series = own * (C - W);
      for (int64_t j = 0; j < ratio; j++) {
        const int64_t position = start + (own - 1) * ratio + j;
        const uint8_t* row = pending.at(r, position);
        if (!row)
          return ctx.fail("block_write: position %lld, of which row %lld makes an entry, is not there",
                          (long long)position, (long long)r);
        const float* bias = a.bias() + j * C + series;
        for (int64_t d = 0; d < W; d++) {
          const float gate = pending.value(row, C + series + d) + bias[d];
          const float next = std::max(most[d], gate), old = std::exp(most[d] - next),
                      weight = std::exp(gate - next);
          most[d] = next;
          total[d] = total[d] * old + weight;
          sum[d] = sum[d] * old + weight * pending.value(row, series + d);
        }
      }
    }
    float squares = 0;
    for (int64_t d = 0; d < W; d++) {
      sum[d] /= total[d];
      squares += sum[d] * sum[d];
    }
    const float scale = 1 / std::sqrt(squares / float(W) + a.eps());
    for (int64_t d = 0; d < W; d++) sum[d] *= scale * a.norm()[d];
    for (int64_t i = 0; i < R / 2; i++) {
      const float angle = float(start) * a.frequencies()[i], sine = std::sin(angle) * a.factor(),
                  cosine = std::cos(angle) * a.factor();
      float* pair = sum + W - R + 2 * i;
      const float x = pair[0], y = pair[1];
      pair[0] = x * cosine - y * sine;
      pair[1] = y * cosine + x * sine;
    }
    store_row(a.entries() + place * W * (half ? 2 : 4), sum, W, half);
  }
}
const char* check_block_write(const Args& args) {
  if (const char* problem = BlockWriteArgs::mismatch(args)) return problem;
  const BlockWriteArgs a(args);
  const int64_t n = a.rows(), W = a.W(), R = a.R(), ratio = a.ratio(), C = a.overlap() ? 2 * W : W;
  if (n < 0 || W <= 0 || R < 0 || R > W || R % 2 != 0 || ratio <= 0 || a.cap() <= 0 || a.pending_cap() <= 0)
    return "block_write: a dimension is out of range";
  if (a.ring() < 0 || a.ring() > a.pending_cap()) return "block_write: the ring is longer than the capacity";
  if (a.kv_dtype() != dF32 && a.kv_dtype() != dF16) return "block_write: type is neither f32 (0) nor f16 (1)";
  if (size_t(3 * W) * 4 > kScratchBytes) return "block_write: more columns than fit scratch";
  if (const char* problem = check_pages(a, a.pending_pages_buf(), a.pending_cap(), a.ring())) return problem;
  if (const char* problem = check_pages(a, a.entry_pages_buf(), a.cap(), 0, ratio)) return problem;
  const int64_t bytes = a.kv_dtype() == dF16 ? 2 : 4;
  if (a.entries_buf().bytes < a.cap() * W * bytes || a.pending_buf().bytes < a.pending_cap() * 2 * C * bytes)
    return "block_write: entries or pending rows smaller than their capacity";
  if (a.positions_buf().bytes < n * 4 || a.bias_buf().bytes < ratio * C * 4 || a.norm_buf().bytes < W * 4 ||
      a.frequencies_buf().bytes < R / 2 * 4)
    return "block_write: positions, bias, norm or frequencies are too small";
  return nullptr;
}

void run_compressed_attention(const Args& args, Ctx& ctx) {
  const CompressedAttentionArgs a(args);
  const int64_t n = a.rows(), H = a.H(), W = a.W(), k = a.k(), window = a.window(), ratio = a.ratio();
  const bool half = a.kv_dtype() == dF16;
  const SharedRows rows{a.row_cache(), W, a.cap(), a.S(), a.max_pages(), half, a.sequences(),
                        a.row_pages(), 1, a.ring()};
  const SharedRows entries{a.entries(),     W,    a.entry_cap(), a.S(), a.max_pages(), half, a.sequences(),
                           a.entry_pages(), ratio};
  float* scores = reinterpret_cast<float*>(ctx.scratch);
  for (int64_t item = ctx.next(n * H); item >= 0; item = ctx.next(n * H)) {
    const int64_t r = item / H, end = int64_t(a.positions()[r]) + 1,
                  first = std::max<int64_t>(0, end - window);
    const int64_t visible = end / ratio, count = a.ids() ? k : visible;
    if (end <= 0 || !rows.row_ok(r, end) || size_t(end - first + count) * 4 > kScratchBytes)
      return ctx.fail("compressed_attention: row %lld is outside its cache", (long long)r);
    const float* q = a.q() + item * W;
    float* y = a.y() + item * W;
    float most = a.sinks() ? a.sinks()[item % H] : kNoScore;
    for (int64_t p = first; p < end; p++) {
      const uint8_t* row = rows.at(r, p);
      if (!row)
        return ctx.fail("compressed_attention: position %lld, which row %lld sees, is not there",
                        (long long)p, (long long)r);
      most = std::max(most, scores[p - first] = dot(rows, q, row) * a.scale());
    }
    const auto block_of = [&](int64_t i) { return a.ids() ? int64_t(a.ids()[r * k + i]) : i; };
    float* far = scores + (end - first);
    for (int64_t i = 0; i < count; i++) {
      const int64_t block = block_of(i);
      if (block < 0) continue;
      const uint8_t* row = block < visible && entries.row_ok(r, block + 1) ? entries.at(r, block) : nullptr;
      if (!row)
        return ctx.fail("compressed_attention: block %lld, which row %lld sees, is not there",
                        (long long)block, (long long)r);
      most = std::max(most, far[i] = dot(entries, q, row) * a.scale());
    }
    std::memset(y, 0, size_t(W) * 4);
    float sum = a.sinks() ? std::exp(a.sinks()[item % H] - most) : 0;
    for (int64_t p = first; p < end; p++) {
      const float weight = std::exp(scores[p - first] - most);
      sum += weight;
      add_row(rows, y, weight, rows.at(r, p));
    }
    for (int64_t i = 0; i < count; i++) {
      const int64_t block = block_of(i);
      if (block < 0) continue;
      const float weight = std::exp(far[i] - most);
      sum += weight;
      add_row(entries, y, weight, entries.at(r, block));
    }
    for (int64_t d = 0; d < W; d++) y[d] /= sum;
  }
}
const char* check_compressed_attention(const Args& args) {
  if (const char* problem = CompressedAttentionArgs::mismatch(args)) return problem;
  const CompressedAttentionArgs a(args);
  const int64_t n = a.rows(), H = a.H(), W = a.W(), k = a.k();
  if (n < 0 || H <= 0 || W <= 0 || a.cap() <= 0 || a.entry_cap() <= 0 || k < 0 || a.window() <= 0 ||
      a.ratio() <= 0)
    return "compressed_attention: a dimension is not positive";
  if (a.ring() < 0 || a.ring() > a.cap()) return "compressed_attention: the ring is longer than the capacity";
  if (a.kv_dtype() != dF32 && a.kv_dtype() != dF16)
    return "compressed_attention: type is neither f32 (0) nor f16 (1)";
  if (const char* problem = check_pages(a, a.row_pages_buf(), a.cap(), a.ring())) return problem;
  if (const char* problem = check_pages(a, a.entry_pages_buf(), a.entry_cap(), 0, a.ratio())) return problem;
  const int64_t bytes = a.kv_dtype() == dF16 ? 2 : 4;
  if (a.q_buf().bytes < n * H * W * 4 || a.y_buf().bytes < n * H * W * 4)
    return "compressed_attention: q or y smaller than [rows, H, W]";
  if (a.row_cache_buf().bytes < a.cap() * W * bytes || a.entries_buf().bytes < a.entry_cap() * W * bytes)
    return "compressed_attention: rows or entries smaller than their capacity";
  if (a.positions_buf().bytes < n * 4 || a.ids_buf().bytes < n * k * 4)
    return "compressed_attention: fewer positions or ids than rows";
  if (a.sinks() && a.sinks_buf().bytes < H * 4) return "compressed_attention: fewer sinks than heads";
  return nullptr;
}

constexpr int64_t kMaxStreams = 8;

void run_sinkhorn(const Args& args, Ctx& ctx) {
  const SinkhornArgs a(args);
  const int64_t h = a.size();
  const float eps = a.eps();
  for (int64_t r = ctx.next(a.rows()); r >= 0; r = ctx.next(a.rows())) {
    const float* x = a.x() + r * h * h;
    float m[kMaxStreams][kMaxStreams];
    for (int64_t i = 0; i < h; i++) {
      const float most = *std::max_element(x + i * h, x + (i + 1) * h);
      float sum = 0;
      for (int64_t j = 0; j < h; j++) sum += m[i][j] = std::exp(x[i * h + j] - most);
      for (int64_t j = 0; j < h; j++) m[i][j] = m[i][j] / sum + eps;
    }
    for (int64_t turn = 0; turn < 2 * a.iterations() - 1; turn++) {
      for (int64_t i = 0; i < h; i++) {
        float sum = eps;
        for (int64_t j = 0; j < h; j++) sum += turn % 2 == 0 ? m[j][i] : m[i][j];
        for (int64_t j = 0; j < h; j++) (turn % 2 == 0 ? m[j][i] : m[i][j]) /= sum;
      }
    }
    for (int64_t i = 0; i < h; i++)
      for (int64_t j = 0; j < h; j++) a.y()[(r * h + i) * h + j] = m[i][j];
  }
}
const char* check_sinkhorn(const Args& args) {
  if (const char* problem = SinkhornArgs::mismatch(args)) return problem;
  const SinkhornArgs a(args);
  const int64_t n = a.rows(), h = a.size();
  if (n < 0 || h <= 0 || h > kMaxStreams || a.iterations() < 1)
    return "sinkhorn: a dimension is out of range";
  if (a.x_buf().bytes < n * h * h * 4 || a.y_buf().bytes < n * h * h * 4)
    return "sinkhorn: x or y smaller than [rows, size, size]";
  return nullptr;
}

const KernelDef defs[] = {
    {"block_write", run_block_write, nullptr, check_block_write},
    {"compressed_attention", run_compressed_attention, nullptr, check_compressed_attention},
    {"sinkhorn", run_sinkhorn, nullptr, check_sinkhorn},
};

}  // namespace
extern const Table compressed_table;
const Table compressed_table = {defs, 3};
}  // namespace ingot::INGOT_NS
