// Shared by the tests of the matrix kernels: which level is under test, worst-case tracking, reporting.
#pragma once
#include <cstdio>
#include <string>

#include "linear_reference.h"
#include "tests.h"

namespace ingot::tests {

inline const char* layout_name(int layout) { return traits(layout).name; }

struct Worst {
  double ratio = 0, got = 0, want = 0, bound = 0;
  int64_t row = 0, column = 0, count = 0;
  void add(double value, const Expected& e, int64_t r, int64_t c) {
    count++;
    const double q = std::isfinite(value) ? std::fabs(value - e.value) / e.bound : 1e30;
    if (q > ratio) ratio = q, got = value, want = e.value, bound = e.bound, row = r, column = c;
  }
};

/**
 * The kernels under test and the tally. `tiles`: many rows in `fast` go through bf16 tiles. `pairs`: FP8 and
 * many rows of bf16 go through dot products of bf16.
 */
struct Suite {
  const char* name;
  const KernelDef* (*find)(const char*);
  bool tiles;
  bool embeds = true;  // has `embed`
  bool pairs = false;
  int every = 1;  // of the grid of plain products, each n-th case
  mutable int cases = 0, failures = 0;

  const KernelDef* kernel(const char* kernel_name) const { return find(kernel_name); }
  bool fail(const std::string& what, const std::string& why) const {
    if (failures++ < 20) printf("  FAILED %s: %s: %s\n", name, what.c_str(), why.c_str());
    return false;
  }
  bool report(const std::string& what, const Worst& w) const {
    cases++;
    if (w.ratio <= 1 && w.count) return true;
    char text[200];
    snprintf(text, sizeof text, "[%d,%d] is %.8g, expected %.8g ± %.3g (%.1f times the bound)", int(w.row),
             int(w.column), w.got, w.want, w.bound, w.ratio);
    return fail(what, w.count ? text : "nothing was compared");
  }
  Rounding rounding(int layout, bool exact, bool many) const {
    if (exact) return Rounding::none;
    if (tiles && many) return Rounding::bf16;
    if (pairs && many && (traits(layout).e4m3 || layout == kBF16)) return Rounding::bf16;
    if (pairs && traits(layout).e4m3) return Rounding::twice;
    return is_float_layout(layout) || traits(layout).e4m3 ? Rounding::none : Rounding::int8;
  }
};

inline std::vector<float> random_floats(int64_t n, Random& random) {
  std::vector<float> v(n);
  for (auto& x : v) x = random.uniform(-1, 1);
  return v;
}

template <class T>
Buf buf(const std::vector<T>& v) {
  return {reinterpret_cast<uint8_t*>(const_cast<T*>(v.data())), int64_t(v.size() * sizeof(T))};
}

/** How far the result may move when the input is off by rounding: an f32 ulp or two, or one code. */
inline double input_error(const PackedMatrix& w, int64_t n, const float* x, Rounding how) {
  double e = 0;
  for (int64_t k = 0; k < w.K; k++) {
    double unit = std::fabs(x[k]) * (how == Rounding::bf16    ? 0x1p-8
                                     : how == Rounding::twice ? 0x1p-17
                                                              : 0x1p-20);
    if (how == Rounding::int8) {
      float amax = 0;
      for (int i = 0; i < 32; i++) amax = std::fmax(amax, std::fabs(x[k / 32 * 32 + i]));
      unit += std::fabs(std::fabs(x[k]) * 127 / amax - std::floor(std::fabs(x[k]) * 127 / amax) - 0.5) < 1e-3
                  ? amax / 127
                  : 0;
    }
    e += std::fabs(w.values[n * w.K + k]) * unit;
  }
  return e;
}

bool run_linear_suite(const Suite&);
bool run_moe_suite(const Suite&);
bool run_embed_suite(const Suite&);
int run_pack_tests();
void run_linear_bench(const Options&);

}  // namespace ingot::tests
