// attention against a double-precision reference: head groupings, cache types, windows, rings, soft caps,
// sinks, pages.
#include "ops_test.h"

namespace ingot::tests {
namespace {

struct Case {
  int64_t rows, H, Hkv, Dh, cap, start;  // row i is at position start + i
  bool half;
  int64_t window, ring;
  double softcap;
  bool sinks;
  bool exact = true;
};

// Scores of each head exactly, in double; returns y and, per element, the error bound.
struct Expected {
  std::vector<double> y, bound;
};
Expected reference(const Case& c, const std::vector<float>& q, const std::vector<float>& k,
                   const std::vector<float>& v, const std::vector<float>& sinks, double scale) {
  Expected out;
  const int64_t G = c.H / c.Hkv;
  for (int64_t r = 0; r < c.rows; r++) {
    for (int64_t h = 0; h < c.H; h++) {
      const int64_t p = c.start + r;
      int64_t lo = c.window ? std::max<int64_t>(0, p - c.window + 1) : 0;
      if (c.ring) lo = std::max<int64_t>(lo, p - c.ring + 1);
      std::vector<double> s;
      double top = -HUGE_VAL, magnitude = 0;
      for (int64_t j = lo; j <= p; j++) {
        const int64_t slot = c.ring ? j % c.ring : j;
        double dot = 0, size = 0;
        for (int64_t d = 0; d < c.Dh; d++) {
          const double term =
              double(q[size_t((r * c.H + h) * c.Dh + d)]) * k[size_t(((h / G) * c.cap + slot) * c.Dh + d)];
          dot += term;
          size += std::fabs(term);
        }
        magnitude = std::max(magnitude, size * scale);
        dot *= scale;
        if (c.softcap > 0) dot = c.softcap * std::tanh(dot / c.softcap);
        s.push_back(dot);
        top = std::max(top, dot);
      }
      double total = 0;
      for (double& x : s) total += x = std::exp(x - top);
      if (c.sinks) total += std::exp(double(sinks[size_t(h)]) - top);
      for (int64_t d = 0; d < c.Dh; d++) {
        double y = 0, size = 0;
        for (int64_t j = lo; j <= p; j++) {
          const int64_t slot = c.ring ? j % c.ring : j;
          const double term = s[size_t(j - lo)] / total * v[size_t(((h / G) * c.cap + slot) * c.Dh + d)];
          y += term;
          size += std::fabs(term);
        }
        out.y.push_back(y);
        // scores: Dh roundings each; weights: exp and the sum over the keys; values: one rounding per key
        const double terms = 4.0 * double(c.Dh + 4) * magnitude + 2.0 * std::sqrt(double(p + 1)) + 32;
        double relative = terms * kEps;
        // One rounding to bf16 of q and k, which changes weights and their sum; of weights in both; of v
        if (!c.exact) relative += std::expm1(2 * 2 * 0x1p-9 * magnitude) + 3 * 0x1p-9;
        out.bound.push_back(relative * (size + 1e-6));
      }
    }
  }
  return out;
}

void check(Report& report, Level level, const Case& c, uint64_t seed) {
  Random random(seed);
  const size_t cache = size_t(c.Hkv * c.cap * c.Dh);
  auto q = random.floats(c.rows * c.H * c.Dh, -2, 2), k = random.floats(int64_t(cache), -2, 2),
       v = random.floats(int64_t(cache), -1, 1);
  auto sinks = random.floats(c.H, -1, 3);
  std::vector<uint16_t> kh(cache), vh(cache);
  if (c.half) {
    for (size_t i = 0; i < cache; i++) {
      k[i] = float_from_half(kh[i] = half_from_float(k[i]));
      v[i] = float_from_half(vh[i] = half_from_float(v[i]));
    }
  }
  std::vector<int32_t> positions;
  for (int64_t r = 0; r < c.rows; r++) positions.push_back(int32_t(c.start + r));
  const double scale = 1 / std::sqrt(double(c.Dh));
  std::vector<float> y(q.size(), 7.f);
  std::vector<float> first;
  const Expected want = reference(c, q, k, v, sinks, scale);
  char name[160];
  snprintf(name, sizeof name,
           "rows %lld heads %lld/%lld x %lld start %lld %s window %lld ring %lld softcap %g sinks %d%s",
           (long long)c.rows, (long long)c.H, (long long)c.Hkv, (long long)c.Dh, (long long)c.start,
           c.half ? "f16" : "f32", (long long)c.window, (long long)c.ring, c.softcap, c.sinks,
           c.exact ? "" : " fast");
  for (int threads : {1, 3}) {
    Call call(level, "attention");
    call.buf(q);
    if (c.half) call.buf(kh).buf(vh);
    else call.buf(k).buf(v);
    call.buf(positions);
    if (c.sinks) call.buf(sinks);
    else call.none();
    call.buf(y).none().none().params({double(c.rows), double(c.H), double(c.Hkv), double(c.Dh), double(c.cap),
                                      c.half ? 1. : 0., scale, double(c.window), c.softcap, double(c.ring), 0,
                                      0, c.exact ? 1. : 0.});
    const std::string message = call.run(threads);
    report.expect(message.empty(), std::string(name) + ": " + message);
    report.near(name, y.data(), want.y, want.bound);
    if (threads == 1) first = y;
    else report.expect(first == y, std::string(name) + ": result depends on the number of threads");
  }
}

// A paged cache of several sequences, each with rows at its end, its pages anywhere and those before the
// window gone.
struct Paged {
  Case shape;  // of every sequence but for rows and start
  std::vector<std::pair<int64_t, int64_t>> sequences;  // start, rows
};
struct PagedResult {
  std::string message;
  std::vector<std::vector<float>> y;  // per sequence
};

// Runs the sequences `chosen` in one dispatch. Keys, values and queries of a sequence depend on its number
// only.
PagedResult run_paged(Level level, const Paged& p, const std::vector<size_t>& chosen, uint64_t page_seed,
                      int threads, std::vector<double>* want, std::vector<double>* bound) {
  const Case& c = p.shape;
  const int64_t max_pages = 30, pages = 100, cap = pages * 32, S = int64_t(chosen.size());
  std::vector<int32_t> free(static_cast<size_t>(pages)), table(size_t(S * max_pages), -1), sequences,
      positions;
  for (size_t i = 0; i < free.size(); i++) free[i] = int32_t(i);
  Random shuffle(page_seed);
  for (size_t i = free.size() - 1; i > 0 && page_seed; i--)
    std::swap(free[i], free[size_t(shuffle.uniform(0, double(i + 1)))]);
  std::vector<float> k(size_t(c.Hkv * cap * c.Dh), NAN), v(k.size(), NAN), q,
      sinks = Random(3).floats(c.H, -1, 3);
  for (int64_t s = 0; s < S; s++) {
    const auto [start, rows] = p.sequences[chosen[size_t(s)]];
    const int64_t length = start + rows;
    Random random(100 + chosen[size_t(s)]);
    std::vector<float> ks = random.floats(c.Hkv * length * c.Dh, -2, 2),
                       vs = random.floats(c.Hkv * length * c.Dh, -1, 1);
    if (c.half)
      for (auto* x : {&ks, &vs})
        for (float& f : *x) f = float_from_half(half_from_float(f));
    const std::vector<float> qs = random.floats(rows * c.H * c.Dh, -2, 2);
    q.insert(q.end(), qs.begin(), qs.end());
    if (want) {
      const Expected e =
          reference({rows, c.H, c.Hkv, c.Dh, length, start, c.half, c.window, 0, c.softcap, c.sinks, c.exact},
                    qs, ks, vs, sinks, 1 / std::sqrt(double(c.Dh)));
      want->insert(want->end(), e.y.begin(), e.y.end());
      bound->insert(bound->end(), e.bound.begin(), e.bound.end());
    }
    for (int64_t r = 0; r < rows; r++)
      sequences.push_back(int32_t(s)), positions.push_back(int32_t(start + r));
    const int64_t first = c.window ? std::max<int64_t>(0, start - c.window + 1) / 32 : 0;
    for (int64_t page = first; page * 32 < length; page++) {
      table[size_t(s * max_pages + page)] = free.back();
      free.pop_back();
    }
    for (int64_t h = 0; h < c.Hkv; h++)
      for (int64_t j = first * 32; j < length; j++)
        for (int64_t d = 0; d < c.Dh; d++) {
          const size_t to =
                           size_t((h * cap + table[size_t(s * max_pages + j / 32)] * 32 + j % 32) * c.Dh + d),
                       from = size_t((h * length + j) * c.Dh + d);
          k[to] = ks[from], v[to] = vs[from];
        }
  }
  std::vector<uint16_t> kh, vh;
  for (float x : k) kh.push_back(half_from_float(x));
  for (float x : v) vh.push_back(half_from_float(x));
  std::vector<float> y(q.size(), 7.f);
  Call call(level, "attention");
  call.buf(q);
  if (c.half) call.buf(kh).buf(vh);
  else call.buf(k).buf(v);
  call.buf(positions);
  if (c.sinks) call.buf(sinks);
  else call.none();
  call.buf(y).buf(sequences).buf(table).params({double(positions.size()), double(c.H), double(c.Hkv),
                                                double(c.Dh), double(cap), c.half ? 1. : 0.,
                                                1 / std::sqrt(double(c.Dh)), double(c.window), c.softcap, 0,
                                                double(S), double(max_pages), c.exact ? 1. : 0.});
  PagedResult result{call.run(threads), {}};
  auto at = y.begin();
  for (size_t s : chosen) {
    const auto end = at + p.sequences[s].second * c.H * c.Dh;
    result.y.emplace_back(at, end);
    at = end;
  }
  return result;
}

// Each sequence against the reference, and bit for bit the same alone, in another order, on other pages and
// threads.
void check_paged(Report& report, Level level, const Paged& p) {
  std::vector<size_t> all;
  for (size_t s = 0; s < p.sequences.size(); s++) all.push_back(s);
  std::vector<double> want, bound;
  const PagedResult together = run_paged(level, p, all, 0, 1, &want, &bound);
  report.expect(together.message.empty(), "paged: " + together.message);
  std::vector<float> y;
  for (const auto& part : together.y) y.insert(y.end(), part.begin(), part.end());
  report.near("paged", y.data(), want, bound);
  std::vector<size_t> reversed(all.rbegin(), all.rend());
  const PagedResult mixed = run_paged(level, p, reversed, 5, 3, nullptr, nullptr);
  for (size_t s : all) {
    report.expect(mixed.y[all.size() - 1 - s] == together.y[s],
                  "paged: a row depends on the order of sequences, pages or threads");
    report.expect(run_paged(level, p, {s}, 9 + s, 2, nullptr, nullptr).y[0] == together.y[s],
                  "paged: a row depends on the other sequences");
  }
}

void refused_pages(Report& report, Level level) {
  std::vector<float> q(128), k(64 * 64), v(64 * 64), y(128);
  const auto attempt = [&](std::vector<int32_t> positions, std::vector<int32_t> sequences,
                           std::vector<int32_t> table, int64_t cap, int64_t S) {
    return Call(level, "attention")
        .buf(q)
        .buf(k)
        .buf(v)
        .buf(positions)
        .none()
        .buf(y)
        .buf(sequences)
        .buf(table)
        .params({double(positions.size()), 1, 1, 64, double(cap), 0, 1, 0, 0, 0, double(S), 2, 1})
        .run(2);
  };
  report.expect(attempt({40, 3}, {1, 0}, {1, -1, 0, 1}, 64, 2).empty(),
                "a table with a page missing that no row sees was refused");
  report.expect(
      attempt({40, 3}, {0, 1}, {1, -1, 0, 1}, 64, 2).find("page 1 of sequence 0") != std::string::npos,
      "a missing page accepted");
  report.expect(
      attempt({40, 3}, {1, 0}, {1, -1, 2, 1}, 64, 2).find("page 0 of sequence 1") != std::string::npos,
      "a page outside the cache accepted");
  report.expect(attempt({64, 3}, {1, 0}, {1, -1, 0, 1}, 64, 2).find("position 64") != std::string::npos,
                "a position outside the table accepted");
  report.expect(attempt({4, 3}, {2, 0}, {1, -1, 0, 1}, 64, 2).find("sequence 2") != std::string::npos,
                "a sequence outside the table accepted");
  report.expect(attempt({4, 3}, {1, 0}, {1, -1, 0, 1}, 64, 3).find("page table smaller") != std::string::npos,
                "a short table accepted");
  report.expect(attempt({4, 3}, {1, 0}, {1, -1, 0, 1}, 63, 2).find("multiple of 32") != std::string::npos,
                "half a page accepted");
  report.expect(attempt({0, 1, 1}, {0, 1, 0}, {1, -1, 0, 1}, 64, 2).find("smaller") != std::string::npos,
                "short queries accepted");
  report.expect(attempt({0, 1}, {0, 0}, {1, -1}, 64, 1).empty(), "two rows of a sequence refused");
}

}  // namespace

void attention_tests(Report& report) {
  report.each_level("attention", [&](Level level) {
    uint64_t seed = 1;
    const auto grid_case = [&](const Case& c) {
      if (report.next_of_grid()) check(report, level, c, seed);
      seed++;
    };
    for (const auto& [half, exact] : {std::pair{false, true}, {true, true}, {true, false}}) {
      for (int64_t rows : {1, 2, 4, 5, 37, 130}) {
        grid_case({rows, 9, 3, 64, 700, 511, half, 0, 0, 0, false, exact});
        grid_case({rows, 8, 2, 32, 300, 0, half, 0, 0, 0, true, exact});
        grid_case({rows, 5, 1, 80, 260, 77, half, 33, 0, 0, false, exact});
        grid_case({rows, 4, 4, 19, 200, 3, half, 0, 0, 5.0, true, exact});
        grid_case({rows, 6, 3, 128, 256, 400, half, 64, 200, 0, false, exact});
        grid_case({rows, 14, 2, 40, 256, 1000, half, 50, 256, 2.0, true, exact});
      }
    }
    const std::vector<std::pair<int64_t, int64_t>> sequences{{0, 1},  {500, 1},  {31, 1}, {0, 40}, {64, 1},
                                                             {10, 5}, {95, 130}, {3, 2},  {811, 1}};
    for (const auto& [half, exact] : {std::pair{false, true}, {true, true}, {true, false}}) {
      check_paged(report, level, {{0, 9, 3, 64, 0, 0, half, 0, 0, 0, false, exact}, sequences});
      check_paged(report, level, {{0, 5, 1, 19, 0, 0, half, 33, 0, 0, true, exact}, sequences});
      check_paged(report, level, {{0, 4, 2, 128, 0, 0, half, 70, 0, 5.0, false, exact}, sequences});
    }
    refused_pages(report, level);
    // what must be refused
    std::vector<float> q(64), k(640), v(640), y(64);
    std::vector<int32_t> positions{10};
    auto attempt = [&](std::initializer_list<double> params) {
      return Call(level, "attention")
          .buf(q)
          .buf(k)
          .buf(v)
          .buf(positions)
          .none()
          .buf(y)
          .none()
          .none()
          .params(params)
          .run(2);
    };
    report.expect(attempt({1, 1, 1, 64, 10, 0, 1, 0, 0, 0, 0, 0, 1}).find("position 10") != std::string::npos,
                  "position outside the cache accepted");
    report.expect(attempt({1, 1, 1, 64, 11, 0, 1, 0, 0, 0, 0, 0, 1}).find("smaller") != std::string::npos,
                  "short cache accepted");
    report.expect(attempt({1, 3, 2, 64, 1, 0, 1, 0, 0, 0, 0, 0, 1}).find("multiple") != std::string::npos,
                  "3 heads on 2 kv heads accepted");
    report.expect(attempt({0, 1, 1, 64, 10, 0, 1, 0, 0, 0, 0, 0, 1}).empty(), "zero rows refused");
  });
}

}  // namespace ingot::tests
