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
    const uint32_t next[4] = {uint32_t(p1 >> 32) ^ c[1] ^ k[0], uint32_t(p1),
                              uint32_t(p0 >> 32) ^ c[3] ^ k[1], uint32_t(p0)};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B9, k[1] += 0xBB67AE85;
  }
  return c[0];
}

struct Drawn {
  int32_t id;
  double margin;  // distance of the random number from the nearest boundary it was compared with, as a share
                  // of 1
};
Drawn reference(const Floats& x, const Params& p, uint32_t seed, uint32_t step) {
  Ints order;
  for (size_t i = 0; i < x.size(); i++) order.push_back(int32_t(i));
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[size_t(a)] > x[size_t(b)]; });
  if (p.temperature == 0) return {order[0], 1};
  std::vector<double> w;
  for (int32_t id : order)
    w.push_back(std::exp((double(x[size_t(id)]) - x[size_t(order[0])]) / p.temperature));
  size_t kept = p.top_k > 0 ? std::min(size_t(p.top_k), w.size()) : w.size();
  double total = 0, margin = 1;
  for (size_t i = 0; i < kept; i++) total += w[i];
  if (p.top_p < 1) {
    double sum = 0;
    size_t n = 0;
    while (n < kept && (n == 0 || sum < p.top_p * total))
      sum += w[n++], margin = std::min(margin, std::fabs(sum / total - p.top_p));
    kept = n;
    total = sum;
  }
  if (p.min_p > 0) {
    size_t n = 0;
    total = 0;
    while (n < kept && w[n] >= p.min_p) total += w[n++];
    if (n < w.size()) margin = std::min(margin, std::fabs(w[n] - p.min_p));
    if (w[n - 1] != p.min_p)
      margin = std::min(margin, w[n - 1] - p.min_p);  // equality is exact: the weight of the best is 1
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

Settings settings(const Params& p, int step) {
  Settings s;
  s.temperature = float(p.temperature), s.top_k = int32_t(p.top_k), s.top_p = float(p.top_p),
  s.min_p = float(p.min_p), s.step = uint32_t(step);
  return s;
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
      Ints row = words({settings(p, step)});
      return Call(level, "sample")
          .buf(x)
          .buf(row)
          .buf(out)
          .buf(logprob)
          .buf(top_ids)
          .buf(top_logprobs)
          .params({1, V, 5})
          .run(threads);
    };
    const std::string message = run(id, 1) + run(again, 3);
    report.expect(message.empty(), "sample: " + message);
    if (id != again) return report.expect(false, "sample depends on the number of threads");
    char name[160];
    snprintf(name, sizeof name, "sample V %.0f T %g topK %g topP %g minP %g step %d", V, p.temperature,
             p.top_k, p.top_p, p.min_p, step);
    // a draw that lands on a boundary within rounding may go either way
    if (want.margin > 1e-6) {
      checked++;
      if (int32_t(id[0]) != want.id)
        return report.expect(false, std::string(name) + ": got " + std::to_string(id[0]) + ", want " +
                                        std::to_string(want.id));
    }
    report.near(name, logprob.data(), {x[id[0]] - top - std::log(total)},
                32 * kEps * (4 + std::fabs(top) + std::fabs(x[id[0]])));
    Ints order;
    for (size_t i = 0; i < x.size(); i++) order.push_back(int32_t(i));
    std::partial_sort(order.begin(), order.begin() + 5, order.end(), [&](int a, int b) {
      return x[size_t(a)] != x[size_t(b)] ? x[size_t(a)] > x[size_t(b)] : a < b;
    });
    order.resize(5);
    if (top_ids != order) return report.expect(false, std::string(name) + ": wrong topIds");
    std::vector<double> want_top;
    for (int32_t i : order) want_top.push_back(x[size_t(i)] - top - std::log(total));
    report.near("topLogprobs", top_logprobs.data(), want_top, 32 * kEps * (4 + std::fabs(top) + 30));
  }
  char name[100];
  snprintf(name, sizeof name, "V %.0f T %g topK %g topP %g minP %g", V, p.temperature, p.top_k, p.top_p,
           p.min_p);
  report.expect(checked * 2 >= draws,
                std::string(name) + ": most draws were too close to a boundary to be checked");
}

