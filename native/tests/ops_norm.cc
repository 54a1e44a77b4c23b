// rms_norm, layer_norm, softmax, rope, kv_write, rope_kv and moe_route against double-precision references.
#include <algorithm>

#include "ops_test.h"

namespace ingot::tests {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

void rms_norm(Report& report, Level level, int64_t rows, int64_t D, bool weight, double offset,
              bool residual = false) {
  Random random(uint64_t(rows * 1000 + D));
  Floats x = random.floats(rows * D, -3, 3), w = random.floats(D), y(x.size()), h = x, sum(x.size());
  Floats more = random.floats(rows * D, -3, 3);
  if (residual)
    for (size_t i = 0; i < h.size(); i++) h[i] += more[i];
  std::vector<double> want, bound;
  for (int64_t r = 0; r < rows; r++) {
    double squares = 0;
    for (int64_t d = 0; d < D; d++) squares += double(h[size_t(r * D + d)]) * h[size_t(r * D + d)];
    const double factor = 1 / std::sqrt(squares / double(D) + 1e-5);
    for (int64_t d = 0; d < D; d++) {
      want.push_back(h[size_t(r * D + d)] * factor * (weight ? w[size_t(d)] + offset : 1));
      bound.push_back((std::sqrt(double(D)) + 8) * kEps * (std::fabs(want.back()) + 1e-6));
    }
  }
  Call call(level, "rms_norm");
  call.buf(x);
  if (weight) call.buf(w);
  else call.none();
  call.buf(y);
  if (residual) call.buf(more).buf(sum);
  else call.none().none();
  call.none();
  report.expect(call.params({double(rows), double(D), 1e-5, offset, 0}).run(report.threads()).empty(),
                "rms_norm failed");
  report.near("rms_norm", y.data(), want, bound);
  if (residual) report.expect(sum == h, "rms_norm: sum");
}

void layer_norm(Report& report, Level level, int64_t rows, int64_t D, bool affine,
                bool residual = false) {
  Random random(uint64_t(rows * 1000 + D));
  Floats x = random.floats(rows * D, -1, 3), w = random.floats(D), b = random.floats(D), y(x.size()), h = x,
         sum(x.size());
  Floats more = random.floats(rows * D, -1, 1);
  if (residual)
    for (size_t i = 0; i < h.size(); i++) h[i] += more[i];
  std::vector<double> want, bound;
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, variance = 0;
    for (int64_t d = 0; d < D; d++) mean += h[size_t(r * D + d)] / double(D);
    for (int64_t d = 0; d < D; d++) variance += std::pow(h[size_t(r * D + d)] - mean, 2) / double(D);
    const double factor = 1 / std::sqrt(variance + 1e-5);
    for (int64_t d = 0; d < D; d++) {
      const double v = (h[size_t(r * D + d)] - mean) * factor;
      want.push_back(affine ? v * w[size_t(d)] + b[size_t(d)] : v);
      bound.push_back((std::sqrt(double(D)) + 16) * kEps * (std::fabs(v) + 4 * factor + 1));
    }
  }
  Call call(level, "layer_norm");
  call.buf(x);
  if (affine) call.buf(w).buf(b);
  else call.none().none();
  call.buf(y);
  if (residual) call.buf(more).buf(sum);
  else call.none().none();
  report.expect(call.params({double(rows), double(D), 1e-5, 0}).run(report.threads()).empty(),
                "layer_norm failed");
  report.near("layer_norm", y.data(), want, bound);
  if (residual) report.expect(sum == h, "layer_norm: sum");
}

void softmax(Report& report, Level level, int64_t rows, int64_t D, bool log) {
  Random random(uint64_t(rows * 77 + D));
  Floats x = random.floats(rows * D, -20, 20), y(x.size());
  if (D > 3) x[1] = -HUGE_VALF;
  std::vector<double> want, bound;
  for (int64_t r = 0; r < rows; r++) {
    double top = -HUGE_VAL, sum = 0;
    for (int64_t d = 0; d < D; d++) top = std::max(top, double(x[size_t(r * D + d)]));
    for (int64_t d = 0; d < D; d++) sum += std::exp(x[size_t(r * D + d)] - top);
    for (int64_t d = 0; d < D; d++) {
      const double l = x[size_t(r * D + d)] - top - std::log(sum);
      want.push_back(log ? l : std::exp(l));
      bound.push_back(log ? 64 * kEps * 60 : (80 + std::sqrt(double(D))) * kEps * want.back() + 1e-38);
    }
  }
  report.expect(Call(level, "softmax")
                    .buf(x)
                    .buf(y)
                    .params({double(rows), double(D), log ? 1. : 0., 0})
                    .run(report.threads())
                    .empty(),
                "softmax failed");
  report.near(log ? "log_softmax" : "softmax", y.data(), want, bound);
}

