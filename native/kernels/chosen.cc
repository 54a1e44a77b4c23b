// Attention over chosen positions (DeepSeek V3.2): an indexer ranks the positions before a row, and the row
// attends to the best. Items are rows, or heads of rows: what a row gives depends on its own sequence only.
#include <algorithm>
#include <cmath>

#include "shared_rows.h"
#include "signatures/chosen_attention.h"
#include "signatures/index_topk.h"

namespace ingot::INGOT_NS {
namespace {

void run_index_topk(const Args& args, Ctx& ctx) {
  const IndexTopkArgs a(args);
  const int64_t n = a.rows(), H = a.H(), D = a.D(), k = a.k();
  const SharedRows keys{
      a.keys(),       D,        a.cap(), a.S(), a.max_pages(), a.kv_dtype() == dF16, a.sequences(),
      a.page_table(), a.ratio()};
  for (int64_t r = ctx.next(n); r >= 0; r = ctx.next(n)) {
    const int64_t count = (int64_t(a.positions()[r]) + 1) / a.ratio();
    int32_t* ids = a.ids() + r * k;
    if (a.positions()[r] < 0 || count > int64_t(kScratchBytes / 8) || !keys.row_ok(r, count))
      return ctx.fail("index_topk: row %lld is outside its cache", (long long)r);
    for (int64_t i = 0; i < k; i++) ids[i] = i < count ? int32_t(i) : -1;
    if (count <= k) continue;
    float* scores = reinterpret_cast<float*>(ctx.scratch);
    int32_t* order = reinterpret_cast<int32_t*>(scores + count);
    for (int64_t j = 0; j < count; j++) {
      const uint8_t* key = keys.at(r, j);
      if (!key)
        return ctx.fail("index_topk: position %lld, which row %lld sees, is not there", (long long)j,
                        (long long)r);
      float sum = 0;
      for (int64_t h = 0; h < H; h++)
        sum += a.weights()[r * H + h] * std::max(0.0f, dot(keys, a.query() + (r * H + h) * D, key));
      scores[j] = sum;
      order[j] = int32_t(j);
    }
    // Ties go to the earlier position.
    std::nth_element(order, order + k, order + count, [&](int32_t x, int32_t y) {
      return scores[x] != scores[y] ? scores[x] > scores[y] : x < y;
    });
    std::sort(order, order + k);
    std::memcpy(ids, order, size_t(k) * 4);
  }
}
const char* check_index_topk(const Args& args) {
  if (const char* problem = IndexTopkArgs::mismatch(args)) return problem;
  const IndexTopkArgs a(args);
  const int64_t n = a.rows(), H = a.H(), D = a.D(), cap = a.cap(), k = a.k();
  if (n < 0 || H <= 0 || D <= 0 || cap <= 0 || k <= 0 || a.ratio() <= 0)
    return "index_topk: a dimension is not positive";
  if (a.kv_dtype() != dF32 && a.kv_dtype() != dF16) return "index_topk: type is neither f32 (0) nor f16 (1)";
  if (const char* problem = check_pages(a, cap, 0, a.ratio())) return problem;
  if (a.query_buf().bytes < n * H * D * 4 || a.weights_buf().bytes < n * H * 4)
    return "index_topk: queries or weights smaller than [rows, H, D]";
  if (a.keys_buf().bytes < cap * D * (a.kv_dtype() == dF16 ? 2 : 4))
    return "index_topk: keys smaller than [cap, D]";
  if (a.positions_buf().bytes < n * 4 || a.ids_buf().bytes < n * k * 4)
    return "index_topk: fewer positions or ids than rows";
  return nullptr;
}

void run_chosen_attention(const Args& args, Ctx& ctx) {
  const ChosenAttentionArgs a(args);
  const int64_t n = a.rows(), H = a.H(), W = a.W(), k = a.k();
  const SharedRows rows{a.cache(),     W, a.cap(), a.S(), a.max_pages(), a.kv_dtype() == dF16, a.sequences(),
                        a.page_table()};
  float* scores = reinterpret_cast<float*>(ctx.scratch);
  for (int64_t item = ctx.next(n * H); item >= 0; item = ctx.next(n * H)) {
    const int64_t r = item / H;
    const int32_t* ids = a.ids() + r * k;
    const float* q = a.q() + item * W;
    float* y = a.y() + item * W;
    float most = kNoScore;
    for (int64_t i = 0; i < k; i++) {
      if (ids[i] < 0) continue;
      const uint8_t* row = rows.row_ok(r, int64_t(ids[i]) + 1) ? rows.at(r, ids[i]) : nullptr;
      if (!row)
        return ctx.fail("chosen_attention: position %d, which row %lld chose, is not there", ids[i],
                        (long long)r);
      most = std::max(most, scores[i] = dot(rows, q, row) * a.scale());
    }
    std::memset(y, 0, size_t(W) * 4);
    float sum = 0;
    for (int64_t i = 0; i < k; i++) {
      if (ids[i] < 0) continue;
      const float weight = std::exp(scores[i] - most);
      sum += weight;
      add_row(rows, y, weight, rows.at(r, ids[i]));
    }
    for (int64_t d = 0; d < W; d++) y[d] /= sum;
  }
}
const char* check_chosen_attention(const Args& args) {
  if (const char* problem = ChosenAttentionArgs::mismatch(args)) return problem;
  const ChosenAttentionArgs a(args);
  const int64_t n = a.rows(), H = a.H(), W = a.W(), cap = a.cap(), k = a.k();
  if (n < 0 || H <= 0 || W <= 0 || cap <= 0 || k <= 0) return "chosen_attention: a dimension is not positive";
  if (a.kv_dtype() != dF32 && a.kv_dtype() != dF16)
    return "chosen_attention: type is neither f32 (0) nor f16 (1)";
  if (const char* problem = check_pages(a, cap, 0)) return problem;
  if (size_t(k) * 4 > kScratchBytes) return "chosen_attention: more positions than fit scratch";
  if (a.q_buf().bytes < n * H * W * 4 || a.y_buf().bytes < n * H * W * 4)
    return "chosen_attention: q or y smaller than [rows, H, W]";
  if (a.cache_buf().bytes < cap * W * (a.kv_dtype() == dF16 ? 2 : 4))
    return "chosen_attention: the cache is smaller than [cap, W]";
  if (a.ids_buf().bytes < n * k * 4) return "chosen_attention: fewer ids than [rows, k]";
  return nullptr;
}

const KernelDef defs[] = {
    {"index_topk", run_index_topk, nullptr, check_index_topk},
    {"chosen_attention", run_chosen_attention, nullptr, check_chosen_attention},
};

}  // namespace
extern const Table chosen_table;
const Table chosen_table = {defs, 2};
}  // namespace ingot::INGOT_NS
