// softmax and log_softmax over rows.
#include "vec_math.h"
#include "signatures/softmax.h"

namespace ingot::INGOT_NS {
namespace {

float row_max(const float* x, int64_t n) {
  float top = x[0];
  int64_t i = 0;
  if (n >= kW) {
    vf m = load(x);
    for (i = kW; i + kW <= n; i += kW) m = vmax(m, load(x + i));
    top = hmax(m);
  }
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  return top;
}

// A row of -infinity only gives NaN, as 0 / 0 does.
void softmax_row(const float* x, float* y, int64_t n, bool log) {
  const float top = row_max(x, n);
  vf sums{};
  double total = 0;
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    vf e = vexp(load_some(x + i, lanes) - top);
    if (!log) store_some(y + i, e, lanes);
    if (lanes < kW) e = pick(first_lanes(lanes), e, vf{});
    sums += e;
    if (i / kW % 256 == 255) {  // keeps the f32 partial sums short on vocabulary-sized rows
      total += hsum(sums);
      sums = vf{};
    }
  }
  total += hsum(sums);
  const float shift = float(double(top) + std::log(total)), factor = float(1 / total);
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    store_some(y + i, log ? load_some(x + i, lanes) - shift : load_some(y + i, lanes) * factor, lanes);
  }
}

void run(const Args& args, Ctx& ctx) {
  const SoftmaxArgs a(args);
  const int64_t D = a.D();
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++) softmax_row(a.x() + r * D, a.y() + r * D, D, a.log());
}
const char* check(const Args& args) {
  if (const char* problem = SoftmaxArgs::mismatch(args)) return problem;
  const SoftmaxArgs a(args);
  const int64_t rows = a.rows(), D = a.D(), bytes = rows * D * 4;
  if (rows < 0 || D <= 0) return "softmax: a dimension is not positive";
  if (a.x_buf().bytes < bytes || a.y_buf().bytes < bytes) return "softmax: x or y smaller than [rows, D]";
  return nullptr;
}

const KernelDef defs[] = {{"softmax", run, nullptr, check}};

}  // namespace
extern const Table softmax_table;
const Table softmax_table = {defs, 1};
}  // namespace ingot::INGOT_NS
