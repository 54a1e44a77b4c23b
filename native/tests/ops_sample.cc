// sample against a full sort in double, its failures, penalties and counts.
#include <algorithm>

#include "ops_test.h"

namespace ingot::tests {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

struct Params {
  double temperature, top_k, top_p, min_p;
};

// Philox4x32-10, written out again from the paper.
uint32_t philox(uint32_t seed, uint32_t step) {
  uint32_t c[4] = {step, 0, 0, 0}, k[2] = {seed, 0};
  for (int i = 0; i < 10; i++) {
    const uint64_t p0 = uint64_t(0xD2511F53) * c[0], p1 = uint64_t(0xCD9E8D57) * c[2];
    const uint32_t next[4] = {uint32_t(p1 >> 32) ^ c[1] ^ k[0], uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ k[1], uint32_t(p0)};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B9, k[1] += 0xBB67AE85;
  }
  return c[0];
}

struct Drawn {
  int32_t id;
  double margin;  // distance of the random number from the nearest boundary it was compared with, as a share of 1
};
Drawn reference(const Floats& x, const Params& p, uint32_t seed, uint32_t step) {
  Ints order;
  for (size_t i = 0; i < x.size(); i++) order.push_back(int32_t(i));
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[size_t(a)] > x[size_t(b)]; });
  if (p.temperature == 0) return {order[0], 1};
  std::vector<double> w;
  for (int32_t id : order) w.push_back(std::exp((double(x[size_t(id)]) - x[size_t(order[0])]) / p.temperature));
  size_t kept = p.top_k > 0 ? std::min(size_t(p.top_k), w.size()) : w.size();
  double total = 0, margin = 1;
  for (size_t i = 0; i < kept; i++) total += w[i];
  if (p.top_p < 1) {
    double sum = 0;
    size_t n = 0;
    while (n < kept && (n == 0 || sum < p.top_p * total)) sum += w[n++], margin = std::min(margin, std::fabs(sum / total - p.top_p));
    kept = n;
    total = sum;
  }
  if (p.min_p > 0) {
    size_t n = 0;
    total = 0;
    while (n < kept && w[n] >= p.min_p) total += w[n++];
    if (n < w.size()) margin = std::min(margin, std::fabs(w[n] - p.min_p));
    if (w[n - 1] != p.min_p) margin = std::min(margin, w[n - 1] - p.min_p);  // equality is exact: the weight of the best is 1
    kept = n;
  }
  const double u = double(philox(seed, step)) * 0x1p-32;
  double sum = 0;
  for (size_t i = 0; i < kept; i++) {
    sum += w[i];
    margin = std::min(margin, std::fabs(sum / total - u));
    if (sum > u * total) return {order[i], margin};
  }
  return {order[kept - 1], 0};
}

void sample_case(Report& report, Level level, const Floats& logits, const Params& p, int draws) {
  Floats x = logits;
  const double V = double(x.size());
  double top = -HUGE_VAL, total = 0;
  for (float v : x) top = std::max(top, double(v));
  for (float v : x) total += std::exp(v - top);
  int checked = 0;
  for (int step = 0; step < draws; step++) {
    const Drawn want = reference(x, p, 1234, uint32_t(step));
    std::vector<uint32_t> id(1), again(1);
    Floats logprob(1), top_logprobs(5);
    Ints top_ids(5);
    const auto run = [&](std::vector<uint32_t>& out, int threads) {
      return Call(level, "sample").buf(x).buf(out).buf(logprob).buf(top_ids).buf(top_logprobs)
          .params({V, p.temperature, p.top_k, p.top_p, p.min_p, 1234, double(step), 5}).run(threads);
    };
    const std::string message = run(id, 1) + run(again, 3);
    report.expect(message.empty(), "sample: " + message);
    if (id != again) return report.expect(false, "sample depends on the number of threads");
    char name[160];
    snprintf(name, sizeof name, "sample V %.0f T %g topK %g topP %g minP %g step %d", V, p.temperature, p.top_k, p.top_p, p.min_p, step);
    // a draw that lands on a boundary within rounding may go either way
    if (want.margin > 1e-6) {
      checked++;
      if (int32_t(id[0]) != want.id) return report.expect(false, std::string(name) + ": got " + std::to_string(id[0]) + ", want " + std::to_string(want.id));
    }
    report.near(name, logprob.data(), {x[id[0]] - top - std::log(total)}, 32 * kEps * (4 + std::fabs(top) + std::fabs(x[id[0]])));
    Ints order;
    for (size_t i = 0; i < x.size(); i++) order.push_back(int32_t(i));
    std::partial_sort(order.begin(), order.begin() + 5, order.end(), [&](int a, int b) { return x[size_t(a)] != x[size_t(b)] ? x[size_t(a)] > x[size_t(b)] : a < b; });
    order.resize(5);
    if (top_ids != order) return report.expect(false, std::string(name) + ": wrong topIds");
    std::vector<double> want_top;
    for (int32_t i : order) want_top.push_back(x[size_t(i)] - top - std::log(total));
    report.near("topLogprobs", top_logprobs.data(), want_top, 32 * kEps * (4 + std::fabs(top) + 30));
  }
  char name[100];
  snprintf(name, sizeof name, "V %.0f T %g topK %g topP %g minP %g", V, p.temperature, p.top_k, p.top_p, p.min_p);
  report.expect(checked * 2 >= draws, std::string(name) + ": most draws were too close to a boundary to be checked");
}

