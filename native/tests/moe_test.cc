// Tests of the expert kernels and of `embed` against the double reference.
#include "linear_suite.h"

namespace ingot::tests {

namespace {

struct MoeCase {
  int64_t rows, K, N, E, topk;
  int layout = kQ4, group = 32, meta = dF16, glu = 1;
  bool exact = false, residual = false, one_expert = false;
  int threads = 2;
};

const Buf none{nullptr, 0};

std::string describe(const char* kernel, const MoeCase& c) {
  char text[200];
  snprintf(text, sizeof text, "%s %s rows %d K %d N %d E %d topk %d %s%s threads %d", kernel,
           layout_name(c.layout), int(c.rows), int(c.K), int(c.N), int(c.E), int(c.topk),
           c.exact ? "exact" : "fast", c.residual ? " residual" : "", c.threads);
  return text;
}

std::vector<int32_t> random_ids(const MoeCase& c, Random& random) {
  std::vector<int32_t> ids(c.rows * c.topk);
  for (auto& id : ids) id = c.one_expert ? int32_t(c.E - 1) : random.below(int(c.E));
  return ids;
}

// E experts in one packed stack; the reference keeps them apart.
struct Stack {
  std::vector<PackedMatrix> experts;
  std::vector<uint8_t> bytes;
  Stack(const MoeCase& c, Random& random) {
    for (int64_t e = 0; e < c.E; e++) {
      experts.emplace_back(c.layout, c.N, c.K, c.group, c.meta, random);
      bytes.insert(bytes.end(), experts.back().bytes.begin(), experts.back().bytes.end());
    }
  }
};

// Which rounding a row of expert e sees: tiles are for experts with more than 8 rows of a run with more
// than 8.
std::vector<Rounding> roundings(const Suite& suite, const MoeCase& c, const std::vector<int32_t>& ids) {
  std::vector<int64_t> counts(c.E);
  for (int32_t id : ids) counts[id]++;
  std::vector<Rounding> how;
  for (int64_t n : counts) how.push_back(suite.rounding(c.layout, c.exact, c.rows > 8 && n > 8));
  return how;
}

bool glu_case(const Suite& suite, const MoeCase& c) {
  Random random(c.rows * 31 + c.K + c.layout);
  const Stack gate(c, random), up(c, random);
  const auto x = random_floats(c.rows * c.K, random);
  auto h = random_floats(c.rows * c.topk * c.N, random);
  const auto ids = random_ids(c, random);
  std::vector<Buf> bufs{buf(x), buf(ids), buf(gate.bytes), buf(up.bytes), none, none, none, buf(h)};
  std::vector<double> params{
      double(c.rows), double(c.K), double(c.exact),  double(c.glu),   0, 0, 0, double(c.topk),
      double(c.E),    double(c.N), double(c.layout), double(c.group), double(c.meta)};
  if (const char* m = run_kernel(*suite.kernel("moe_glu"), {bufs.data(), 8, params.data(), 13}, c.threads))
    return suite.fail(describe("moe_glu", c), m);
  const auto how = roundings(suite, c, ids);
  Worst worst;
  for (int64_t i = 0; i < c.rows * c.topk; i++) {
    const int32_t e = ids[i];
    const auto seen = rounded(x.data() + i / c.topk * c.K, c.K, how[e]);
    for (int64_t n = 0; n < c.N; n++) {
      const Expected g = expected_dot(gate.experts[e], n, seen.data(), how[e]),
                     u = expected_dot(up.experts[e], n, seen.data(), how[e]);
      const double a = activated(g.value, c.glu);
      worst.add(h[i * c.N + n],
                {a * u.value, 1.2 * g.bound * (std::fabs(u.value) + u.bound) + u.bound * std::fabs(a) +
                                  (std::fabs(a) + 1e-6) * std::fabs(u.value) * 2e-6},
                i, n);
    }
  }
  return suite.report(describe("moe_glu", c), worst);
}

bool down_case(const Suite& suite, const MoeCase& c) {
  Random random(c.rows * 37 + c.K + c.layout);
  const Stack down(c, random);
  const auto h = random_floats(c.rows * c.topk * c.K, random),
             weights = random_floats(c.rows * c.topk, random);
  auto y = random_floats(c.rows * c.N, random);
  const auto before = y;
  const auto ids = random_ids(c, random);
  std::vector<Buf> bufs{
      buf(h), buf(ids), buf(weights), buf(down.bytes), none, none, c.residual ? buf(y) : none, buf(y)};
  std::vector<double> params{double(c.rows), double(c.K),      double(c.exact), double(c.topk), double(c.E),
                             double(c.N),    double(c.layout), double(c.group), double(c.meta)};
  if (const char* m = run_kernel(*suite.kernel("moe_down"), {bufs.data(), 8, params.data(), 9}, c.threads))
    return suite.fail(describe("moe_down", c), m);
  const auto how = roundings(suite, c, ids);
  Worst worst;
  for (int64_t r = 0; r < c.rows; r++) {
    std::vector<std::vector<double>> seen;
    for (int64_t s = 0; s < c.topk; s++)
      seen.push_back(rounded(h.data() + (r * c.topk + s) * c.K, c.K, how[ids[r * c.topk + s]]));
    for (int64_t n = 0; n < c.N; n++) {
      Expected e{c.residual ? before[r * c.N + n] : 0.0, 1e-7};
      for (int64_t s = 0; s < c.topk; s++) {
        const int32_t id = ids[r * c.topk + s];
        const Expected d = expected_dot(down.experts[id], n, seen[s].data(), how[id]);
        const double w = weights[r * c.topk + s];
        e.value += w * d.value;
        e.bound += std::fabs(w) * (d.bound + std::fabs(d.value) * double(c.topk + 1) * 0x1p-22);
      }
      worst.add(y[r * c.N + n], e, r, n);
    }
  }
  return suite.report(describe("moe_down", c), worst);
}

void refuses_bad_id(const Suite& suite, int64_t rows) {
  const MoeCase c{.rows = rows, .K = 64, .N = 32, .E = 4, .topk = 2};
  Random random(3);
  const Stack w(c, random);
  auto x = random_floats(rows * 2 * 64, random), y = random_floats(rows * 2 * 32, random);
  for (int32_t bad : {-1, 4, 1 << 30}) {
    std::vector<int32_t> ids(rows * 2, 1);
    ids.back() = bad;
    std::vector<Buf> bufs{buf(x), buf(ids), buf(w.bytes), buf(w.bytes), none, none, none, buf(y)},
        down{buf(x), buf(ids), buf(x), buf(w.bytes), none, none, none, buf(y)};
    std::vector<double> params{double(rows), 64, 0, 1, 0, 0, 0, 2, 4, 32, kQ4, 32, dF16},
        down_params{double(rows), 64, 0, 2, 4, 32, kQ4, 32, dF16};
    if (!run_kernel(*suite.kernel("moe_glu"), {bufs.data(), 8, params.data(), 13}, 2))
      suite.fail("moe_glu", "an id outside the experts passed");
    if (!run_kernel(*suite.kernel("moe_down"), {down.data(), 8, down_params.data(), 9}, 2))
      suite.fail("moe_down", "an id outside the experts passed");
  }
}

}  // namespace

bool run_moe_suite(const Suite& suite) {
  for (int64_t rows : {1, 3, 8, 9, 40})
    for (bool exact : {false, true})
      for (int layout : {kQ4, kQ4A, kQ8, kBF16, kQ6K, kMXFP4, kQ5K, kNVFP4, kF8}) {
        MoeCase c{.rows = rows,
                  .K = traits(layout).steps ? 256 : 96,
                  .N = 41,
                  .E = 5,
                  .topk = 3,
                  .layout = layout,
                  .exact = exact};
        if (layout == kBF16 && exact) continue;
        if (layout == kQ8) c.threads = 3;
        glu_case(suite, c);
        c.residual = layout != kQ8;
        down_case(suite, c);
      }
  for (int64_t rows : {2, 40, 1200}) {
    const MoeCase c{.rows = rows, .K = 32, .N = 24, .E = 3, .topk = 2, .residual = true, .one_expert = true};
    glu_case(suite, c);
    down_case(suite, c);
  }
  glu_case(suite, {.rows = 5, .K = 64, .N = 20, .E = 300, .topk = 8, .glu = 2});
  down_case(suite, {.rows = 30, .K = 64, .N = 20, .E = 300, .topk = 8});
  for (int64_t rows : {1, 20}) refuses_bad_id(suite, rows);
  return suite.failures == 0;
}

bool run_embed_suite(const Suite& suite) {
  Random random(9);
  for (int layout = kF32; layout < kLayoutCount; layout++)
    for (int64_t K : traits(layout).steps      ? std::vector<int64_t>{256, 768}
                     : is_float_layout(layout) ? std::vector<int64_t>{1, 77, 130}
                     : layout == kNF4          ? std::vector<int64_t>{64, 192}
                                               : std::vector<int64_t>{32, 160}) {
      const PackedMatrix w(layout, 37, K, 32, dF16, random);
      std::vector<int32_t> ids{0, 36, 15, 16, 3, 3};
      auto y = random_floats(int64_t(ids.size()) * K, random);
      std::vector<Buf> bufs{buf(ids), buf(w.bytes), buf(y)};
      const std::vector<double> params{double(ids.size()), 37, double(K), double(layout), 32, dF16, 1.5};
      const Args args{bufs.data(), 3, params.data(), 7};
      const std::string what = std::string("embed ") + layout_name(layout);
      if (const char* m = run_kernel(*suite.kernel("embed"), args, 2)) suite.fail(what, m);
      Worst worst;
      for (size_t i = 0; i < ids.size(); i++)
        for (int64_t k = 0; k < K; k++) {
          const double v = w.values[ids[i] * K + k] * 1.5;
          worst.add(y[i * K + k], {v, w.parts[ids[i] * K + k] * 0x1p-21 + 1e-30}, int64_t(i), k);
        }
      suite.report(what, worst);
      ids[4] = 37;
      if (!run_kernel(*suite.kernel("embed"), args, 2)) suite.fail(what, "an id outside the rows passed");
    }
  return suite.failures == 0;
}

}  // namespace ingot::tests
