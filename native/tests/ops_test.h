// Shared by the tests of the operator kernels: random inputs, guarded buffers, comparison with a double
// reference.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests.h"

namespace ingot::tests {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  double uniform(double lo, double hi) { return lo + (hi - lo) * (double(engine_() >> 11) * 0x1p-53); }
  int64_t integer(int64_t lo, int64_t hi) { return lo + int64_t(engine_() % uint64_t(hi - lo + 1)); }
  std::vector<float> floats(int64_t n, double lo = -1, double hi = 1) {
    std::vector<float> v(static_cast<size_t>(n));
    for (auto& x : v) x = float(uniform(lo, hi));
    return v;
  }

 private:
  std::mt19937_64 engine_;
};

uint16_t half_from_float(float f);
float float_from_half(uint16_t h);

/** One kernel call under construction: buffers with guard bytes behind them, and params. */
class Call {
 public:
  Call(Level level, const char* name) : level_(level), name_(name) {}
  template <class T> Call& buf(std::vector<T>& data) {
    return raw(data.data(), int64_t(data.size() * sizeof(T)));
  }
  Call& none() { return raw(nullptr, 0); }
  Call& params(std::initializer_list<double> values) {
    params_.insert(params_.end(), values);
    return *this;
  }
  /** Runs it; buffers are written back. Returns the failure message, or an empty string. */
  std::string run(int threads);
  /** Median seconds of `times` runs; prints and exits on failure. */
  double time(int threads, int times);

 private:
  Call& raw(void* data, int64_t bytes);
  Args args();
  struct Guarded {
    void* original;
    int64_t bytes;
    std::vector<uint8_t> copy;
  };
  Level level_;
  const char* name_;
  std::vector<Guarded> guarded_;
  std::vector<Buf> bufs_;
  std::vector<double> params_;
};

/** Collects failures of one run and prints what is needed to reproduce them. */
class Report {
 public:
  Report(const Options& options) : options_(options) {}
  /** Runs `body` for every level this CPU has and that has its own kernel `name`, when the case is selected.
   */
  void each_level(const char* name, const std::function<void(Level)>& body);
  bool selected(const char* name) const { return std::strstr(name, options_.filter) != nullptr; }
  void expect(bool ok, const std::string& what);
  /** |got - want| <= bound element-wise; prints the worst element. */
  void near(const std::string& what, const float* got, const std::vector<double>& want,
            const std::vector<double>& bound);
  void near(const std::string& what, const float* got, const std::vector<double>& want, double bound) {
    near(what, got, want, std::vector<double>(want.size(), bound));
  }
  /** Whether the next case of a large grid runs: all of them, or with `--every n` about 2 in n. */
  bool next_of_grid() { return grid_++ % std::max(1, options_.every / 2) == 0; }
  int failures() const { return failures_; }
  int threads() const { return options_.threads; }

 private:
  const Options& options_;
  std::string case_;
  int failures_ = 0, grid_ = 0;
};

/** The settings of a row of logits, as docs/cpu-kernels.md lists them, and their words. */
struct Settings {
  float temperature = 0;
  int32_t top_k = 0;
  float top_p = 1, min_p = 0;
  uint32_t seed = 1234, step = 0;
  float repetition = 1, presence = 0, frequency = 0;
  int32_t slot = -1, mask = -1, top = 5;
};
inline std::vector<int32_t> words(const std::vector<Settings>& rows) {
  std::vector<int32_t> out(rows.size() * 12);
  std::memcpy(out.data(), rows.data(), out.size() * 4);
  return out;
}

constexpr double kEps = 0x1p-24;  // unit roundoff of f32

void attention_tests(Report&);
void norm_tests(Report&);
void tile_tests(Report&);
void array_tests(Report&);
void scan_tests(Report&);
void sample_tests(Report&);
void compressed_tests(Report&);
void run_ops_bench(const Options&);

}  // namespace ingot::tests
