// Runs the tests of the operator kernels; the helpers they share.
#include <algorithm>

#include "linear_amx.h"
#include "ops_test.h"

namespace ingot::tests {

namespace {
constexpr size_t kGuard = 64;
constexpr uint8_t kGuardByte = 0xa5;
constexpr Level kEmulatedAmx = kLevels;  // beyond the real ones: only some kernels have it

bool level_has(Level level, const char* name) {
  return level == kEmulatedAmx ? emulated_attention(name) != nullptr
                               : level_supported(level) && find_kernel(level, name) != nullptr;
}
const KernelDef* kernel_at(Level level, const char* name) {
  return level == kEmulatedAmx ? emulated_attention(name) : ingot::find_kernel(name, level);
}
}  // namespace

uint16_t half_from_float(float f) {
  const double a = std::fabs(double(f));
  const uint16_t sign = std::signbit(f) ? 0x8000 : 0;
  if (std::isnan(f)) return sign | 0x7e00;
  if (a >= 65520) return sign | 0x7c00;
  const int exponent = a < 0x1p-14 ? -14 : std::ilogb(a);
  const double step = std::ldexp(1.0, exponent - 10);
  const auto units =
      uint32_t(std::nearbyint(a / step));  // ties to even; 2048 carries into the exponent by itself
  return uint16_t(sign | (a < 0x1p-14 ? units : ((uint32_t(exponent + 15) << 10) + units - 1024)));
}
float float_from_half(uint16_t h) {
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  const double a = exponent == 0 ? std::ldexp(mantissa, -24)
                   : exponent == 31 ? (mantissa ? std::nan("") : HUGE_VAL)
                                    : std::ldexp(1024 + mantissa, exponent - 25);
  return float(h & 0x8000 ? -a : a);
}

Call& Call::raw(void* data, int64_t bytes) {
  Guarded g{data, bytes, {}};
  g.copy.resize(size_t(bytes) + 64 + kGuard);
  guarded_.push_back(std::move(g));
  return *this;
}
Args Call::args() {
  bufs_.clear();
  for (auto& g : guarded_) {
    uint8_t* start = g.copy.data() + (64 - reinterpret_cast<uintptr_t>(g.copy.data()) % 64);
    bufs_.push_back({start, g.bytes});
  }
  return {bufs_.data(), int(bufs_.size()), params_.data(), int(params_.size())};
}
std::string Call::run(int threads) {
  const KernelDef* def = kernel_at(level_, name_);
  if (def == nullptr) return std::string("no kernel ") + name_;
  const Args a = args();
  for (size_t i = 0; i < guarded_.size(); i++) {
    auto& g = guarded_[i];
    std::fill(g.copy.begin(), g.copy.end(), kGuardByte);
    if (g.bytes) std::memcpy(bufs_[i].data, g.original, size_t(g.bytes));
  }
  const char* message = run_kernel(*def, a, threads);
  for (size_t i = 0; i < guarded_.size(); i++) {
    auto& g = guarded_[i];
    for (uint8_t* p = g.copy.data(); p < g.copy.data() + g.copy.size(); p++)
      if ((p < bufs_[i].data || p >= bufs_[i].data + g.bytes) && *p != kGuardByte)
        return "wrote outside buffer " + std::to_string(i);
    if (g.bytes) std::memcpy(g.original, bufs_[i].data, size_t(g.bytes));
  }
  return message == nullptr ? "" : message;
}
double Call::time(int threads, int times) {
  const Args a = args();
  for (size_t i = 0; i < guarded_.size(); i++)
    if (guarded_[i].bytes) std::memcpy(bufs_[i].data, guarded_[i].original, size_t(guarded_[i].bytes));
  std::vector<double> seconds;
  const KernelDef* def = kernel_at(level_, name_);
  const char* message = def == nullptr ? "no such kernel" : time_kernel(*def, a, threads, times, seconds);
  if (message != nullptr) {
    printf("%s: %s\n", name_, message);
    std::exit(1);
  }
  for (size_t i = 0; i < guarded_.size(); i++)
    if (guarded_[i].bytes) std::memcpy(guarded_[i].original, bufs_[i].data, size_t(guarded_[i].bytes));
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void Report::each_level(const char* name, const std::function<void(Level)>& body) {
  std::vector<Level> levels = built_levels();
  levels.push_back(kEmulatedAmx);
  for (Level level : levels) {
    case_ = std::string(name) + " " + (level == kEmulatedAmx ? "amx emulated" : level_name(level));
    if (!selected(case_.c_str()) || !level_has(level, name)) continue;
    const int before = failures_;
    body(level);
    printf("%-4s %s\n", failures_ == before ? "ok" : "FAIL", case_.c_str());
  }
}
void Report::expect(bool ok, const std::string& what) {
  if (ok) return;
  failures_++;
  printf("  %s: %s\n", case_.c_str(), what.c_str());
}
void Report::near(const std::string& what, const float* got, const std::vector<double>& want,
                  const std::vector<double>& bound) {
  size_t worst = 0, count = 0;
  double worst_ratio = -1;
  for (size_t i = 0; i < want.size(); i++) {
    const bool same = (std::isnan(want[i]) && std::isnan(got[i])) || double(got[i]) == want[i];
    const double error = same ? 0 : std::fabs(got[i] - want[i]);
    const double ratio = error <= bound[i] ? error / (bound[i] + 1e-300)
                                           : (std::isnan(error) ? HUGE_VAL : 1 + error / (bound[i] + 1e-300));
    count += ratio > 1;
    if (ratio > worst_ratio) worst_ratio = ratio, worst = i;
  }
  if (count == 0) return;
  failures_++;
  printf("  %s: %s: %zu of %zu outside the bound; worst at %zu: got %.9g, want %.9g, bound %.3g\n",
         case_.c_str(), what.c_str(), count, want.size(), worst, double(got[worst]), want[worst],
         bound[worst]);
}

int run_ops_tests(const Options& options) {
  if (options.bench) {
    run_ops_bench(options);
    return 0;
  }
  Report report(options);
  attention_tests(report);
  norm_tests(report);
  tile_tests(report);
  array_tests(report);
  scan_tests(report);
  sample_tests(report);
  compressed_tests(report);
  return report.failures();
}

}  // namespace ingot::tests
