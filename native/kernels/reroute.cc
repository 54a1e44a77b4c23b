// moe_reroute: choices whose experts are not in memory give way, as far as the caller allows. An expert of
// memory that was not chosen takes the place of one that would have to be read when it is worth nearly as
// much; what is left of those to be read is left out while it weighs little. What any row needs is read, and
// then counts as there for all. src/array/ops/experts/moe-reroute.ts says the same in TypeScript.
#include <cstring>

#include "experts.h"
#include "linear_prepare.h"
#include "moe_routing.h"
#include "signatures/moe_reroute.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMostChosen = 64;

// A row's choice while it is changed; a slot that is left out has no expert.
struct Choice {
  int32_t ids[kMostChosen];
  float weights[kMostChosen];
  int64_t k = 0;
  int swapped = 0, dropped = 0;

  bool has(int32_t e) const {
    for (int64_t j = 0; j < k; j++)
      if (ids[j] == e) return true;
    return false;
  }
};

struct Rule {
  int64_t E;
  float prefer, drop;
  const uint8_t* there;  // [E]
};

// The best expert of memory that the row did not choose, or -1. Ties go to the lower one.
int32_t candidate(const Rule& rule, const float* order, const Choice& choice) {
  int32_t best = -1;
  for (int64_t e = 0; e < rule.E; e++)
    if (rule.there[e] && (best < 0 || order[e] > order[best]) && !choice.has(int32_t(e))) best = int32_t(e);
  return best;
}

// From the worst choice to the best.
void swap_missing(const Rule& rule, const float* order, const float* scores, Choice& choice) {
  bool seen[kMostChosen] = {};
  for (int64_t turn = 0; turn < choice.k; turn++) {
    int64_t worst = -1;
    for (int64_t j = 0; j < choice.k; j++)
      if (!seen[j] && (worst < 0 || order[choice.ids[j]] <= order[choice.ids[worst]])) worst = j;
    seen[worst] = true;
    const int32_t e = choice.ids[worst];
    if (rule.there[e]) continue;
    const int32_t other = candidate(rule, order, choice);
    if (other < 0 || !(order[other] >= order[e] - rule.prefer * scores[e])) continue;
    choice.ids[worst] = other;
    choice.weights[worst] *= scores[e] > 0 ? scores[other] / scores[e] : 0;
    choice.swapped++;
  }
}

// From the lightest on, while together they weigh no more than their share. One is kept always.
void drop_missing(const Rule& rule, float limit, Choice& choice) {
  float gone = 0;
  while (choice.dropped + 1 < choice.k) {
    int64_t least = -1;
    for (int64_t j = 0; j < choice.k; j++)
      if (choice.ids[j] >= 0 && !rule.there[choice.ids[j]] &&
          (least < 0 || choice.weights[j] <= choice.weights[least]))
        least = j;
    if (least < 0 || !(gone + choice.weights[least] <= limit)) return;
    gone += choice.weights[least];
    choice.ids[least] = -1;
    choice.weights[least] = 0;
    choice.dropped++;
  }
}

struct Row {
  const int32_t* ids;
  const float *weights, *order, *scores;
};

Choice decide(const Rule& rule, const Row& row, int64_t k) {
  Choice choice;
  choice.k = k;
  float total = 0;
  for (int64_t j = 0; j < k; j++) {
    choice.ids[j] = row.ids[j];
    total += choice.weights[j] = row.weights[j];
  }
  if (rule.prefer > 0) swap_missing(rule, row.order, row.scores, choice);
  if (rule.drop > 0) drop_missing(rule, rule.drop * total, choice);
  return choice;
}

// A slot without an expert computes the row's first one again, for nothing: its weight is 0.
void write(const Choice& choice, bool normalised, const float* before, int32_t* ids, float* weights) {
  float total = 0, now = 0;
  int32_t first = -1;
  for (int64_t j = 0; j < choice.k; j++) {
    total += before[j];
    now += choice.weights[j];
    if (first < 0) first = choice.ids[j];
  }
  const bool scaled = normalised && choice.swapped + choice.dropped > 0 && now > 0;
  for (int64_t j = 0; j < choice.k; j++) {
    ids[j] = choice.ids[j] < 0 ? first : choice.ids[j];
    weights[j] = scaled ? choice.weights[j] * (total / now) : choice.weights[j];
  }
}