Floats make_logits(Random& random, int64_t V, double spread) {
  Floats x;
  for (int64_t i = 0; i < V; i++)
    x.push_back(float((random.uniform(-1, 1) + random.uniform(-1, 1) + random.uniform(-1, 1)) * spread));
  return x;
}

// Many rows of different settings: each as it is alone.
void batches(Report& report, Level level) {
  const int64_t V = 5003, B = 7;
  Random random(31);
  Floats x;
  std::vector<Settings> rows;
  const Params kinds[] = {{0, 0, 1, 0},       {1, 0, 0.9, 0},  {0.7, 40, 1, 0}, {1, 0, 1, 0.01},
                          {2, 3000, 0.99, 0}, {1, 1024, 1, 0}, {1, 1025, 1, 0}};
  for (int64_t r = 0; r < B; r++) {
    const Floats row = make_logits(random, V, 3);
    x.insert(x.end(), row.begin(), row.end());
    rows.push_back(settings(kinds[r], int(r)));
    rows.back().top = int32_t(r % 6);
  }
  const auto run = [&](int64_t first, int64_t count, int threads) {
    Floats logits(x.begin() + first * V, x.begin() + (first + count) * V), logprob(size_t(count), 9.f),
        top_logprobs(size_t(count * 5), 9.f);
    Ints some = words({rows.begin() + first, rows.begin() + first + count}), id(size_t(count), -1),
         top(size_t(count * 5), 9);
    const std::string message = Call(level, "sample")
                                    .buf(logits)
                                    .buf(some)
                                    .buf(id)
                                    .buf(logprob)
                                    .buf(top)
                                    .buf(top_logprobs)
                                    .params({double(count), double(V), 5})
                                    .run(threads);
    report.expect(message.empty(), "sample of a batch: " + message);
    std::vector<std::vector<double>> out;
    for (size_t r = 0; r < size_t(count); r++) {
      out.push_back({double(id[r]), logprob[r]});
      for (size_t i = r * 5; i < r * 5 + 5; i++)
        out.back().push_back(top[i]), out.back().push_back(top_logprobs[i]);
    }
    return out;
  };
  const auto together = run(0, B, 3);
  report.expect(together == run(0, B, 1) && together == run(0, B, 16),
                "sample of a batch depends on the number of threads");
  for (int64_t r = 0; r < B; r++)
    report.expect(run(r, 1, 2)[0] == together[size_t(r)], "sample of a row depends on the batch");
  report.expect(together[3][2 + 2 * 3] == 0 && together[3][2 + 2 * 2] != 0,
                "sample reports another number of alternatives than was wanted");
}

void failures(Report& report, Level level) {
  Floats x(5000, 0.5f), logprob(1), none;
  Ints id(1), ids, row = words({settings({1, 0, 1, 0}, 1)});
  row[11] = 0;
  const auto attempt = [&] {
    return Call(level, "sample")
        .buf(x)
        .buf(row)
        .buf(id)
        .buf(logprob)
        .buf(ids)
        .buf(none)
        .params({1, 5000, 0})
        .run(2);
  };
  const auto says = [&](float want) {
    return attempt().empty() && id[0] == 0 &&
           (logprob[0] == want || (want != want && logprob[0] != logprob[0]));
  };
  report.expect(attempt().empty(), "equal logits refused");
  x[4321] = NAN;
  report.expect(says(NAN), "NaN not told");
  x[4321] = HUGE_VALF;
  report.expect(says(HUGE_VALF), "+infinity not told");
  std::fill(x.begin(), x.end(), -HUGE_VALF);
  report.expect(says(-HUGE_VALF), "all -infinity not told");
  x[77] = -3;
  report.expect(attempt().empty() && id[0] == 77 && logprob[0] == 0, "the only allowed token was not drawn");
  row[1] = -1;
  report.expect(attempt().find("topK is negative (row 0)") != std::string::npos, "a negative topK accepted");
  row[1] = 0;
  row[11] = 1;
  report.expect(attempt().find("alternatives") != std::string::npos, "alternatives without room accepted");
}