// One head rotated in double, from the f32 angle.
std::vector<double> rotated(const float* x, const Floats* norm, bool normalise, double eps, int32_t position,
                            const Floats& freq, int64_t Dh, int64_t rot, bool interleaved, double scale) {
  std::vector<double> v(x, x + Dh);
  if (normalise) {
    double sum = 0;
    for (double e : v) sum += e * e;
    for (int64_t d = 0; d < Dh; d++)
      v[size_t(d)] *= (norm ? (*norm)[size_t(d)] : 1.0) / std::sqrt(sum / double(Dh) + eps);
  }
  std::vector<double> out = v;
  for (int64_t i = 0; i < rot / 2; i++) {
    const float angle = float(position) * freq[size_t(i)];
    const double c = std::cos(double(angle)) * scale, s = std::sin(double(angle)) * scale;
    const size_t a = size_t(interleaved ? 2 * i : i), b = size_t(interleaved ? 2 * i + 1 : rot / 2 + i);
    out[a] = v[a] * c - v[b] * s;
    out[b] = v[b] * c + v[a] * s;
  }
  return out;
}
Floats frequencies(int64_t rot) {
  Floats f;
  for (int64_t i = 0; i < rot / 2; i++) f.push_back(float(std::pow(10000.0, -2.0 * double(i) / double(rot))));
  return f;
}

void rope(Report& report, Level level, int64_t rows, int64_t H, int64_t Dh, int64_t rot, bool interleaved,
          bool norm, bool weight) {
  Random random(uint64_t(rows * 31 + Dh));
  Floats x = random.floats(rows * H * Dh, -2, 2), w = random.floats(Dh, 0.5, 2), freq = frequencies(rot),
         y(x.size());
  Ints positions;
  std::vector<double> want;
  for (int64_t r = 0; r < rows; r++) {
    positions.push_back(int32_t(random.integer(0, 900000)));
    for (int64_t h = 0; h < H; h++)
      for (double v : rotated(&x[size_t((r * H + h) * Dh)], weight ? &w : nullptr, norm, 1e-6,
                              positions.back(), freq, Dh, rot, interleaved, 1.25))
        want.push_back(v);
  }
  Call call(level, "rope");
  call.buf(x).buf(positions).buf(freq).buf(y);
  if (weight) call.buf(w);
  else call.none();
  call.params(
      {double(rows), double(H), double(Dh), double(rot), interleaved ? 1. : 0., 1.25, 1e-6, norm ? 1. : 0.});
  report.expect(call.run(report.threads()).empty(), "rope failed");
  report.near("rope", y.data(), want, (16 + std::sqrt(double(Dh))) * kEps * 2 * 2 * 2 * 1.25);
}

void kv_write(Report& report, Level level, bool half, int64_t ring) {
  const int64_t rows = 5, Hkv = 3, Dh = 21, cap = 9;
  Random random(5);
  Floats k = random.floats(rows * Hkv * Dh), v = random.floats(rows * Hkv * Dh);
  const size_t cells = size_t(Hkv * cap * Dh);
  Floats kc(cells, 0.5f), vc(cells, 0.25f);
  std::vector<uint16_t> kh(cells, half_from_float(0.5f)), vh(cells, half_from_float(0.25f));
  Ints positions = ring ? Ints{100, 101, 102, 103, 104} : Ints{3, 4, 5, 6, 7};
  Floats want = kc;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t h = 0; h < Hkv; h++)
      for (int64_t d = 0; d < Dh; d++) {
        const int64_t slot = ring ? positions[size_t(r)] % ring : positions[size_t(r)];
        const float value = k[size_t((r * Hkv + h) * Dh + d)];
        want[size_t((h * cap + slot) * Dh + d)] = half ? float_from_half(half_from_float(value)) : value;
      }
  Call call(level, "kv_write");
  call.buf(k).buf(v).buf(positions);
  if (half) call.buf(kh).buf(vh);
  else call.buf(kc).buf(vc);
  call.none().none().params(
      {double(rows), double(Hkv), double(Dh), double(cap), half ? 1. : 0., double(ring), 0, 0});
  report.expect(call.run(report.threads()).empty(), "kv_write failed");
  for (size_t i = 0; half && i < cells; i++) kc[i] = float_from_half(kh[i]);
  report.expect(kc == want, "kv_write: wrong cache contents");
  positions[4] = 9;
  const std::string message = call.run(1);  // buffers are read again by every run
  report.expect(ring != 0 || message.find("position 9") != std::string::npos,
                "kv_write accepted a position outside the cache: " + message);
}

