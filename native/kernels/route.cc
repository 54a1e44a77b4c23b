// moe_route: the k best experts of each row and their weights. Ties go to the lower expert.
#include <algorithm>
#include <cmath>

#include "vec_math.h"
#include "signatures/moe_route.h"

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

void route_row(const float* logits, int64_t E, int64_t k, bool norm, int order, float scale, float* p,
               int32_t* ids, float* weights) {
  std::memcpy(p, logits, size_t(E) * 4);
  if (order == kSoftmaxTopk) softmax_in_place(p, E);
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
  if (order == kTopkSoftmax) softmax_in_place(weights, k);
  float sum = 0;
  for (int64_t j = 0; j < k; j++) sum += weights[j];
  const float factor = norm && sum > 0 ? scale / sum : scale;
  for (int64_t j = 0; j < k; j++) weights[j] *= factor;
}

void run(const Args& args, Ctx& ctx) {
  const MoeRouteArgs a(args);
  const int64_t E = a.E(), k = a.k();
  auto* probabilities = reinterpret_cast<float*>(ctx.scratch);
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++)
    route_row(a.logits() + r * E, E, k, a.norm_topk(), a.order(), a.scale(), probabilities, a.ids() + r * k,
              a.weights() + r * k);
}
const char* check(const Args& args) {
  if (const char* problem = MoeRouteArgs::mismatch(args)) return problem;
  const MoeRouteArgs a(args);
  const int64_t rows = a.rows(), E = a.E(), k = a.k(), chosen = rows * k * 4;
  if (rows < 0 || E <= 0 || E > kMaxExperts) return "moe_route: the number of experts is not in 1 ... 4096";
  if (k <= 0 || k > E) return "moe_route: k is not in 1 ... E";
  if (a.order() < 0 || a.order() >= kOrders) return "moe_route: unknown order";
  if (a.logits_buf().bytes < rows * E * 4) return "moe_route: logits smaller than [rows, E]";
  if (a.ids_buf().bytes < chosen || a.weights_buf().bytes < chosen)
    return "moe_route: ids or weights smaller than [rows, k]";
  return nullptr;
}

const KernelDef defs[] = {{"moe_route", run, nullptr, check}};

}  // namespace
extern const Table route_table;
const Table route_table = {defs, 1};
}  // namespace ingot::INGOT_NS