void penalties(Report& report, Level level) {
  const float inf = HUGE_VALF;
  std::vector<Settings> rows(3);
  rows[0].slot = 1, rows[0].repetition = 2, rows[0].presence = 0.25f, rows[0].frequency = 0.5f;
  rows[1].mask = 1;
  rows[2].slot = 0, rows[2].frequency = 1, rows[2].mask = 0;
  Floats x{1, -1, 2, 0.5f, 1, -1, 2, 0.5f, 1, -1, 2, 0.5f}, values{10, -7};
  Ints some = words(rows), counts{1, 0, 0, 2, 0, 2, 3, 0}, masks{0b0111, 0b1010}, bias_rows{0, 2},
       bias_ids{3, 2};
  const auto run = [&](double B, double M) {
    return Call(level, "penalize")
        .buf(x)
        .buf(some)
        .buf(counts)
        .buf(masks)
        .buf(bias_rows)
        .buf(bias_ids)
        .buf(values)
        .params({B, 4, 2, M, 2})
        .run(2);
  };
  const std::string message = run(3, 2);
  report.expect(message.empty(), "penalize: " + message);
  report.expect(
      x == Floats{1, -2 - 0.25f - 1, 1 - 0.25f - 1.5f, 10.5f, -inf, -1, -inf, 0.5f, 0, -1, -5, -inf},
      "penalize differs");
  report.expect(run(3, 1).find("mask 1 of row 1") != std::string::npos, "a mask that is not there accepted");
  report.expect(run(2, 2).find("bias 1, for token 2 of row 2") != std::string::npos,
                "a bias of a row that is not there accepted");
  Floats wide(70, 1.f), expected(70, -inf);
  Ints plain = words({Settings{}}), wide_masks{0, 1 << 31, 1 << 5};
  plain[10] = 0;
  expected[63] = expected[69] = 1;
  report.expect(Call(level, "penalize")
                        .buf(wide)
                        .buf(plain)
                        .none()
                        .buf(wide_masks)
                        .none()
                        .none()
                        .none()
                        .params({1, 70, 0, 1, 0})
                        .run(3)
                        .empty() &&
                    wide == expected,
                "a mask of several words differs");
  Ints ids{1, 3, 3, 0}, slots{0, 1, 1, -1}, fresh{0, 1};
  const auto count = [&] {
    return Call(level, "count").buf(ids).buf(counts).buf(slots).buf(fresh).params({4, 4, 2}).run(2);
  };
  report.expect(count().empty() && counts == Ints{1, 1, 0, 2, 0, 0, 0, 2}, "count differs");
  report.expect(Call(level, "count").buf(ids).buf(counts).none().none().params({3, 4, 2}).run(2).empty() &&
                    counts == Ints{1, 2, 0, 4, 0, 0, 0, 2},
                "count without slots differs");
  ids[1] = 4;
  report.expect(count().find("token 4 of slot 1 at place 1") != std::string::npos,
                "count outside the vocabulary accepted");
}

}  // namespace

void sample_tests(Report& report) {
  report.each_level("sample", [&](Level level) {
    report.expect(philox(0, 0) == 0x6627e8d5u, "the test's own Philox disagrees with the published vector");
    Random random(12);
    for (int64_t V : {5, 100, 7001}) {
      const int draws = V > 1000 ? 4 : 25;
      const Floats x = make_logits(random, V, V > 1000 ? 8 : 2);
      for (const Params& p : std::initializer_list<Params>{{0, 0, 1, 0},
                                                           {1, 0, 1, 0},
                                                           {0.7, 0, 1, 0},
                                                           {3, 0, 1, 0},
                                                           {0.01, 0, 1, 0},
                                                           {1, 3, 1, 0},
                                                           {1, 40, 0.9, 0},
                                                           {1, 0, 0.9, 0},
                                                           {1, 0, 0.5, 0},
                                                           {1, 0, 1, 0.05},
                                                           {0.8, 0, 0.95, 0.1},
                                                           {1, 50, 0.95, 0.02},
                                                           {1, 0, 0, 0},
                                                           {1, 0, 1, 1},
                                                           {2, 1e9, 0.3, 0.3}})
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
    batches(report, level);
    failures(report, level);
    penalties(report, level);
  });
}

}  // namespace ingot::tests