// rope_kv must equal rope, rope and kv_write exactly.
void rope_kv(Report& report, Level level, int64_t rows, bool half, bool norm, bool interleaved) {
  const int64_t H = 6, Hkv = 2, Dh = 40, rot = 32, cap = 50;
  Random random(9);
  Floats q = random.floats(rows * H * Dh), k = random.floats(rows * Hkv * Dh),
         v = random.floats(rows * Hkv * Dh);
  Floats qn = random.floats(Dh, 0.5, 2), kn = random.floats(Dh, 0.5, 2), freq = frequencies(rot), y(q.size()),
         y2(q.size()), kr(k.size());
  Ints positions;
  for (int64_t r = 0; r < rows; r++) positions.push_back(int32_t(11 + r));
  const size_t bytes = size_t(Hkv * cap * Dh * (half ? 2 : 4));
  std::vector<uint8_t> kc(bytes), vc(bytes), kc2(bytes), vc2(bytes);
  const double type = half ? 1 : 0, order = interleaved ? 1 : 0;
  const auto optional = [&](Call& call, Floats& w) {
    if (norm) call.buf(w);
    else call.none();
  };
  Call fused(level, "rope_kv");
  fused.buf(q).buf(k).buf(v).buf(positions).buf(freq);
  optional(fused, qn);
  optional(fused, kn);
  fused.buf(kc).buf(vc).buf(y).none().none().params({double(rows), double(H), double(Hkv), double(Dh),
                                                     double(rot), order, 1.1, 1e-6, double(cap), type, 0, 0,
                                                     0});
  report.expect(fused.run(report.threads()).empty(), "rope_kv failed");
  const auto rotate = [&](Floats& x, Floats& w, Floats& out, int64_t heads) {
    Call call(level, "rope");
    call.buf(x).buf(positions).buf(freq).buf(out);
    optional(call, w);
    call.params({double(rows), double(heads), double(Dh), double(rot), order, 1.1, 1e-6, norm ? 1. : 0.});
    report.expect(call.run(1).empty(), "rope failed");
  };
  rotate(q, qn, y2, H);
  rotate(k, kn, kr, Hkv);
  report.expect(Call(level, "kv_write")
                    .buf(kr)
                    .buf(v)
                    .buf(positions)
                    .buf(kc2)
                    .buf(vc2)
                    .none()
                    .none()
                    .params({double(rows), double(Hkv), double(Dh), double(cap), type, 0, 0, 0})
                    .run(1)
                    .empty(),
                "kv_write failed");
  report.expect(y == y2, "rope_kv: q differs from rope");
  report.expect(kc == kc2 && vc == vc2, "rope_kv: caches differ from rope and kv_write");
}

// Rows of two sequences whose pages lie apart, against the same rows in a cache with the slots they must land
// in.
void paged_writes(Report& report, Level level, bool half) {
  const int64_t H = 4, Hkv = 2, Dh = 24, cap = 128;
  Ints positions{30, 31, 32, 33, 5}, sequences{1, 1, 1, 1, 0}, table{2, -1, 3, 1},
      slots{126, 127, 32, 33, 69}, gone{2, -1, -1, 1};
  const int64_t rows = int64_t(positions.size());
  Random random(17);
  Floats q = random.floats(rows * H * Dh), k = random.floats(rows * Hkv * Dh),
         v = random.floats(rows * Hkv * Dh), freq = frequencies(0), y(q.size()), y2(q.size());
  const size_t bytes = size_t(Hkv * cap * Dh * (half ? 2 : 4));
  std::vector<uint8_t> kc(bytes), vc(bytes), kc2(bytes), vc2(bytes), kc3(bytes), vc3(bytes);
  const double type = half ? 1 : 0;
  const auto write = [&](Ints& at, std::vector<uint8_t>& kTo, std::vector<uint8_t>& vTo, Ints* pages) {
    Call call(level, "kv_write");
    call.buf(k).buf(v).buf(at).buf(kTo).buf(vTo);
    if (pages) call.buf(sequences).buf(*pages);
    else call.none().none();
    return call.params({double(rows), double(Hkv), double(Dh), double(cap), type, 0, 2, 2})
        .run(report.threads());
  };
  report.expect(write(slots, kc, vc, nullptr).empty() && write(positions, kc2, vc2, &table).empty(),
                "paged kv_write failed");
  report.expect(kc == kc2 && vc == vc2, "paged kv_write: wrong slots");
  report.expect(write(positions, kc2, vc2, &gone).find("page 0 of sequence 1") != std::string::npos,
                "kv_write to a page that is not there accepted");
  const std::string message = Call(level, "rope_kv")
                                  .buf(q)
                                  .buf(k)
                                  .buf(v)
                                  .buf(positions)
                                  .buf(freq)
                                  .none()
                                  .none()
                                  .buf(kc3)
                                  .buf(vc3)
                                  .buf(y)
                                  .buf(sequences)
                                  .buf(table)
                                  .params({double(rows), double(H), double(Hkv), double(Dh), 0, 0, 1, 1e-6,
                                           double(cap), type, 0, 2, 2})
                                  .run(report.threads());
  report.expect(message.empty(), "paged rope_kv: " + message);
  report.expect(kc == kc3 && vc == vc3 && y == q, "paged rope_kv: wrong slots");
}

