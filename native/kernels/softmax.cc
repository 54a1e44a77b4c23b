// softmax and log_softmax over rows.
#include "softmax.h"
#include "stream.h"
#include "signatures/softmax.h"

namespace ingot::INGOT_NS {
namespace {

// What is left to do for a row when the exponentials of the next one are taken: its factor, or its logarithm.
struct Pending {
  const float* values;  // exponentials, or x for logarithms
  float* y;
  float factor, shift;
};

// The rest of one row, the exponentials of the next and the largest element of the one after that, in one
// loop: memory is read and written all the time while exponentials are computed. A row of -infinity only
// gives NaN, as 0 / 0 does.
template <bool kLog, bool kPast, bool kFirst>
Pending softmax_row(int64_t D, const float* x, float top, float* y, float* e, const Pending before,
                    const float* after, float& after_top) {
  constexpr int64_t kRun = 256 * kW;  // keeps the f32 partial sums short on vocabulary-sized rows
  const int64_t whole = D / kW * kW;
  const auto rest = [before](vf v) { return kLog ? v - before.shift : v * before.factor; };
  vf most = set1(after[0]);
  double total = 0;
  for (int64_t i = 0; i < whole;) {
    vf sums{};
    for (const int64_t end = min64(i + kRun, whole); i < end; i += kW) {
      if constexpr (!kFirst) {
        const vf r = rest(load(before.values + i));
        if constexpr (kPast)
          stream(before.y + i, r);
        else
          store(before.y + i, r);
      }
      const vf v = vexp_below(load(x + i) - top);
      most = vmax(most, load(after + i));
      if constexpr (!kLog) store(e + i, v);
      sums += v;
    }
    total += hsum(sums);
  }
  after_top = hmax(most);
  if (const int lanes = int(D - whole); lanes > 0) {
    if constexpr (!kFirst) store_n(before.y + whole, rest(load_n(before.values + whole, lanes)), lanes);
    const vf v = pick(first_lanes(lanes), vexp_below(load_n(x + whole, lanes) - top), vf{});
    if constexpr (!kLog) store_n(e + whole, v, lanes);
    total += hsum(v);
    for (int64_t i = whole; i < D; i++) after_top = after[i] > after_top ? after[i] : after_top;
  }
  return {kLog ? x : e, y, float(1 / total), float(double(top) + std::log(total))};
}

template <bool kLog, bool kPast> void softmax_rows(const SoftmaxArgs& a, Ctx& ctx) {
  const int64_t D = a.D(), width = ceil_div(D, kW) * kW;
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  if (begin >= end) return;
  // Exponentials of two rows; those too long for that are taken in place.
  auto* scratch = reinterpret_cast<float*>(ctx.scratch);
  const bool in_place = size_t(2 * width) * 4 > kScratchBytes;
  Pending row{};
  float top = row_max(a.x() + begin * D, D);
  for (int64_t r = begin; r < end; r++) {
    const float* x = a.x() + r * D;
    float* y = a.y() + r * D;
    const auto step = r == begin ? softmax_row<kLog, kPast, true> : softmax_row<kLog, kPast, false>;
    row = step(D, x, top, y, in_place ? y : scratch + (r & 1) * width, row, r + 1 < end ? x + D : x, top);
  }
  for (int64_t i = 0; i < D; i += kW) {
    const int lanes = int(min64(kW, D - i));
    const vf v = load_some(row.values + i, lanes);
    store_some(row.y + i, kLog ? v - row.shift : v * row.factor, lanes);
  }
  stream_end();
}

void run(const Args& args, Ctx& ctx) {
  const SoftmaxArgs a(args);
  const bool past = streams(a.y(), a.D() * 4, a.rows() * a.D() * 4);
  const auto rows = a.log() ? (past ? softmax_rows<true, true> : softmax_rows<true, false>)
                            : (past ? softmax_rows<false, true> : softmax_rows<false, false>);
  rows(a, ctx);
}
const char* check(const Args& args) {
  if (const char* problem = SoftmaxArgs::mismatch(args)) return problem;
  const SoftmaxArgs a(args);
  const int64_t rows = a.rows(), D = a.D(), bytes = rows * D * 4;
  if (rows < 0 || D <= 0) return "softmax: a dimension is not positive";
  if (a.dtype() != dF32) return "softmax: the CPU takes f32";
  if (a.x_buf().bytes < bytes || a.y_buf().bytes < bytes) return "softmax: x or y smaller than [rows, D]";
  return nullptr;
}

const KernelDef defs[] = {{"softmax", run, nullptr, check}};

}  // namespace
extern const Table softmax_table;
const Table softmax_table = {defs, 1};
}  // namespace ingot::INGOT_NS
