// moe_route: the k best experts of each row and their weights. Ties go to the lower expert.
#include <algorithm>
#include <cmath>

#include "norm.h"
#include "softmax.h"
#include "signatures/moe_route.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxExperts = 4096;

// What the choice is by, before the correction: for a softmax over the chosen the logits.
void scores_of(int order, float* x, int64_t E) {
  if (order == kTopkSoftmax) return;
  if (order == kSoftmaxTopk) return softmax_in_place(x, E);
  for (int64_t e = 0; e < E; e += kW) {
    const int lanes = int(min64(kW, E - e));
    const vf v = load_some(x + e, lanes);
    const vf softplus = vmax(v, set1(0.f)) + vlog1p(vexp(-vabs(v)));
    store_some(x + e, order == kSigmoid ? vsigmoid(v) : vsqrt(pick(v == v, softplus, v)), lanes);
  }
}

// `keys`: E floats of scratch after those of the scores.
void route_row(const MoeRouteArgs& a, int64_t row, float* scores, int32_t* ids, float* weights) {
  const int64_t E = a.E(), k = a.k();
  float* keys = scores + E;
  std::memcpy(scores, a.logits() + row * E, size_t(E) * 4);
  scores_of(a.order(), scores, E);
  for (int64_t e = 0; e < E; e++) keys[e] = a.correction() ? scores[e] + a.correction()[e] : scores[e];
  for (int64_t j = 0; j < k; j++) {
    int64_t best = -1;
    for (int64_t e = 0; e < E; e++) {
      bool taken = false;
      for (int64_t i = 0; i < j; i++) taken |= ids[i] == e;
      if (!taken && (best < 0 || keys[e] > keys[best])) best = e;
    }
    ids[j] = int32_t(best);
    weights[j] = scores[best];
  }
  if (a.order() == kTopkSoftmax) softmax_in_place(weights, k);
  const float sum = a.norm_topk() ? row_sum(weights, k, [](vf v) { return v; }) + a.epsilon() : 1.f;
  for (int64_t j = 0; j < k; j++) weights[j] = weights[j] / sum * a.scale();
}

void run(const Args& args, Ctx& ctx) {
  const MoeRouteArgs a(args);
  int64_t begin, end;
  ctx.range(a.rows(), begin, end);
  for (int64_t r = begin; r < end; r++)
    route_row(a, r, reinterpret_cast<float*>(ctx.scratch), a.ids() + r * a.k(), a.weights() + r * a.k());
}
const char* check(const Args& args) {
  if (const char* problem = MoeRouteArgs::mismatch(args)) return problem;
  const MoeRouteArgs a(args);
  const int64_t rows = a.rows(), E = a.E(), k = a.k(), chosen = rows * k * 4;
  if (rows < 0 || E <= 0 || E > kMaxExperts) return "moe_route: the number of experts is not in 1 ... 4096";
  if (k <= 0 || k > E) return "moe_route: k is not in 1 ... E";
  if (a.order() < 0 || a.order() >= kOrders) return "moe_route: unknown order";
  if (a.logits_buf().bytes < rows * E * 4) return "moe_route: logits smaller than [rows, E]";
  if (a.correction() && a.correction_buf().bytes < E * 4) return "moe_route: fewer corrections than experts";
  if (a.ids_buf().bytes < chosen || a.weights_buf().bytes < chosen)
    return "moe_route: ids or weights smaller than [rows, k]";
  return nullptr;
}

const KernelDef defs[] = {{"moe_route", run, nullptr, check}};

}  // namespace
extern const Table route_table;
const Table route_table = {defs, 1};
}  // namespace ingot::INGOT_NS
