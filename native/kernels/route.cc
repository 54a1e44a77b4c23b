// moe_route: the k best experts of each row and their weights. Ties go to the lower expert.
#include <algorithm>
#include <cmath>

#include "vec_math.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxExperts = 4096;

void softmax_in_place(float* x, int64_t n) {
  float top = x[0];
  for (int64_t i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
  float sum = 0;
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    const vf e = vexp(load_some(x + i, lanes) - top);
    for (int l = 0; l < lanes; l++) sum += x[i + l] = e[l];
  }
  for (int64_t i = 0; i < n; i++) x[i] /= sum;
}

void route_row(const float* logits, int64_t E, int64_t k, bool norm, int64_t mode, float scale, float* p, int32_t* ids, float* weights) {
  std::memcpy(p, logits, size_t(E) * 4);
  if (mode == 0) softmax_in_place(p, E);
  for (int64_t j = 0; j < k; j++) {
    int64_t best = -1;
    for (int64_t e = 0; e < E; e++) {
      bool taken = false;
      for (int64_t i = 0; i < j; i++) taken |= ids[i] == e;
      if (!taken && (best < 0 || p[e] > p[best])) best = e;
    }
    ids[j] = int32_t(best);
    weights[j] = p[best];
  }
  if (mode == 1) softmax_in_place(weights, k);
  float sum = 0;
  for (int64_t j = 0; j < k; j++) sum += weights[j];
  const float factor = norm && sum > 0 ? scale / sum : scale;
  for (int64_t j = 0; j < k; j++) weights[j] *= factor;
}

void run(const Args& a, Ctx& ctx) {
  const int64_t rows = a.i(0), E = a.i(1), k = a.i(2);
  int64_t begin, end;
  ctx.range(rows, begin, end);
  for (int64_t r = begin; r < end; r++)
    route_row(a.bufs[0].as<float>() + r * E, E, k, a.i(3) != 0, a.i(4), a.f(5), reinterpret_cast<float*>(ctx.scratch),
              a.bufs[1].as<int32_t>() + r * k, a.bufs[2].as<float>() + r * k);
}
const char* check(const Args& a) {
  if (a.nbufs != 3 || a.nparams != 6) return "moe_route: expected 3 buffers and 6 parameters";
  const int64_t rows = a.i(0), E = a.i(1), k = a.i(2);
  if (rows < 0 || E <= 0 || E > kMaxExperts) return "moe_route: the number of experts is not in 1 ... 4096";
  if (k <= 0 || k > E) return "moe_route: k is not in 1 ... E";
  if (a.i(4) != 0 && a.i(4) != 1) return "moe_route: unknown mode";
  if (a.bufs[0].bytes < rows * E * 4) return "moe_route: logits smaller than [rows, E]";
  if (a.bufs[1].bytes < rows * k * 4 || a.bufs[2].bytes < rows * k * 4) return "moe_route: ids or weights smaller than [rows, k]";
  return nullptr;
}

const KernelDef defs[] = {{"moe_route", run, nullptr, check}};

}  // namespace
extern const Table route_table;
const Table route_table = {defs, 1};
}  // namespace ingot::INGOT_NS
