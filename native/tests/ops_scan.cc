// scan against a loop in double (integers: as written), over rows and columns, both directions, chunks of
// long rows, and the same bits at every level and for any number of threads.
#include <algorithm>

#include "ops_test.h"

namespace ingot::tests {
namespace {

enum Kind { kSum, kProduct, kMax, kMin, kLogSum };
enum DType { dF32, dF16, dBF16, dI32, dU32 };

struct Case {
  int64_t outer, D, inner;
  bool reverse, exclusive;
};

double fold(int kind, double before, double x) {
  switch (kind) {
    case kSum:
      return before + x;
    case kProduct:
      return before * x;
    case kMax:
      return std::isnan(before) || before > x ? before : x;
    case kMin:
      return std::isnan(before) || before < x ? before : x;
    default: {
      const double top = std::max(before, x);
      return std::isinf(top) ? top : top + std::log(std::exp(before - top) + std::exp(x - top));
    }
  }
}
double nothing(int kind) {
  const double inf = std::numeric_limits<double>::infinity();
  return kind == kSum ? 0 : kind == kProduct ? 1 : kind == kMin ? inf : -inf;
}

template <class T>
std::string scan(Level level, const Case& c, int kind, int dtype, std::vector<T>& x, std::vector<T>& y,
                 int threads) {
  return Call(level, "scan")
      .buf(x)
      .buf(y)
      .params({double(c.outer), double(c.D), double(c.inner), double(kind), double(dtype), double(c.reverse),
               double(c.exclusive)})
      .run(threads);
}

void floats_case(Report& report, Level level, const Case& c) {
  Random random(uint64_t(c.D * 5 + c.inner));
  const int64_t n = c.outer * c.D * c.inner;
  for (int kind : {kSum, kProduct, kMax, kMin, kLogSum}) {
    std::vector<float> x = kind == kProduct ? random.floats(n, 0.9, 1.1) : random.floats(n, -3, 3);
    std::vector<double> want(size_t(n), 0), bound(size_t(n), 0);
    for (int64_t row = 0; row < c.outer * c.inner; row++) {
      double value = nothing(kind), size = 0;
      for (int64_t k = 0; k < c.D; k++) {
        const int64_t d = c.reverse ? c.D - 1 - k : k;
        const auto at = size_t((row / c.inner * c.D + d) * c.inner + row % c.inner);
        const double next = fold(kind, value, x[at]);
        want[at] = c.exclusive ? value : next;
        size += std::fabs(x[at]);
        bound[at] =
            kind == kSum
                ? kEps * (2 * std::fabs(next) + 5 * std::min(size, 48.) * std::sqrt(1 + double(k) / 16))
            : kind == kProduct ? 2 * kEps * std::fabs(want[at]) + 0x1p-149
            : kind == kLogSum  ? kEps * (8 + 4 * std::fabs(next))
                               : 0;
        value = next;
      }
    }
    std::vector<float> y(x.size()), one(x.size());
    const std::string message = scan(level, c, kind, dF32, x, y, report.threads());
    report.expect(message.empty(), "scan: " + message);
    report.near("scan kind " + std::to_string(kind) + " of " + std::to_string(c.outer) + " x " +
                    std::to_string(c.D) + " x " + std::to_string(c.inner),
                y.data(), want, bound);
    scan(level, c, kind, dF32, x, one, 1);
    report.expect(one == y, "scan depends on the number of threads");
    if (kind == kLogSum) continue;
    scan(kScalar, c, kind, dF32, x, one, 2);
    report.expect(one == y, "scan depends on the level, kind " + std::to_string(kind));
  }
}

template <class T> void integers_case(Report& report, Level level, const Case& c, int dtype) {
  Random random(uint64_t(c.D));
  std::vector<T> x(size_t(c.outer * c.D * c.inner)), y(x.size()), want(x.size());
  for (auto& v : x) v = T(random.integer(-2000000000, 2000000000));
  const bool is_signed = std::is_signed_v<T>;
  for (int kind : {kSum, kProduct, kMax, kMin}) {
    for (int64_t row = 0; row < c.outer * c.inner; row++) {
      T value = kind == kSum       ? 0
                : kind == kProduct ? 1
                : kind == kMax     ? std::numeric_limits<T>::lowest()
                                   : std::numeric_limits<T>::max();
      for (int64_t k = 0; k < c.D; k++) {
        const int64_t d = c.reverse ? c.D - 1 - k : k;
        const auto at = size_t((row / c.inner * c.D + d) * c.inner + row % c.inner);
        const uint32_t a = uint32_t(value), b = uint32_t(x[at]);
        const T next = kind == kSum       ? T(a + b)
                       : kind == kProduct ? T(a * b)
                       : kind == kMax     ? std::max(value, x[at])
                                          : std::min(value, x[at]);
        want[at] = c.exclusive ? value : next;
        value = next;
      }
    }
    report.expect(scan(level, c, kind, dtype, x, y, report.threads()).empty(), "scan of integers failed");
    report.expect(y == want, std::string("scan of ") + (is_signed ? "i32" : "u32") + " differs, kind " +
                                 std::to_string(kind));
  }
}

void halves(Report& report, Level level) {
  Random random(11);
  std::vector<float> values = random.floats(2 * 37, -2, 2);
  for (int64_t inner : {1, 2}) {
    std::vector<uint16_t> x, y(values.size());
    for (float v : values) x.push_back(half_from_float(v));
    const Case c{2 / inner, 37, inner, false, false};
    report.expect(scan(level, c, kSum, dF16, x, y, 2).empty(), "scan of f16 failed");
    for (int64_t row = 0; row < 2; row++) {
      double sum = 0;
      for (int64_t k = 0; k < 37; k++) {
        const auto at = size_t((row / inner * 37 + k) * inner + row % inner);
        sum += float_from_half(x[at]);
        report.expect(std::fabs(float_from_half(y[at]) - sum) <= std::fabs(sum) * 0x1p-11 + 1e-5,
                      "scan of f16 differs");
      }
    }
  }
}

void extremes(Report& report, Level level) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x{1, NAN, 3, -inf}, y(4);
  scan(level, {1, 4, 1, false, false}, kMax, dF32, x, y, 1);
  report.expect(y[0] == 1 && std::isnan(y[1]) && std::isnan(y[3]), "cummax drops NaN");
  x = {-inf, -inf, 2, inf};
  scan(level, {1, 4, 1, false, false}, kLogSum, dF32, x, y, 1);
  report.expect(y[0] == -inf && y[1] == -inf && std::fabs(y[2] - 2) < 1e-6 && y[3] == inf,
                "logcumsumexp of infinities differs");
  x = {1e30f, 1e30f, 1e30f, 1};
  scan(level, {1, 4, 1, false, false}, kProduct, dF32, x, y, 1);
  report.expect(y[1] == inf && y[2] == inf && y[3] == inf, "cumprod that overflows differs");
  report.expect(!scan(level, {1, 5, 1, false, false}, kSum, dF32, x, y, 1).empty(), "scan past x accepted");
  report.expect(!scan(level, {1, 4, 1, false, false}, kLogSum, dI32, x, y, 1).empty(),
                "logarithms of integers accepted");
}

void scan_level(Report& report, Level level) {
  for (bool reverse : {false, true})
    for (bool exclusive : {false, true}) {
      floats_case(report, level, {5, 16, 1, reverse, exclusive});
      floats_case(report, level, {19, 45, 1, reverse, exclusive});
      floats_case(report, level, {2, 33, 7, reverse, exclusive});
      floats_case(report, level, {1, 9, 300, reverse, exclusive});
      integers_case<int32_t>(report, level, {3, 41, 1, reverse, exclusive}, dI32);
      integers_case<uint32_t>(report, level, {2, 18, 21, reverse, exclusive}, dU32);
    }
  floats_case(report, level, {1, 300001, 1, false, false});
  floats_case(report, level, {2, 262144, 1, true, true});
  halves(report, level);
  extremes(report, level);
}

}  // namespace

void scan_tests(Report& report) {
  report.each_level("scan", [&](Level level) { scan_level(report, level); });
}

}  // namespace ingot::tests
