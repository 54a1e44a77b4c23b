// rms_norm and layer_norm: rows are shared out over the workers.
#include "norm.h"
#include "signatures/layer_norm.h"
#include "signatures/rms_norm.h"

namespace ingot::INGOT_NS {
namespace {

void run_rms(const Args& args, Ctx& ctx) {
  const RmsNormArgs a(args);
  const int64_t D = a.D();
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++)
    rms_norm_row(a.x() + r * D, a.w(), a.eps(), a.offset(), a.y() + r * D, D);
}
const char* check_rms(const Args& args) {
  if (const char* problem = RmsNormArgs::mismatch(args)) return problem;
  const RmsNormArgs a(args);
  const int64_t rows = a.rows(), D = a.D(), bytes = rows * D * 4;
  if (rows < 0 || D <= 0) return "rms_norm: a dimension is not positive";
  if (a.x_buf().bytes < bytes || a.y_buf().bytes < bytes) return "rms_norm: x or y smaller than [rows, D]";
  if (a.w() && a.w_buf().bytes < D * 4) return "rms_norm: weight smaller than [D]";
  return nullptr;
}

void layer_norm_row(const float* x, const float* w, const float* b, float eps, float* y, int64_t n) {
  const float mean = row_sum(x, n, [](vf v) { return v; }) / float(n);
  const float variance = row_sum(x, n, [mean](vf v) { return (v - mean) * (v - mean); }) / float(n);
  const float factor = 1.f / std::sqrt(variance + eps);
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    vf v = (load_some(x + i, lanes) - mean) * factor;
    if (w != nullptr) v *= load_some(w + i, lanes);
    if (b != nullptr) v += load_some(b + i, lanes);
    store_some(y + i, v, lanes);
  }
}
void run_layer(const Args& args, Ctx& ctx) {
  const LayerNormArgs a(args);
  const int64_t D = a.D();
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++)
    layer_norm_row(a.x() + r * D, a.w(), a.b(), a.eps(), a.y() + r * D, D);
}
const char* check_layer(const Args& args) {
  if (const char* problem = LayerNormArgs::mismatch(args)) return problem;
  const LayerNormArgs a(args);
  const int64_t rows = a.rows(), D = a.D(), bytes = rows * D * 4;
  if (rows < 0 || D <= 0) return "layer_norm: a dimension is not positive";
  if (a.x_buf().bytes < bytes || a.y_buf().bytes < bytes) return "layer_norm: x or y smaller than [rows, D]";
  if ((a.w() && a.w_buf().bytes < D * 4) || (a.b() && a.b_buf().bytes < D * 4))
    return "layer_norm: weight or bias smaller than [D]";
  return nullptr;
}

const KernelDef defs[] = {
    {"rms_norm", run_rms, nullptr, check_rms},
    {"layer_norm", run_layer, nullptr, check_layer},
};

}  // namespace
extern const Table norm_table;
const Table norm_table = {defs, 2};
}  // namespace ingot::INGOT_NS