void run(const Args& args, Ctx& c) {
  const MoeRerouteArgs a(args);
  const ExpertStack* stack = a.experts_buf().stack;
  const int64_t E = a.E(), k = a.k();
  int64_t begin, end;
  c.range(a.rows(), begin, end);
  if (!stack) {
    std::memcpy(a.ids() + begin * k, a.chosen() + begin * k, size_t(end - begin) * size_t(k) * 4);
    std::memcpy(a.weights() + begin * k, a.chosen_weights() + begin * k,
                size_t(end - begin) * size_t(k) * 4);
    return;
  }
  uint8_t* there = c.team->shared;
  std::atomic<uint8_t>* needed = reinterpret_cast<std::atomic<uint8_t>*>(there + E);
  c.barrier([&] {
    stack->store->there(stack->layer, there);
    std::memset(there + E, 0, size_t(E));
  });
  const auto row = [&](int64_t r) {
    return Row{a.chosen() + r * k, a.chosen_weights() + r * k, a.order() + r * E, a.scores() + r * E};
  };
  const Rule alone{E, a.prefer(), a.drop(), there};
  for (int64_t r = begin; r < end; r++) {
    for (int64_t j = 0; j < k; j++)
      if (a.chosen()[r * k + j] < 0 || a.chosen()[r * k + j] >= E)
        return c.fail("moe_reroute: an expert id is outside 0 to E - 1"), c.barrier();
    const Choice choice = decide(alone, row(r), k);
    for (int64_t j = 0; j < k; j++)
      if (choice.ids[j] >= 0 && !there[choice.ids[j]])
        needed[choice.ids[j]].store(1, std::memory_order_relaxed);
  }
  c.barrier();
  uint8_t* known = c.scratch;
  for (int64_t e = 0; e < E; e++) known[e] = there[e] | needed[e].load(std::memory_order_relaxed);
  const Rule together{E, a.prefer(), a.drop(), known};
  uint64_t swapped = 0, dropped = 0;
  for (int64_t r = begin; r < end && c.ok(); r++) {
    const Choice choice = decide(together, row(r), k);
    write(choice, a.norm_topk(), a.chosen_weights() + r * k, a.ids() + r * k, a.weights() + r * k);
    swapped += uint64_t(choice.swapped);
    dropped += uint64_t(choice.dropped);
  }
  stack->store->rerouted(uint64_t(end - begin) * uint64_t(k), swapped, dropped);
}

const char* check(const Args& args) {
  if (const char* problem = MoeRerouteArgs::mismatch(args)) return problem;
  const MoeRerouteArgs a(args);
  const int64_t rows = a.rows(), E = a.E(), k = a.k(), chosen = rows * k * 4, all = rows * E * 4;
  if (rows < 0 || E <= 0 || E > kMaxExperts) return "moe_reroute: the number of experts is not in 1 ... 4096";
  if (k <= 0 || k > E || k > kMostChosen) return "moe_reroute: k is not in 1 ... 64, or more than E";
  if (!(a.prefer() >= 0 && a.prefer() <= 1 && a.drop() >= 0 && a.drop() < 1))
    return "moe_reroute: prefer is not in 0 ... 1, or drop not below 1";
  if (a.chosen_buf().bytes < chosen || a.chosen_weights_buf().bytes < chosen || a.ids_buf().bytes < chosen ||
      a.weights_buf().bytes < chosen)
    return "moe_reroute: ids or weights smaller than [rows, k]";
  if (a.order_buf().bytes < all || a.scores_buf().bytes < all)
    return "moe_reroute: order or scores smaller than [rows, E]";
  if (a.experts_buf().stack && a.experts_buf().stack->in().experts != E)
    return "moe_reroute: the stack has another number of experts than E";
  return nullptr;
}

size_t shared_bytes(const Args& args, int) { return size_t(2 * MoeRerouteArgs(args).E()); }

const KernelDef defs[] = {{"moe_reroute", run, shared_bytes, check, nullptr, true}};

}  // namespace
extern const Table reroute_table;
const Table reroute_table = {defs, 1};
}  // namespace ingot::INGOT_NS
