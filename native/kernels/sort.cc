// sort_rows and topk_rows: values and their indices, ties by lower index, NaN above every number.
#include "sort_keys.h"
#include "signatures/sort_rows.h"
#include "signatures/topk_rows.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxRow = int64_t(kScratchBytes / 8);

void write(const float* x, const uint64_t* keys, int64_t k, float* values, int32_t* indices) {
  for (int64_t i = 0; i < k; i++) {
    indices[i] = int32_t(key_place(keys[i]));
    values[i] = x[indices[i]];
  }
}

template <class View> void run(const Args& args, Ctx& ctx) {
  const View a(args);
  const int64_t rows = a.rows(), D = a.D(), k = a.k();
  const bool descending = a.descending();
  uint64_t* keys = reinterpret_cast<uint64_t*>(ctx.scratch);
  for (int64_t r; (r = ctx.next(rows)) >= 0;) {
    const float* x = a.x() + r * D;
    int64_t kept = D;
    if (descending && k < D / 4) {
      TopKeys top(keys, k);
      if (k > 0) top.add_range(x, 0, D);
      kept = k;
    } else {
      // ascending order is that of the complement, with the place kept ascending
      for (int64_t i = 0; i < D; i++) {
        const uint64_t key = sort_key(x[i], uint32_t(i));
        keys[i] = descending ? key : (~key & 0xffffffff00000000u) | (key & 0xffffffffu);
      }
      if (k < D) std::nth_element(keys, keys + k, keys + D, KeyGreater{});
      kept = min64(k, D);
    }
    sort_keys(keys, kept);
    write(x, keys, kept, a.values() + r * k, a.indices() + r * k);
  }
}
template <class View> const char* check(const Args& args) {
  if (const char* problem = View::mismatch(args)) return problem;
  const View a(args);
  const int64_t rows = a.rows(), D = a.D(), k = a.k(), kept = rows * k * 4;
  if (rows < 0 || D < 0 || k < 0 || k > D) return "sort_rows: k is not in 0 ... D";
  if (D > kMaxRow) return "sort_rows: rows longer than 1,048,576";
  if (a.x_buf().bytes < rows * D * 4) return "sort_rows: x smaller than [rows, D]";
  if (a.values_buf().bytes < kept || a.indices_buf().bytes < kept)
    return "sort_rows: values or indices smaller than [rows, k]";
  return nullptr;
}

const KernelDef defs[] = {
    {"sort_rows", run<SortRowsArgs>, nullptr, check<SortRowsArgs>},
    {"topk_rows", run<TopkRowsArgs>, nullptr, check<TopkRowsArgs>},
};

}  // namespace
extern const Table sort_table;
const Table sort_table = {defs, 2};
}  // namespace ingot::INGOT_NS
