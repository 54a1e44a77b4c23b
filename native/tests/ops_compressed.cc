// The memory of DeepSeek V4 against double-precision references: entries of blocks, attention over rows and
// entries in one softmax, the matrices of hyper-connections, the choice of an indexer and attention over it.
#include <numeric>

#include "ops_test.h"

namespace ingot::tests {
namespace {

/** A cache of `elements` values, in f32 or rounded to f16. */
struct Cache {
  Cache(Random& random, int64_t elements, bool is_half)
      : half(is_half), values(random.floats(elements, -1, 1)) {
    if (!half) return;
    for (float& x : values) {
      halves.push_back(half_from_float(x));
      x = float_from_half(halves.back());
    }
  }
  void pass(Call& call) {
    if (half)
      call.buf(halves);
    else
      call.buf(values);
  }
  /** What a kernel has left in it. */
  std::vector<float> read() const {
    if (!half) return values;
    std::vector<float> out;
    for (uint16_t x : halves) out.push_back(float_from_half(x));
    return out;
  }
  bool half;
  std::vector<float> values;
  std::vector<uint16_t> halves;
};

/** Attention of `q` over vectors that are key and value: sums by a softmax in which a sink takes part. */
std::vector<double> attend(const float* q, const std::vector<const float*>& seen, int64_t W, double scale,
                           const float* sink) {
  double most = sink ? double(*sink) : -HUGE_VAL;
  std::vector<double> scores, out(static_cast<size_t>(W));
  for (const float* x : seen) {
    double dot = 0;
    for (int64_t d = 0; d < W; d++) dot += double(q[d]) * x[d];
    scores.push_back(dot * scale);
    most = std::max(most, scores.back());
  }
  double total = sink ? std::exp(double(*sink) - most) : 0;
  for (double& s : scores) total += s = std::exp(s - most);
  for (size_t i = 0; i < seen.size(); i++)
    for (int64_t d = 0; d < W; d++) out[size_t(d)] += scores[i] / total * seen[i][d];
  return out;
}

/** Values are within ±1, scores within W * scale: roundings of a score change its weight by as much. */
double attention_bound(int64_t W, double scale) {
  return 8 * kEps * (double(W) * scale * double(W + 4) + 64);
}

void compressed_attention(Report& report, Level level, bool half, bool chosen, bool sunk, int64_t W,
                          int64_t ratio) {
  Random random{uint64_t(W + ratio)};
  const int64_t rows = 5, H = 3, cap = 96, ecap = cap / ratio, window = 7, k = 4;
  Cache rowCache(random, cap * W, half), entries(random, ecap * W, half);
  std::vector<float> q = random.floats(rows * H * W), sinks = random.floats(H, -1, 2), y(q.size(), 7.f);
  std::vector<int32_t> positions = {0, 6, 31, 60, 95}, ids;
  for (int32_t p : positions) {
    const int32_t count = (p + 1) / int32_t(ratio);
    for (int32_t i = 0; i < k; i++) ids.push_back(i < count ? (i * 7) % count : -1);
  }
  const double scale = 0.2;
  Call call(level, "compressed_attention");
  call.buf(q);
  rowCache.pass(call);
  entries.pass(call);
  if (chosen)
    call.buf(ids);
  else
    call.none();
  call.buf(positions);
  if (sunk)
    call.buf(sinks);
  else
    call.none();
  call.none().none().none().buf(y).params({double(rows), double(H), double(W), double(cap), 0, double(ecap),
                                           half ? 1. : 0., chosen ? double(k) : 0., double(window),
                                           double(ratio), scale, 0, 0});
  std::vector<double> want;
  for (int64_t r = 0; r < rows; r++) {
    const int64_t p = positions[size_t(r)];
    std::vector<const float*> seen;
    for (int64_t j = std::max<int64_t>(0, p - window + 1); j <= p; j++)
      seen.push_back(&rowCache.values[size_t(j * W)]);
    if (chosen) {
      for (int64_t i = 0; i < k; i++)
        if (ids[size_t(r * k + i)] >= 0) seen.push_back(&entries.values[size_t(ids[size_t(r * k + i)] * W)]);
    } else {
      for (int64_t block = 0; block < (p + 1) / ratio; block++)
        seen.push_back(&entries.values[size_t(block * W)]);
    }
    for (int64_t h = 0; h < H; h++) {
      const auto one =
          attend(&q[size_t((r * H + h) * W)], seen, W, scale, sunk ? &sinks[size_t(h)] : nullptr);
      want.insert(want.end(), one.begin(), one.end());
    }
  }
  for (int threads : {1, 3}) {
    const std::string message = call.run(threads);
    report.expect(message.empty(), message);
    report.near("rows and entries", y.data(), want, attention_bound(W, scale));
  }
}

void chosen_attention(Report& report, Level level, bool half, int64_t W) {
  Random random{uint64_t(W) + 50};
  const int64_t rows = 4, H = 3, cap = 40, k = 6;
  Cache cache(random, cap * W, half);
  std::vector<float> q = random.floats(rows * H * W), y(q.size(), 7.f);
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < k; i++) ids.push_back(i <= r ? int32_t(random.integer(0, cap - 1)) : -1);
  Call call(level, "chosen_attention");
  call.buf(q);
  cache.pass(call);
  call.buf(ids).none().none().buf(y).params(
      {double(rows), double(H), double(W), double(cap), half ? 1. : 0., double(k), 0.2, 0, 0});
  std::vector<double> want;
  for (int64_t r = 0; r < rows; r++) {
    std::vector<const float*> seen;
    for (int64_t i = 0; i <= r && i < k; i++)
      seen.push_back(&cache.values[size_t(ids[size_t(r * k + i)] * W)]);
    for (int64_t h = 0; h < H; h++) {
      const auto one = attend(&q[size_t((r * H + h) * W)], seen, W, 0.2, nullptr);
      want.insert(want.end(), one.begin(), one.end());
    }
  }
  const std::string message = call.run(2);
  report.expect(message.empty(), message);
  report.near("chosen rows", y.data(), want, attention_bound(W, 0.2));
}

void block_write(Report& report, Level level, bool half, bool overlap, int64_t W, int64_t R, int64_t ratio) {
  Random random{uint64_t(W * ratio)};
  const int64_t cap = 12, slots = 96, C = overlap ? 2 * W : W;
  Cache pending(random, slots * 2 * C, half), entries(random, cap * W, half);
  std::vector<float> bias = random.floats(ratio * C), norm = random.floats(W, 0.5, 1.5),
                     frequencies = random.floats(R / 2, 0, 0.1);
  // The ends of the first and the last block, and a row within one: it leaves everything as it is.
  const int64_t last = std::min(cap, slots / ratio) - 1;
  std::vector<int32_t> positions = {int32_t(ratio - 1), int32_t((last + 1) * ratio - 1), int32_t(ratio)};
  const double eps = 1e-6, factor = 1.25;
  const std::vector<float> before = entries.read();
  std::vector<double> want(before.begin(), before.end()), bound(want.size(), 0);
  for (int64_t block : {int64_t(0), last}) {
    std::vector<double> x(static_cast<size_t>(W));
    double squares = 0;
    for (int64_t d = 0; d < W; d++) {
      double total = 0, sum = 0;
      for (int64_t own = overlap && block > 0 ? 0 : 1; own < 2; own++)
        for (int64_t j = 0; j < ratio; j++) {
          const int64_t column = own * (C - W) + d, from = (block + own - 1) * ratio + j;
          const float* row = &pending.values[size_t(from * 2 * C)];
          const double weight = std::exp(double(row[C + column]) + bias[size_t(j * C + column)]);
          total += weight;
          sum += weight * row[column];
        }
      x[size_t(d)] = sum / total;
      squares += x[size_t(d)] * x[size_t(d)];
    }
    const double inverse = 1 / std::sqrt(squares / double(W) + eps);
    for (int64_t d = 0; d < W; d++) x[size_t(d)] *= inverse * norm[size_t(d)];
    for (int64_t i = 0; i < R / 2; i++) {
      const size_t at = size_t(W - R + 2 * i);
      const double angle = double(block * ratio) * frequencies[size_t(i)], a = x[at], b = x[at + 1];
      x[at] = factor * (a * std::cos(angle) - b * std::sin(angle));
      x[at + 1] = factor * (b * std::cos(angle) + a * std::sin(angle));
    }
    for (int64_t d = 0; d < W; d++) {
      want[size_t(block * W + d)] = x[size_t(d)];
      // Sums of 2 ratio terms, a norm of W, an angle in f32; then the rounding to f16.
      const double terms = double(4 * ratio + W + 64) + double(block * ratio) * 0.1 * 4;
      bound[size_t(block * W + d)] =
          8 * terms * kEps + (half ? 0x1p-11 * (std::fabs(x[size_t(d)]) + 1e-3) : 0);
    }
  }
  Call call(level, "block_write");
  entries.pass(call);
  pending.pass(call);
  call.buf(positions)
      .buf(bias)
      .buf(norm)
      .buf(frequencies)
      .none()
      .none()
      .none()
      .params({double(positions.size()), double(W), double(R), double(ratio), overlap ? 1. : 0., double(cap),
               double(slots), 0, half ? 1. : 0., eps, factor, 0, 0});
  const std::string message = call.run(2);
  report.expect(message.empty(), message);
  report.near("entries", entries.read().data(), want, bound);
}

void sinkhorn(Report& report, Level level, int64_t size, int64_t iterations) {
  Random random{uint64_t(size)};
  const int64_t rows = 19;
  const double eps = 1e-6;
  std::vector<float> x = random.floats(rows * size * size, -3, 3), y(x.size(), 7.f);
  std::vector<double> want;
  for (int64_t r = 0; r < rows; r++) {
    std::vector<double> m;
    const auto at = [&](int64_t i, int64_t j) -> double& { return m[size_t(i * size + j)]; };
    const auto divide = [&](bool columns) {
      for (int64_t i = 0; i < size; i++) {
        double sum = eps;
        for (int64_t j = 0; j < size; j++) sum += columns ? at(j, i) : at(i, j);
        for (int64_t j = 0; j < size; j++) (columns ? at(j, i) : at(i, j)) /= sum;
      }
    };
    for (int64_t i = 0; i < size * size; i++) m.push_back(std::exp(double(x[size_t(r * size * size + i)])));
    for (int64_t i = 0; i < size; i++) {
      double sum = 0;
      for (int64_t j = 0; j < size; j++) sum += at(i, j);
      for (int64_t j = 0; j < size; j++) at(i, j) = at(i, j) / sum + eps;
    }
    divide(true);
    for (int64_t turn = 1; turn < iterations; turn++) divide(false), divide(true);
    want.insert(want.end(), m.begin(), m.end());
  }
  Call call(level, "sinkhorn");
  call.buf(x).buf(y).params({double(rows), double(size), double(iterations), eps});
  const std::string message = call.run(2);
  report.expect(message.empty(), message);
  report.near("doubly stochastic", y.data(), want, 8 * kEps * double(2 * iterations * (size + 2) + 32));
}

void index_topk(Report& report, Level level, bool half, int64_t ratio) {
  Random random{uint64_t(ratio)};
  const int64_t rows = 4, H = 5, D = 12, cap = 60, k = 7;
  // Small integers: sums are exact, and many tie.
  const auto integers = [&](int64_t n) {
    std::vector<float> out;
    for (int64_t i = 0; i < n; i++) out.push_back(float(random.integer(-1, 1)));
    return out;
  };
  std::vector<float> query = integers(rows * H * D), weights = integers(rows * H), keys = integers(cap * D);
  std::vector<uint16_t> halves;
  for (float x : keys) halves.push_back(half_from_float(x));
  std::vector<int32_t> positions = {0, 5, 30, int32_t(cap - 1)}, ids(size_t(rows * k), 7);
  Call call(level, "index_topk");
  call.buf(query).buf(weights);
  if (half)
    call.buf(halves);
  else
    call.buf(keys);
  call.buf(positions).none().none().buf(ids).params(
      {double(rows), double(H), double(D), double(cap), half ? 1. : 0., double(k), double(ratio), 0, 0});
  const std::string message = call.run(2);
  report.expect(message.empty(), message);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t count = (positions[size_t(r)] + 1) / ratio;
    std::vector<double> scores;
    for (int64_t j = 0; j < count; j++) {
      double sum = 0;
      for (int64_t h = 0; h < H; h++) {
        double dot = 0;
        for (int64_t d = 0; d < D; d++)
          dot += double(query[size_t((r * H + h) * D + d)]) * keys[size_t(j * D + d)];
        sum += weights[size_t(r * H + h)] * std::max(0.0, dot);
      }
      scores.push_back(sum);
    }
    std::vector<int32_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return scores[size_t(a)] > scores[size_t(b)]; });
    order.resize(std::min<size_t>(order.size(), size_t(k)));
    std::sort(order.begin(), order.end());
    order.resize(size_t(k), -1);
    report.expect(std::equal(order.begin(), order.end(), ids.begin() + r * k),
                  "row " + std::to_string(r) + " has other positions");
  }
}

}  // namespace

void compressed_tests(Report& report) {
  report.each_level("compressed_attention", [&](Level level) {
    for (bool half : {false, true})
      for (bool chosen : {false, true})
        for (int64_t W : {20, 64, 72})
          compressed_attention(report, level, half, chosen, W != 64, W, chosen ? 4 : 32);
  });
  report.each_level("chosen_attention", [&](Level level) {
    for (int64_t W : {12, 40, 128}) chosen_attention(report, level, W == 40, W);
  });
  report.each_level("block_write", [&](Level level) {
    for (bool half : {false, true}) {
      block_write(report, level, half, true, 20, 8, 4);
      block_write(report, level, half, false, 36, 36, 32);
      block_write(report, level, half, true, 64, 0, 8);
    }
  });
  report.each_level("sinkhorn", [&](Level level) {
    for (int64_t size = 1; size <= 8; size++) sinkhorn(report, level, size, size == 4 ? 20 : size);
  });
  report.each_level("index_topk", [&](Level level) {
    for (int64_t ratio : {1, 4}) index_topk(report, level, ratio == 4, ratio);
  });
}

}  // namespace ingot::tests
