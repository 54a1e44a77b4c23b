// attention against a double-precision reference: head groupings, cache types, windows, rings, soft caps, sinks.
#include "ops_test.h"

namespace ingot::tests {
namespace {

struct Case {
  int64_t rows, H, Hkv, Dh, cap, start;  // row i is at position start + i
  bool half;
  int64_t window, ring;
  double softcap;
  bool sinks;
};

// Scores of each head exactly, in double; returns y and, per element, the error bound.
struct Expected {
  std::vector<double> y, bound;
};
Expected reference(const Case& c, const std::vector<float>& q, const std::vector<float>& k, const std::vector<float>& v,
                   const std::vector<float>& sinks, double scale) {
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
          const double term = double(q[size_t((r * c.H + h) * c.Dh + d)]) * k[size_t(((h / G) * c.cap + slot) * c.Dh + d)];
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
        out.bound.push_back(terms * kEps * (size + 1e-6));
      }
    }
  }
  return out;
}

void check(Report& report, Level level, const Case& c, uint64_t seed) {
  Random random(seed);
  const size_t cache = size_t(c.Hkv * c.cap * c.Dh);
  auto q = random.floats(c.rows * c.H * c.Dh, -2, 2), k = random.floats(int64_t(cache), -2, 2), v = random.floats(int64_t(cache), -1, 1);
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
  snprintf(name, sizeof name, "rows %lld heads %lld/%lld x %lld start %lld %s window %lld ring %lld softcap %g sinks %d",
           (long long)c.rows, (long long)c.H, (long long)c.Hkv, (long long)c.Dh, (long long)c.start, c.half ? "f16" : "f32",
           (long long)c.window, (long long)c.ring, c.softcap, c.sinks);
  for (int threads : {1, 3}) {
    Call call(level, "attention");
    call.buf(q);
    if (c.half) call.buf(kh).buf(vh);
    else call.buf(k).buf(v);
    call.buf(positions);
    if (c.sinks) call.buf(sinks);
    else call.none();
    call.buf(y).params({double(c.rows), double(c.H), double(c.Hkv), double(c.Dh), double(c.cap), c.half ? 1. : 0., scale,
                        double(c.window), c.softcap, double(c.ring)});
    const std::string message = call.run(threads);
    report.expect(message.empty(), std::string(name) + ": " + message);
    report.near(name, y.data(), want.y, want.bound);
    if (threads == 1) first = y;
    else report.expect(first == y, std::string(name) + ": result depends on the number of threads");
  }
}

}  // namespace

void attention_tests(Report& report) {
  report.each_level("attention", [&](Level level) {
    uint64_t seed = 1;
    for (bool half : {false, true}) {
      for (int64_t rows : {1, 2, 4, 5, 37, 130}) {
        check(report, level, {rows, 9, 3, 64, 700, 511, half, 0, 0, 0, false}, seed++);
        check(report, level, {rows, 8, 2, 32, 300, 0, half, 0, 0, 0, true}, seed++);
        check(report, level, {rows, 5, 1, 80, 260, 77, half, 33, 0, 0, false}, seed++);
        check(report, level, {rows, 4, 4, 19, 200, 3, half, 0, 0, 5.0, true}, seed++);
        check(report, level, {rows, 6, 3, 128, 256, 400, half, 64, 200, 0, false}, seed++);
        check(report, level, {rows, 14, 2, 40, 256, 1000, half, 50, 256, 2.0, true}, seed++);
      }
    }
    // what must be refused
    std::vector<float> q(64), k(640), v(640), y(64);
    std::vector<int32_t> positions{10};
    auto attempt = [&](std::initializer_list<double> params) {
      return Call(level, "attention").buf(q).buf(k).buf(v).buf(positions).none().buf(y).params(params).run(2);
    };
    report.expect(attempt({1, 1, 1, 64, 10, 0, 1, 0, 0, 0}).find("position 10") != std::string::npos, "position outside the cache accepted");
    report.expect(attempt({1, 1, 1, 64, 11, 0, 1, 0, 0, 0}).find("smaller") != std::string::npos, "short cache accepted");
    report.expect(attempt({1, 3, 2, 64, 1, 0, 1, 0, 0, 0}).find("multiple") != std::string::npos, "3 heads on 2 kv heads accepted");
    report.expect(attempt({0, 1, 1, 64, 10, 0, 1, 0, 0, 0}).empty(), "zero rows refused");
  });
}

}  // namespace ingot::tests
