// Microbenchmarks of the operator kernels at the best level: GB/s or GFLOPS and the share of the measured
// peak.
#include <algorithm>

#include "ops_test.h"
#include "tile_opcodes.h"

namespace ingot::tests {
namespace {

void line(const char* name, double seconds, double amount, const char* unit, double peak) {
  printf("%-46s %9.1f us %8.1f %s  %5.1f %% of %.0f\n", name, seconds * 1e6, amount / seconds / 1e9, unit,
         100 * amount / seconds / 1e9 / peak, peak);
}

struct Peaks {
  double gflops, gbs;
};

Peaks measure(Level level, int threads) {
  std::vector<double> ops(1), sink(static_cast<size_t>(threads));
  std::vector<float> x(size_t(64) << 20, 1.f);
  const double s = Call(level, "measure_f32").buf(ops).params({200000}).time(threads, 7);
  const double t = Call(level, "measure_read").buf(x).buf(sink).params({0}).time(threads, 7);
  return {ops[0] / s / 1e9, double(x.size()) * 4 / t / 1e9};
}

void matmul(Level level, int threads, const Peaks& peaks, int64_t n) {
  std::vector<float> a(size_t(n * n), 0.5f), b(size_t(n * n), 0.25f), y(size_t(n * n));
  const double d = double(n),
               s = Call(level, "matmul").buf(a).buf(b).buf(y).params({1, d, d, d, 0, 0, 0}).time(threads, 7);
  char name[80];
  snprintf(name, sizeof name, "matmul %lld", (long long)n);
  line(name, s, 2.0 * d * d * d, "GFLOPS", peaks.gflops);
}

void attention(Level level, int threads, const Peaks& peaks, int64_t rows, int64_t H, int64_t Hkv,
               int64_t ctx, double exact) {
  const int64_t Dh = 64;
  std::vector<float> q(size_t(rows * H * Dh), 0.1f), y(q.size());
  std::vector<uint16_t> k(size_t(Hkv * ctx * Dh), 0x2c00), v(k.size(), 0x3000);
  std::vector<int32_t> positions;
  for (int64_t r = 0; r < rows; r++) positions.push_back(int32_t(ctx - rows + r));
  const double s = Call(level, "attention")
                       .buf(q)
                       .buf(k)
                       .buf(v)
                       .buf(positions)
                       .none()
                       .buf(y)
                       .none()
                       .none()
                       .params({double(rows), double(H), double(Hkv), double(Dh), double(ctx), 1, 0.125, 0, 0,
                                0, 0, 0, exact})
                       .time(threads, rows == 1 ? 200 : 15);
  char name[80];
  snprintf(name, sizeof name, "attention rows %lld ctx %lld heads %lld/%lld%s", (long long)rows,
           (long long)ctx, (long long)H, (long long)Hkv, exact ? " exact" : "");
  if (rows == 1) {
    line(name, s, double(k.size()) * 4, "GB/s", peaks.gbs);
  } else {
    double pairs = 0;
    for (int32_t p : positions) pairs += p + 1;
    line(name, s, 4.0 * pairs * double(H * Dh), "GFLOPS", peaks.gflops);
  }
}

void rms_norm(Level level, int threads, const Peaks& peaks, int64_t rows, int64_t D) {
  std::vector<float> x(size_t(rows * D), 0.5f), w(size_t(D), 1.f), y(x.size());
  const double s = Call(level, "rms_norm")
                       .buf(x)
                       .buf(w)
                       .buf(y)
                       .none()
                       .none()
                       .none()
                       .params({double(rows), double(D), 1e-5, 0, 0})
                       .time(threads, 51);
  char name[80];
  snprintf(name, sizeof name, "rms_norm rows %lld x %lld", (long long)rows, (long long)D);
  line(name, s, double(x.size()) * 8, "GB/s", peaks.gbs);
}

// y = silu(a) * b
void tile(Level level, int threads, const Peaks& peaks, int64_t n) {
  std::vector<float> a(static_cast<size_t>(n), 0.5f), b(a.size(), 2.f), y(a.size());
  const double s = Call(level, "tile")
                       .buf(a)
                       .buf(b)
                       .buf(y)
                       .params({double(n),   2, 1, 1, double(n), dF32,       1, dF32, 1, dF32, 0, 2,
                                op_silu_f32, 2, 0, 0, 0,         op_mul_f32, 2, 2,    1, 0,    2})
                       .time(threads, 51);
  char name[80];
  snprintf(name, sizeof name, "tile silu(a) * b, %lld elements", (long long)n);
  line(name, s, double(n) * 12, "GB/s", peaks.gbs);
}

void sample(Level level, int threads, const Peaks& peaks, const char* what, double temperature, double top_k,
            double top_p, double n) {
  const size_t V = 128256;
  Random random(3);
  std::vector<float> x;
  for (size_t i = 0; i < V; i++)
    x.push_back(float(random.uniform(-4, 4) + random.uniform(-4, 4) + random.uniform(-4, 4)));
  std::vector<uint32_t> id(1);
  std::vector<float> logprob(1), top(static_cast<size_t>(n));
  std::vector<int32_t> ids(static_cast<size_t>(n));
  Settings row;
  row.temperature = float(temperature), row.top_k = int32_t(top_k), row.top_p = float(top_p),
  row.top = int32_t(n);
  std::vector<int32_t> settings = words({row});
  const double s = Call(level, "sample").buf(x).buf(settings).buf(id).buf(logprob).buf(ids).buf(top)
                       .params({1, double(V), n}).time(threads, 51);
  line(what, s, double(V) * 4, "GB/s", peaks.gbs);
}

}  // namespace

void run_ops_bench(const Options& options) {
  Level level = kScalar;
  for (Level l : built_levels())
    if (level_supported(l)) level = l;
  Report select(options);
  const int threads = options.threads;
  const Peaks peaks = measure(level, threads);
  printf("level %s, %d threads: multiply-add %.0f GFLOPS, read %.1f GB/s\n", level_name(level), threads,
         peaks.gflops, peaks.gbs);
  if (select.selected("matmul"))
    for (int64_t n : {256, 960}) matmul(level, threads, peaks, n);
  if (select.selected("attention")) {
    for (int64_t heads = 0; heads < 2; heads++) {
      const int64_t H = heads ? 32 : 9, Hkv = heads ? 8 : 3;
      for (int64_t ctx : {512, 4096, 8192}) attention(level, threads, peaks, 1, H, Hkv, ctx, 0);
      for (double exact : {0, 1})
        for (int64_t ctx : {512, 4096}) attention(level, threads, peaks, 512, H, Hkv, ctx, exact);
    }
  }
  if (select.selected("rms_norm")) {
    rms_norm(level, threads, peaks, 1, 2048);
    rms_norm(level, threads, peaks, 512, 2048);
  }
  if (select.selected("tile"))
    for (int64_t n : {1536, 8192, 512 * 8192}) tile(level, threads, peaks, n);
  if (select.selected("sample")) {
    sample(level, threads, peaks, "sample greedy", 0, 0, 1, 0);
    sample(level, threads, peaks, "sample greedy, 20 logprobs", 0, 0, 1, 20);
    sample(level, threads, peaks, "sample T 0.7 top-k 50 top-p 0.9", 0.7, 50, 0.9, 0);
    sample(level, threads, peaks, "sample T 1 top-p 0.9", 1, 0, 0.9, 0);
    sample(level, threads, peaks, "sample T 1", 1, 0, 1, 0);
  }
}

}  // namespace ingot::tests
