// rms_norm and layer_norm: rows are shared out over the workers.
#include "norm.h"

namespace ingot::INGOT_NS {
namespace {

void run_rms(const Args& a, Ctx& ctx) {
  const int64_t rows = a.i(0), D = a.i(1);
  const float* x = a.bufs[0].as<float>();
  const float* w = a.bufs[1].bytes ? a.bufs[1].as<float>() : nullptr;
  float* y = a.bufs[2].as<float>();
  int64_t begin, end;
  ctx.range(rows, begin, end);
  for (int64_t r = begin; r < end; r++) rms_norm_row(x + r * D, w, a.f(2), a.f(3), y + r * D, D);
}
const char* check_rms(const Args& a) {
  if (a.nbufs != 3 || a.nparams != 4) return "rms_norm: expected 3 buffers and 4 parameters";
  const int64_t rows = a.i(0), D = a.i(1);
  if (rows < 0 || D <= 0) return "rms_norm: a dimension is not positive";
  if (a.bufs[0].bytes < rows * D * 4 || a.bufs[2].bytes < rows * D * 4) return "rms_norm: x or y smaller than [rows, D]";
  if (a.bufs[1].bytes != 0 && a.bufs[1].bytes < D * 4) return "rms_norm: weight smaller than [D]";
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
void run_layer(const Args& a, Ctx& ctx) {
  const int64_t rows = a.i(0), D = a.i(1);
  const float* w = a.bufs[1].bytes ? a.bufs[1].as<float>() : nullptr;
  const float* b = a.bufs[2].bytes ? a.bufs[2].as<float>() : nullptr;
  int64_t begin, end;
  ctx.range(rows, begin, end);
  for (int64_t r = begin; r < end; r++)
    layer_norm_row(a.bufs[0].as<float>() + r * D, w, b, a.f(2), a.bufs[3].as<float>() + r * D, D);
}
const char* check_layer(const Args& a) {
  if (a.nbufs != 4 || a.nparams != 3) return "layer_norm: expected 4 buffers and 3 parameters";
  const int64_t rows = a.i(0), D = a.i(1);
  if (rows < 0 || D <= 0) return "layer_norm: a dimension is not positive";
  if (a.bufs[0].bytes < rows * D * 4 || a.bufs[3].bytes < rows * D * 4) return "layer_norm: x or y smaller than [rows, D]";
  for (int i = 1; i <= 2; i++)
    if (a.bufs[i].bytes != 0 && a.bufs[i].bytes < D * 4) return "layer_norm: weight or bias smaller than [D]";
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