void moe_route(Report& report, Level level, int64_t rows, int64_t E, int64_t k, bool normalise, int mode) {
  Random random(uint64_t(E * 10 + k));
  Floats logits = random.floats(rows * E, -4, 4), weights(size_t(rows * k));
  if (E > 4) logits[4] = logits[2] = 3.9f;  // a tie: expert 2 comes first
  Ints ids(size_t(rows * k));
  report.expect(Call(level, "moe_route")
                    .buf(logits)
                    .none()
                    .buf(ids)
                    .buf(weights)
                    .params({double(rows), double(E), double(k), normalise ? 1. : 0., 0, double(mode), 2.5})
                    .run(report.threads())
                    .empty(),
                "moe_route failed");
  std::vector<double> want;
  Ints want_ids;
  for (int64_t r = 0; r < rows; r++) {
    std::vector<int32_t> order;
    for (int64_t e = 0; e < E; e++) order.push_back(int32_t(e));
    const float* l = &logits[size_t(r * E)];
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return l[a] > l[b]; });
    double all = 0, chosen = 0;
    for (int64_t e = 0; e < E; e++) all += std::exp(double(l[e]));
    for (int64_t j = 0; j < k; j++) chosen += std::exp(double(l[order[size_t(j)]]));
    for (int64_t j = 0; j < k; j++) {
      want_ids.push_back(order[size_t(j)]);
      want.push_back(2.5 * std::exp(double(l[order[size_t(j)]])) / (mode == 1 || normalise ? chosen : all));
    }
  }
  report.expect(ids == want_ids, "moe_route: wrong experts");
  report.near("moe_route", weights.data(), want, 2.5 * double(E + 16) * kEps);
}

}  // namespace

void norm_tests(Report& report) {
  report.each_level("rms_norm", [&](Level level) {
    for (int64_t D : {1, 7, 16, 64, 100, 576, 2049}) {
      rms_norm(report, level, 5, D, true, 0);
      rms_norm(report, level, 1, D, true, 1);
      rms_norm(report, level, 3, D, false, 0);
      rms_norm(report, level, 3, D, true, 1, true);
      layer_norm(report, level, 4, D, true);
      layer_norm(report, level, 1, D, false);
      layer_norm(report, level, 3, D, true, true);
      softmax(report, level, 3, D, false);
      softmax(report, level, 3, D, true);
    }
    softmax(report, level, 1, 128256, true);
    softmax(report, level, 2100, 2048, false);  // past the caches
    softmax(report, level, 2100, 2048, true);
    rms_norm(report, level, 2100, 2048, true, 1);
    layer_norm(report, level, 2100, 2048, true);
  });
  report.each_level("rope", [&](Level level) {
    for (bool interleaved : {false, true}) {
      rope(report, level, 3, 4, 64, 64, interleaved, false, false);
      rope(report, level, 1, 9, 64, 64, interleaved, true, true);
      rope(report, level, 5, 2, 80, 20, interleaved, true, false);
      rope(report, level, 2, 3, 10, 6, interleaved, false, false);
      for (bool half : {false, true})
        for (bool norm : {false, true})
          for (int64_t rows : {1, 7, 30}) rope_kv(report, level, rows, half, norm, interleaved);
    }
    for (bool half : {false, true}) {
      for (int64_t ring : {0, 6}) kv_write(report, level, half, ring);
      paged_writes(report, level, half);
    }
  });
  report.each_level("moe_route", [&](Level level) {
    for (int mode : {0, 1})
      for (bool normalise : {false, true}) {
        moe_route(report, level, 9, 32, 4, normalise, mode);
        moe_route(report, level, 3, 128, 8, normalise, mode);
        moe_route(report, level, 1, 3, 3, normalise, mode);
      }
  });
}

}  // namespace ingot::tests
