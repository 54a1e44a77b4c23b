// Tests of `linear`, the expert kernels, `embed` and packing: every level this CPU has, every layout, odd
// shapes.
#include <algorithm>
#include <cstdio>
#include <string>

#include "linear_reference.h"
#include "linear_suite.h"
#include "tests.h"

namespace ingot::tests {

namespace {

struct LinearCase {
  int64_t rows, K;
  std::vector<int64_t> N;  // per segment
  int layout, group = 32, meta = dF16;
  bool exact = false, norm = false, bias = false, residual = false;
  int glu = 0, threads = 2;
  int second = -1;  // layout of the second segment when it differs
  int layout_of(size_t s) const { return s == 1 && second >= 0 ? second : layout; }
};

std::string describe(const LinearCase& c) {
  char text[200];
  snprintf(text, sizeof text,
           "linear %s/%s rows %d K %d N %d x%d group %d meta %d %s%s%s%s glu %d threads %d",
           layout_name(c.layout), layout_name(c.layout_of(1)), int(c.rows), int(c.K), int(c.N[0]),
           int(c.N.size()), c.group, c.meta, c.exact ? "exact" : "fast", c.norm ? " norm" : "",
           c.bias ? " bias" : "", c.residual ? " residual" : "", c.glu, c.threads);
  return text;
}

std::vector<double> normed(const float* x, const float* w, int64_t K, double eps, double offset) {
  double sum = 0;
  for (int64_t k = 0; k < K; k++) sum += double(x[k]) * x[k];
  const double r = 1 / std::sqrt(sum / K + eps);
  std::vector<double> y(K);
  for (int64_t k = 0; k < K; k++) y[k] = x[k] * r * (w[k] + offset);
  return y;
}

bool run_case(const Suite& suite, const LinearCase& c) {
  Random random(c.rows * 131 + c.K * 7 + c.layout + c.N[0]);
  std::vector<PackedMatrix> w;
  std::vector<std::vector<float>> bias, y;
  for (int64_t N : c.N) {
    w.emplace_back(c.layout_of(w.size()), N, c.K, c.group, c.meta, random);
    bias.push_back(random_floats(N, random));
    y.push_back(random_floats(c.rows * N, random));
  }
  const auto x = random_floats(c.rows * c.K, random), norm = random_floats(c.K, random);
  const auto before = y;  // the residual of segment 0 is y itself
  const size_t outputs = c.glu ? 1 : c.N.size();
  std::vector<Buf> bufs{buf(x), c.norm ? buf(norm) : Buf{nullptr, 0},
                        c.residual ? buf(y[0]) : Buf{nullptr, 0}};
  std::vector<double> params{double(c.rows), double(c.K),       double(c.exact), 1e-5, 0.5,
                             double(c.glu),  double(c.N.size())};
  for (size_t s = 0; s < c.N.size(); s++) {
    bufs.insert(bufs.end(), {buf(w[s].bytes), c.bias ? buf(bias[s]) : Buf{nullptr, 0},
                             s < outputs ? buf(y[s]) : Buf{nullptr, 0}});
    params.insert(params.end(), {double(c.N[s]), double(c.layout_of(s)), double(c.group), double(c.meta)});
  }
  const Args args{bufs.data(), int(bufs.size()), params.data(), int(params.size())};
  if (const char* problem = run_kernel(*suite.kernel("linear"), args, c.threads))
    return suite.fail(describe(c), problem);

  Worst worst;
  for (int64_t r = 0; r < c.rows; r++) {
    std::vector<double> exact_x(x.begin() + r * c.K, x.begin() + (r + 1) * c.K);
    if (c.norm) exact_x = normed(x.data() + r * c.K, norm.data(), c.K, 1e-5, 0.5);
    const std::vector<float> f(exact_x.begin(), exact_x.end());
    std::vector<double> seen[4];
    const auto dot = [&](size_t s, int64_t n) {
      const auto integers = [](int layout) { return !is_float_layout(layout) && !traits(layout).e4m3; };
      const bool floats = !integers(c.layout) || !integers(c.layout_of(1));
      const Rounding how = suite.rounding(c.layout_of(s), c.exact, c.rows > (floats ? 8 : 32));
      if (seen[int(how)].empty()) seen[int(how)] = rounded(f.data(), c.K, how);
      Expected e = expected_dot(w[s], n, seen[int(how)].data(), how);
      if (c.norm)
        e.bound += input_error(w[s], n, f.data(), how);  // the norm itself rounds, which may move a code
      if (c.bias) e.value += bias[s][n], e.bound += std::fabs(e.value) * 0x1p-22;
      return e;
    };
    for (size_t s = 0; s < outputs; s++)
      for (int64_t n = 0; n < c.N[s]; n++) {
        Expected e = dot(s, n);
        if (c.glu) {
          const Expected up = dot(1, n);
          const double g = activated(e.value, c.glu);
          e.bound = 1.2 * e.bound * (std::fabs(up.value) + up.bound) + up.bound * std::fabs(g) +
                    (std::fabs(g) + 1e-6) * std::fabs(up.value) * 2e-6;
          e.value = g * up.value;
        }
        if (c.residual && s == 0)
          e.value += before[0][r * c.N[0] + n], e.bound += std::fabs(e.value) * 0x1p-22 + 1e-7;
        worst.add(y[s][r * c.N[s] + n], e, r, n);
      }
  }
  return suite.report(describe(c), worst);
}

bool linear_cases(const Suite& suite) {
  bool ok = true;
  int64_t at = 0;
  struct Form { int layout, group, meta; };
  std::vector<Form> forms;
  for (int layout = 0; layout < kLayoutCount;
       layout++) {  // of those with several groups and types of scales, each once
    const LayoutTraits& t = traits(layout);
    const int types[] = {dF16, dBF16, dF32, dE8M0, dE4M3}, groups[] = {32, 64, 128, 16};
    std::vector<int> scales, sizes;
    for (int type : types)
      if (t.scales >> type & 1) scales.push_back(type);
    for (int group : groups)
      if (t.groups & group) sizes.push_back(group);
    for (size_t i = 0; i < std::max<size_t>(1, std::max(scales.size(), sizes.size())); i++)
      forms.push_back({layout, sizes.empty() ? 0 : sizes[i % sizes.size()],
                       scales.empty() ? int(dF16) : scales[i % scales.size()]});
  }
  for (const Form& f : forms) {
    const std::vector<int64_t> columns = is_float_layout(f.layout) ? std::vector<int64_t>{1, 33, 200, 513}
                                         : traits(f.layout).steps
                                             ? std::vector<int64_t>{256, 1024}
                                             : std::vector<int64_t>{std::max(32, f.group), 384, 1024};
    const bool old = f.layout <= kQ6K;
    const std::vector<int64_t> all_rows{1, 2, 3, 7, 17, 32, 65}, some_rows{1, 2, 4, 7, 33};
    for (int64_t K : columns)
      for (int64_t rows : old ? all_rows : some_rows)
        for (int64_t N : old ? std::vector<int64_t>{5, 16, 83} : std::vector<int64_t>{5, 83})
          for (bool exact : {false, true}) {
            if (exact && is_float_layout(f.layout) && !suite.tiles) continue;
            if (at++ % suite.every != 0) continue;
            ok &= run_case(suite, {.rows = rows,
                                   .K = K,
                                   .N = {N},
                                   .layout = f.layout,
                                   .group = f.group,
                                   .meta = f.meta,
                                   .exact = exact});
          }
  }
  for (int layout : {kF32, kBF16, kQ4, kQ4A, kQ8})
    for (int64_t rows : {1, 5, 33})
      for (bool exact : {false, true}) {
        LinearCase c{.rows = rows,
                     .K = 160,
                     .N = {40, 33, 17},
                     .layout = layout,
                     .exact = exact,
                     .norm = true,
                     .bias = true,
                     .threads = 3};
        ok &= run_case(suite, c);
        c.N = {50}, c.residual = true;
        ok &= run_case(suite, c);
        c.N = {50, 50}, c.residual = false, c.norm = false;
        for (int glu : {1, 2, 3}) c.glu = glu, ok &= run_case(suite, c);
        c.residual = true, c.bias = false;
        ok &= run_case(suite, c);
      }
  for (int64_t rows : {1, 6, 40})  // segments of different layouts share one quantisation of x
    for (bool exact : {false, true}) {
      LinearCase c{.rows = rows, .K = 256, .N = {35, 50}, .layout = kQ4K, .exact = exact, .second = kQ6K};
      ok &= run_case(suite, c);
      c.second = kF16;
      ok &= run_case(suite, c);
      c.N = {35, 35}, c.glu = 1;
      ok &= run_case(suite, c);
      c.layout = kQ8, c.second = kQ4, c.norm = true;
      ok &= run_case(suite, c);
    }
  for (int layout :
       {kQ4, kQ8A, kF32}) {  // several panel pairs per pass over the activations, several K blocks
    ok &= run_case(suite, {.rows = 49, .K = 1056, .N = {600}, .layout = layout, .threads = 1});
    ok &= run_case(suite, {.rows = 40, .K = 1056, .N = {230, 170}, .layout = layout, .threads = 1});
    ok &= run_case(suite, {.rows = 40, .K = 544, .N = {200, 200}, .layout = layout, .glu = 1, .threads = 1});
  }
  ok &= run_case(suite, {.rows = 40, .K = 4224, .N = {70}, .layout = kQ4});   // several K blocks on tiles too
  ok &= run_case(suite, {.rows = 1100, .K = 64, .N = {20}, .layout = kQ4});   // several chunks of rows
  ok &= run_case(suite,
                 {.rows = 1, .K = 64, .N = {20}, .layout = kQ4, .threads = 5});  // more workers than panels
  ok &= run_case(suite, {.rows = 300, .K = 64, .N = {20}, .layout = kQ8, .threads = 5});
  return ok;
}

// A NaN or infinity in x shows in every result of its row and in no other row.
bool not_finite(const Suite& suite) {
  bool ok = true;
  for (int64_t rows : {3, 20})
    for (int layout : {kF16, kQ4, kQ6K})
      for (float bad : {NAN, INFINITY}) {
        Random random(4);
        const PackedMatrix w(layout, 20, 256, 32, dF16, random);
        auto x = random_floats(rows * 256, random), y = random_floats(rows * 20, random);
        x[256 + 77] = bad;
        const Buf none{nullptr, 0};
        std::vector<Buf> bufs{buf(x), none, none, buf(w.bytes), none, buf(y)};
        std::vector<double> params{double(rows), 256, 0, 0, 0, 0, 1, 20, double(layout), 32, dF16};
        if (const char* m = run_kernel(*suite.kernel("linear"), {bufs.data(), 6, params.data(), 11}, 2))
          return suite.fail("not finite", m);
        for (int64_t i = 0; i < rows * 20; i++)
          if (std::isfinite(y[i]) == (i / 20 == 1))
            ok = suite.fail(layout_name(layout), "a value that is not finite was lost or spread");
      }
  return ok;
}

// Buffers that do not fit the params are refused before any memory is touched.
bool refusals(const Suite& suite) {
  Random random(1);
  PackedMatrix w(kQ4, 32, 64, 32, dF16, random);
  auto x = random_floats(2 * 64, random), y = random_floats(2 * 32, random);
  bool ok = true;
  const auto refused = [&](const char* what, std::vector<Buf> bufs, std::vector<double> params) {
    const Args args{bufs.data(), int(bufs.size()), params.data(), int(params.size())};
    const char* m = suite.kernel("linear")->check(args);
    if (!m) ok = suite.fail(what, "was not refused");
  };
  const Buf none{nullptr, 0}, bx = buf(x), bw = buf(w.bytes), by = buf(y);
  const std::vector<double> good{2, 64, 0, 0, 0, 0, 1, 32, kQ4, 32, dF16};
  const auto with = [&](int at, double v) { auto p = good; p[at] = v; return p; };
  refused("short x", {Buf{bx.data, bx.bytes - 4}, none, none, bw, none, by}, good);
  refused("short w", {bx, none, none, Buf{bw.data, bw.bytes - 1}, none, by}, good);
  refused("short y", {bx, none, none, bw, none, Buf{by.data, by.bytes - 4}}, good);
  refused("short norm", {bx, Buf{bx.data, 63 * 4}, none, bw, none, by}, good);
  refused("short bias", {bx, none, none, bw, Buf{bx.data, 31 * 4}, by}, good);
  refused("short residual", {bx, none, Buf{by.data, by.bytes - 4}, bw, none, by}, good);
  refused("K not a multiple", {bx, none, none, bw, none, by}, with(1, 48));
  refused("negative rows", {bx, none, none, bw, none, by}, with(0, -1));
  refused("huge rows", {bx, none, none, bw, none, by}, with(0, 1e18));
  refused("huge N", {bx, none, none, bw, none, by}, with(7, 1e18));
  refused("layout", {bx, none, none, bw, none, by}, with(8, kLayoutCount));
  refused("negative layout", {bx, none, none, bw, none, by}, with(8, -1));
  refused("group", {bx, none, none, bw, none, by}, {2, 64, 0, 0, 0, 0, 1, 32, kQ4A, 16, dF16});
  refused("scales", {bx, none, none, bw, none, by}, {2, 64, 0, 0, 0, 0, 1, 32, kQ4A, 32, dE8M0});
  refused("glu of one segment", {bx, none, none, bw, none, by}, with(5, 1));
  refused("residual of two segments", {bx, none, by, bw, none, by, bw, none, by},
          {2, 64, 0, 0, 0, 0, 2, 32, kQ4, 32, dF16, 32, kQ4, 32, dF16});
  refused("missing buffers", {bx, none, none}, good);
  return ok;
}

}  // namespace

bool run_linear_suite(const Suite& suite) {
  bool ok = linear_cases(suite);
  ok &= not_finite(suite);
  return refusals(suite) && ok;
}

}  // namespace ingot::tests
