// rms_norm and layer_norm, of a row or of the sum of two: rows are shared out over the workers.
#include "norm.h"
#include "stream.h"
#include "signatures/layer_norm.h"
#include "signatures/rms_norm.h"

namespace ingot::INGOT_NS {
namespace {

// What row r of a norm reads: x, or x + residual, which goes into `sum`.
template <class A> const float* source_row(const A& a, int64_t r) {
  const int64_t D = a.D();
  const float* x = a.x() + r * D;
  if (a.residual() == nullptr) return x;
  const float* residual = a.residual() + r * D;
  float* h = a.sum() + r * D;
  for (int64_t i = 0; i < D; i += kW) {
    const int lanes = int(min64(kW, D - i));
    store_some(h + i, load_some(x + i, lanes) + load_some(residual + i, lanes), lanes);
  }
  return h;
}
// Null, or what is wrong with the rows of a norm.
template <class A> const char* check_rows(const A& a) {
  const int64_t rows = a.rows(), D = a.D(), bytes = rows * D * 4;
  if (rows < 0 || D <= 0) return "norm: a dimension is not positive";
  if (a.dtype() != dF32) return "norm: the CPU takes f32";
  if (a.x_buf().bytes < bytes || a.y_buf().bytes < bytes) return "norm: x or y smaller than [rows, D]";
  if (a.w() && a.w_buf().bytes < D * 4) return "norm: weight smaller than [D]";
  if (!a.residual() != !a.sum()) return "norm: a residual and its sum come together";
  if (a.residual() && (a.residual_buf().bytes < bytes || a.sum_buf().bytes < bytes))
    return "norm: residual or sum smaller than [rows, D]";
  return nullptr;
}

// rms_norm_row with results that go past the caches; n is a multiple of kW.
void rms_norm_row_streamed(const float* x, const float* w, float eps, float offset, float* y, int64_t n) {
  const float mean = row_sum(x, n, [](vf v) { return v * v; }) / float(n);
  const float factor = 1.f / std::sqrt(mean + eps);
  for (int64_t i = 0; i < n; i += kW) {
    const vf v = load(x + i) * factor;
    stream(y + i, w == nullptr ? v : v * (load(w + i) + offset));
  }
}

// y += x, of what was rounded: no product is fused with the addition.
__attribute__((noinline)) void add_row(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    store_some(y + i, load_some(y + i, lanes) + load_some(x + i, lanes), lanes);
  }
}

void run_rms(const Args& args, Ctx& ctx) {
  const RmsNormArgs a(args);
  const int64_t D = a.D();
  const bool past_caches = !a.after() && streams(a.y(), D * 4, a.rows() * D * 4);
  const auto row = past_caches ? rms_norm_row_streamed : rms_norm_row;
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++) {
    float* y = a.y() + r * D;
    row(source_row(a, r), a.w(), a.eps(), a.offset(), y, D);
    if (a.after()) add_row(a.after() + r * D, y, D);
  }
  stream_end();
}
const char* check_rms(const Args& args) {
  if (const char* problem = RmsNormArgs::mismatch(args)) return problem;
  const RmsNormArgs a(args);
  if (a.after() && a.after_buf().bytes < a.rows() * a.D() * 4) return "norm: after is smaller than [rows, D]";
  return check_rows(a);
}

void layer_norm_row(const float* x, const float* w, const float* b, float eps, float* y, int64_t n,
                    bool past_caches) {
  const float mean = row_sum(x, n, [](vf v) { return v; }) / float(n);
  const float variance = row_sum(x, n, [mean](vf v) { return (v - mean) * (v - mean); }) / float(n);
  const float factor = 1.f / std::sqrt(variance + eps);
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    vf v = (load_some(x + i, lanes) - mean) * factor;
    if (w != nullptr) v *= load_some(w + i, lanes);
    if (b != nullptr) v += load_some(b + i, lanes);
    if (past_caches)
      stream(y + i, v);
    else
      store_some(y + i, v, lanes);
  }
}
void run_layer(const Args& args, Ctx& ctx) {
  const LayerNormArgs a(args);
  const int64_t D = a.D();
  const bool past_caches = streams(a.y(), D * 4, a.rows() * D * 4);
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++)
    layer_norm_row(source_row(a, r), a.w(), a.b(), a.eps(), a.y() + r * D, D, past_caches);
  stream_end();
}
const char* check_layer(const Args& args) {
  if (const char* problem = LayerNormArgs::mismatch(args)) return problem;
  const LayerNormArgs a(args);
  if (a.b() && a.D() > 0 && a.b_buf().bytes < a.D() * 4) return "norm: bias smaller than [D]";
  return check_rows(a);
}

const KernelDef defs[] = {
    {"rms_norm", run_rms, nullptr, check_rms},
    {"layer_norm", run_layer, nullptr, check_layer},
};

}  // namespace
extern const Table norm_table;
const Table norm_table = {defs, 2};
}  // namespace ingot::INGOT_NS