Floats make_logits(Random& random, int64_t V, double spread) {
  Floats x;
  for (int64_t i = 0; i < V; i++) x.push_back(float((random.uniform(-1, 1) + random.uniform(-1, 1) + random.uniform(-1, 1)) * spread));
  return x;
}

void failures(Report& report, Level level) {
  Floats x(5000, 0.5f), logprob(1), none;
  std::vector<uint32_t> id(1);
  Ints ids;
  const auto attempt = [&](int threads) {
    return Call(level, "sample").buf(x).buf(id).buf(logprob).buf(ids).buf(none).params({5000, 1, 0, 1, 0, 1, 1, 0}).run(threads);
  };
  report.expect(attempt(2).empty(), "equal logits refused");
  x[4321] = NAN;
  report.expect(attempt(2).find("NaN (first at token 4321") != std::string::npos, "NaN accepted: " + attempt(2));
  x[4321] = HUGE_VALF;
  report.expect(attempt(2).find("+infinity") != std::string::npos, "+infinity accepted");
  std::fill(x.begin(), x.end(), -HUGE_VALF);
  report.expect(attempt(2).find("no token is allowed") != std::string::npos, "all -infinity accepted");
  x[77] = -3;
  report.expect(attempt(2).empty() && id[0] == 77, "the only allowed token was not drawn");
}

void penalties(Report& report, Level level) {
  Floats x{1, -1, 2, 0.5f};
  Ints counts{0, 2, 3, 0}, ids{1, 3, 3};
  report.expect(Call(level, "penalize").buf(x).buf(counts).params({4, 2, 0.25, 0.5}).run(2).empty(), "penalize failed");
  report.expect(x == Floats{1, -2 - 0.25f - 1, 1 - 0.25f - 1.5f, 0.5f}, "penalize differs");
  report.expect(Call(level, "count").buf(ids).buf(counts).params({3, 4}).run(2).empty() && counts == Ints{0, 3, 3, 2}, "count differs");
  ids[1] = 4;
  report.expect(Call(level, "count").buf(ids).buf(counts).params({3, 4}).run(2).find("token 4 at place 1") != std::string::npos, "count outside the vocabulary accepted");
}

}  // namespace

void sample_tests(Report& report) {
  report.each_level("sample", [&](Level level) {
    report.expect(philox(0, 0) == 0x6627e8d5u, "the test's own Philox disagrees with the published vector");
    Random random(12);
    for (int64_t V : {5, 100, 7001}) {
      const int draws = V > 1000 ? 4 : 25;
      const Floats x = make_logits(random, V, V > 1000 ? 8 : 2);
      for (const Params& p : std::initializer_list<Params>{
               {0, 0, 1, 0}, {1, 0, 1, 0}, {0.7, 0, 1, 0}, {3, 0, 1, 0}, {0.01, 0, 1, 0}, {1, 3, 1, 0}, {1, 40, 0.9, 0}, {1, 0, 0.9, 0},
               {1, 0, 0.5, 0}, {1, 0, 1, 0.05}, {0.8, 0, 0.95, 0.1}, {1, 50, 0.95, 0.02}, {1, 0, 0, 0}, {1, 0, 1, 1}, {2, 1e9, 0.3, 0.3}})
        sample_case(report, level, x, p, draws);
    }
    // ties, masked tokens, one value far above and far below
    Floats flat(3000, 1.25f), masked = make_logits(random, 4000, 3), outlier = make_logits(random, 4000, 3);
    for (size_t i = 0; i < masked.size(); i++)
      if (i % 7) masked[i] = -HUGE_VALF;
    outlier[9] = -1e30f;
    sample_case(report, level, flat, {1, 0, 1, 0}, 8);
    sample_case(report, level, flat, {1, 5, 0.5, 0}, 8);
    sample_case(report, level, flat, {1, 0, 0.2501, 0.5}, 8);
    sample_case(report, level, masked, {1, 0, 0.9, 0}, 8);
    sample_case(report, level, masked, {1.5, 0, 1, 0.01}, 8);
    sample_case(report, level, outlier, {1, 0, 0.9, 0}, 8);
    failures(report, level);
    penalties(report, level);
  });
}

}  // namespace ingot::tests
