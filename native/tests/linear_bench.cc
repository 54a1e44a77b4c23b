// `selftest bench`: speed of the matrix kernels beside this machine's own limits, measured in the same run.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "kernels/pack.h"
#include "kernels/quantize.h"
#include "linear_suite.h"

namespace ingot::tests {

namespace {

// The best run: other work on the machine only ever adds time.
double best(const std::vector<double>& v) {
  return *std::min_element(v.begin(), v.end());
}

double best_time(const KernelDef* def, std::vector<Buf> bufs, std::vector<double> params, int threads,
                 int times) {
  const Args args{bufs.data(), int(bufs.size()), params.data(), int(params.size())};
  std::vector<double> seconds;
  if (const char* m = time_kernel(*def, args, threads, times, seconds)) {
    printf("bench failed: %s\n", m);
    return 1;
  }
  return best(seconds);
}

struct Limits {
  double read, int8, bf16;
};

Limits measure(Level level, int threads) {
  std::vector<uint8_t> data(size_t(256) << 20, 1);
  std::vector<double> sink(threads), ops(1);
  const auto find = [&](const char* name) { return find_kernel(level, name); };
  Limits l{};
  l.read = data.size() / best_time(find("measure_read"), {buf(data), buf(sink)}, {0}, threads, 9);
  double t = best_time(find("measure_int8"), {buf(ops)}, {1e6}, threads, 5);
  l.int8 = ops[0] / t;
  t = best_time(find("measure_bf16"), {buf(ops)}, {1e6}, threads, 5);
  l.bf16 = ops[0] / t;
  return l;
}

LayoutForm layout_form(int layout) {
  LayoutForm form{};
  read_layout(form, layout, 32, dF16);
  return form;
}
int64_t panel_bytes(int layout, int64_t K) { return layout_form(layout).panel_bytes(K); }

// Weights of `copies` matrices, so that a one-row pass finds none of them in a cache.
std::vector<uint8_t> random_weights(int64_t bytes, int layout = kQ4) {
  std::vector<uint8_t> w(bytes);
  // Scales that are bytes of exponents would be denormal below 2.
  const uint8_t exponents = layout_form(layout).scale == dE8M0 ? 0x50 : 0;
  for (int64_t i = 0; i < bytes; i++) w[i] = (uint8_t((i * 2654435761u) >> 11) & 0x2F) | exponents;
  return w;
}

void one_shape(Level level, int layout, int64_t N, int64_t K, int64_t rows, int threads, const Limits& limits,
               bool exact) {
  const KernelDef* linear = find_kernel(level, "linear");
  const int64_t bytes = (N + 15) / 16 * panel_bytes(layout, K);
  Random random(1);
  const auto x = random_floats(rows * K, random);
  std::vector<float> y(rows * N);
  const Buf none{nullptr, 0};
  // Eight segments of different matrices per run when one row is measured: 8 N x K, beyond the caches for big
  // shapes.
  const int segments = rows <= 8 ? 8 : 1;
  const auto w = random_weights(bytes * segments, layout);
  std::vector<Buf> bufs{buf(x), none, none};
  std::vector<double> params{double(rows), double(K), double(exact), 0, 0, 0, double(segments)};
  for (int s = 0; s < segments; s++) {
    bufs.insert(bufs.end(), {Buf{const_cast<uint8_t*>(w.data()) + s * bytes, bytes}, none, buf(y)});
    params.insert(params.end(), {double(N), double(layout), 32, dF16});
  }
  const double t = best_time(linear, bufs, params, threads, rows <= 8 ? 30 : 7);
  const double read = bytes * segments / t, ops = 2.0 * rows * N * K * segments / t;
  const bool tiles = limits.bf16 > 0 && rows > 8 && !exact;
  printf("%-8s %-5s %-5s %5d x %-5d rows %4d  %8.3f ms  %6.1f GB/s (%3.0f %%)  %7.1f GOPS (%3.0f %% of %s)\n",
         level_name(level), layout_name(layout), exact ? "exact" : "fast", int(N), int(K), int(rows), t * 1e3,
         read / 1e9, 100 * read / limits.read, ops / 1e9, 100 * ops / (tiles ? limits.bf16 : limits.int8),
         tiles ? "bf16" : "int8");
}

void moe_shape(Level level, int64_t rows, int threads, const Limits& limits) {
  const KernelDef *up = find_kernel(level, "moe_glu"), *down = find_kernel(level, "moe_down");
  if (!up || !down) return;
  const int64_t E = 32, D = 2048, F = 1792, topk = 4;
  const int64_t gate_bytes = E * (F / 16) * panel_bytes(kQ4, D),
                down_bytes = E * (D / 16) * panel_bytes(kQ4, F);
  const auto gate = random_weights(gate_bytes), upw = random_weights(gate_bytes),
             dw = random_weights(down_bytes);
  Random random(2);
  const auto x = random_floats(rows * D, random), weights = random_floats(rows * topk, random);
  std::vector<float> h(rows * topk * F), y(rows * D);
  std::vector<int32_t> ids(rows * topk);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t s = 0; s < topk; s++) ids[r * topk + s] = int32_t((r * 7 + s * 9 + random.below(8)) % E);
  const Buf no{nullptr, 0};
  const double t =
      best_time(up, {buf(x), buf(ids), buf(gate), buf(upw), no, no, no, buf(h)},
                {double(rows), double(D), 0, 1, 0, 0, 0, double(topk), double(E), double(F), kQ4, 32, dF16},
                threads, 9) +
      best_time(down, {buf(h), buf(ids), buf(weights), buf(dw), no, no, no, buf(y)},
                {double(rows), double(F), 0, double(topk), double(E), double(D), kQ4, 32, dF16}, threads, 9);
  const double bytes = double(std::min(rows * topk, E)) / E * (2 * gate_bytes + down_bytes),
               ops = 6.0 * rows * topk * D * F;
  printf(
      "%-8s moe 32 experts x 1792 x 2048 top-4 rows %4d  %8.3f ms  %6.1f GB/s (%3.0f %%)  %7.1f GOPS (%3.0f "
      "%% int8)\n",
      level_name(level), int(rows), t * 1e3, bytes / t / 1e9, 100 * bytes / t / limits.read, ops / t / 1e9,
      100 * ops / t / limits.int8);
}

void pack_speed() {
  const int64_t N = 4096, K = 4096;
  struct { int code; const char* name; int64_t block, bytes; int layout;
  } const forms[] = {
      {3, "Q4_0", 32, 18, kQ4},      {4, "Q4_1", 32, 20, kQ4A},   {5, "Q8_0", 32, 34, kQ8},
      {7, "Q4_K", 256, 144, kQ4K},   {8, "Q6_K", 256, 210, kQ6K}, {15, "Q5_K", 256, 176, kQ5K},
      {14, "Q3_K", 256, 110, kQ3K},  {13, "Q2_K", 256, 84, kQ2K}, {17, "IQ4_XS", 256, 136, kIQ4XS},
      {18, "MXFP4", 32, 17, kMXFP4}, {1, "F16", 1, 2, kF16},      {2, "BF16", 1, 2, kBF16},
      {0, "F32", 1, 4, kF32}};
  for (const auto& f : forms) {
    std::vector<uint8_t> in(N * K / f.block * f.bytes, 1), out(N / 16 * panel_bytes(f.layout, K), 1);
    const uint8_t* parts[] = {in.data()};
    std::vector<double> t;
    for (int i = 0; i < 5; i++) {
      const auto start = std::chrono::steady_clock::now();
      pack_rows({f.code, layout_form(f.layout), N, K}, parts, nullptr, 0, N / 16, out.data());
      t.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    printf("pack %-5s %.1f GB/s of source on one core\n", f.name, in.size() / best(t) / 1e9);
  }
}

void quantize_speed() {
  const int64_t N = 256, K = 4096;
  Random random(3);
  const auto values = random_floats(N * K, random);
  const struct { int code; const char* name; int layout, group; int64_t block, bytes;
  } forms[] = {{13, "Q2_K", kQ2K, 0, 256, 84},   {14, "Q3_K", kQ3K, 0, 256, 110},
               {7, "Q4_K", kQ4K, 0, 256, 144},   {15, "Q5_K", kQ5K, 0, 256, 176},
               {8, "Q6_K", kQ6K, 0, 256, 210},   {9, "affine2", kQ2A, 64, 32, 8},
               {9, "affine4", kQ4A, 64, 32, 16}, {9, "affine8", kQ8A, 64, 32, 32}};
  for (const auto& f : forms) {
    LayoutForm layout{};
    read_layout(layout, f.layout, f.group, dBF16);
    std::vector<uint8_t> out(N * K / f.block * f.bytes), scales(N * K / 32 * 2), biases(scales);
    uint8_t* parts[] = {out.data(), scales.data(), biases.data()};
    std::vector<double> t;
    for (int i = 0; i < 5; i++) {
      const auto start = std::chrono::steady_clock::now();
      quantize_rows({f.code, layout, N, K}, values.data(), 0, N, parts);
      t.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    printf("quantise %-7s %.0f million weights/s on one core\n", f.name, N * K / best(t) / 1e6);
  }
}

}  // namespace

void run_linear_bench(const Options& o) {
  for (Level level : built_levels()) {
    if (!level_supported(level) || !find_kernel(level, "linear") || !strstr(level_name(level), o.filter))
      continue;
    if (level == kScalar && !*o.filter) continue;
    const Limits l = measure(level, o.threads);
    printf("%s, %d threads: read %.1f GB/s, int8 %.2f TOPS, bf16 tiles %.2f TFLOPS\n", level_name(level),
           o.threads, l.read / 1e9, l.int8 / 1e12, l.bf16 / 1e12);
    const struct {
      int64_t N, K;
    } shapes[] = {{2048, 2048}, {8192, 2048}, {2048, 8192}, {576, 576}, {1536, 576}};
    for (const auto& s : shapes)
      for (int rows : {1, 4, 16, 512}) one_shape(level, kQ4, s.N, s.K, rows, o.threads, l, false);
    for (int layout = 0; layout < kLayoutCount; layout++) {
      one_shape(level, layout, 8192, 2048, 1, o.threads, l, false);  // eight of them are beyond the caches
      one_shape(level, layout, 2048, 2048, 512, o.threads, l, false);
    }
    for (int rows : {1, 16, 512}) one_shape(level, kQ4, 2048, 2048, rows, o.threads, l, true);
    for (bool exact : {false, true})  // an output head
      for (int rows : {1, 16}) one_shape(level, kQ8, 16384, 576, rows, o.threads, l, exact);
    for (int rows : {1, 8, 512}) moe_shape(level, rows, o.threads, l);
  }
  pack_speed();
  quantize_speed();
}

}  // namespace ingot::tests
