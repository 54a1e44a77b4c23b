// `make tilebench`: designs of the AMX product side by side, in the shapes of a Llama of 1B parameters with 512 rows. Needs a
// CPU with AMX and nothing else, no Node either. `tilebench [threads …]`; the default is 2 and all cores.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "../kernels/linear.cc"
#include "tests.h"
#include "tile_designs.h"

namespace ingot::INGOT_NS {
extern const Table measure_table;
}

namespace ingot::tests {

namespace {

using namespace ingot::INGOT_NS;

constexpr int64_t kRows = 512, kCopies = 6;  // copies of the weights, so that they come from memory as in a model
constexpr int kRounds = 9, kDesignCount = sizeof kDesigns / sizeof *kDesigns;

struct Shape {
  const char* name;
  int64_t N, K;
  int segments, glu;
  bool residual;
  int layers;  // how often a forward pass runs it
};
constexpr Shape kShapes[] = {{"q, k, v     3072 x 2048", 1024, 2048, 3, 0, false, 16},
                             {"output      2048 x 2048", 2048, 2048, 1, 0, true, 16},
                             {"gate, up  2x8192 x 2048", 8192, 2048, 2, 1, false, 16},
                             {"down        2048 x 8192", 2048, 8192, 1, 0, true, 16}};

double weights_of(const Shape& s) { return double(s.N) * double(s.K) * s.segments; }
template <class T>
Buf view(std::vector<T>& v) { return {reinterpret_cast<uint8_t*>(v.data()), int64_t(v.size() * sizeof(T))}; }

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

double time_once(const KernelDef& def, std::vector<Buf>& bufs, std::vector<double>& params, int threads, int times) {
  const Args args{bufs.data(), int(bufs.size()), params.data(), int(params.size())};
  std::vector<double> seconds;
  if (const char* problem = time_kernel(def, args, threads, times, seconds)) {
    fprintf(stderr, "%s: %s\n", def.name, problem);
    exit(1);
  }
  seconds.erase(seconds.begin());  // the first run touches its memory for the first time
  return median(seconds);
}

double tile_peak(int threads) {
  for (int i = 0; i < measure_table.count; i++) {
    const KernelDef& def = measure_table.defs[i];
    if (std::string(def.name) != "measure_bf16") continue;
    std::vector<double> ops(8), params{1e6};
    std::vector<Buf> bufs{view(ops)};
    const double seconds = time_once(def, bufs, params, threads, 4);
    return ops[0] / seconds;
  }
  return 0;
}

// Random codes and scales near 1e-3: finite products, no denormals.
std::vector<uint8_t> random_panels(int64_t bytes) {
  std::vector<uint8_t> w(size_t(bytes), 0);
  uint32_t state = 1;
  for (auto& b : w) state = state * 1664525u + 1013904223u, b = uint8_t(state >> 24) & 0x17;
  return w;
}

void bench_shape(const Shape& s, int threads, double peak, double (&total)[kDesignCount]) {
  Weights w;
  if (const char* problem = describe_weights(w, nullptr, s.N, s.K, kQ4, 32, dF16)) {
    fprintf(stderr, "%s\n", problem);
    exit(1);
  }
  auto panels = random_panels(w.bytes() * s.segments * kCopies);
  std::vector<float> x(size_t(kRows * s.K)), y(size_t(kRows * s.N * s.segments)), residual(size_t(kRows * s.N), 0.5f), first;
  for (size_t i = 0; i < x.size(); i++) x[i] = float(i * 2654435761u % 2048) / 1024 - 1;
  std::vector<double> params{double(kRows), double(s.K), 0, 0, 0, double(s.glu), double(s.segments)};
  for (int i = 0; i < s.segments; i++) params.insert(params.end(), {double(s.N), kQ4, 32, dF16});
  std::vector<double> seconds[kDesignCount];
  for (int round = 0; round < kRounds; round++)
    for (int d = 0; d < kDesignCount; d++) {
      std::vector<Buf> bufs{view(x), {}, s.residual ? view(residual) : Buf{}};
      for (int i = 0; i < s.segments; i++) {
        uint8_t* data = panels.data() + ((round * kDesignCount + d) % kCopies * s.segments + i) * w.bytes();
        if (round == 0) data = panels.data() + i * w.bytes();  // the same for all designs, to compare results
        bufs.insert(bufs.end(), {Buf{data, w.bytes()}, Buf{}, s.glu && i ? Buf{} : Buf{reinterpret_cast<uint8_t*>(y.data() + i * kRows * s.N), kRows * s.N * 4}});
      }
      seconds[d].push_back(time_once(kDesigns[d], bufs, params, threads, 4));
      if (round) continue;
      if (d == 0) first = y;
      double worst = 0, size = 0;
      for (size_t i = 0; i < y.size(); i++) worst = std::max(worst, double(std::fabs(y[i] - first[i]))), size = std::max(size, double(std::fabs(first[i])));
      // Both sum the same bf16 products, in another order at most: K terms, each rounding by 2^-24 of the largest sum.
      if (!(worst <= size * double(s.K) * 0x1p-24)) printf("  WRONG: %s differs by %g of %g\n", kDesigns[d].name, worst, size);
    }
  printf("%s, %d threads\n", s.name, threads);
  for (int d = 0; d < kDesignCount; d++) {
    const double t = median(seconds[d]), ops = 2 * kRows * weights_of(s);
    total[d] += t * s.layers;
    printf("  %-32s %7.3f ms  %6.2f TFLOPS  %3.0f %% of the tile peak\n", kDesigns[d].name, t * 1e3, ops / t / 1e12, 100 * ops / t / peak);
  }
}

void bench_threads(int threads) {
  const double peak = tile_peak(threads);
  printf("\n%d threads, bf16 tile peak %.2f TFLOPS\n", threads, peak / 1e12);
  double total[kDesignCount] = {};
  for (const Shape& s : kShapes) bench_shape(s, threads, peak, total);
  printf("all products of a forward pass of %d rows, 16 layers, %d threads\n", int(kRows), threads);
  for (int d = 0; d < kDesignCount; d++) printf("  %-32s %7.1f ms\n", kDesigns[d].name, total[d] * 1e3);
}

}  // namespace

}  // namespace ingot::tests

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, of arch/x86/include/uapi/asm/prctl.h
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) {
    fprintf(stderr, "this CPU or kernel has no AMX\n");
    return 1;
  }
  std::vector<int> threads;
  for (int i = 1; i < argc; i++) threads.push_back(std::max(1, atoi(argv[i])));
  if (threads.empty()) threads = {2, int(std::thread::hardware_concurrency())};
  for (int n : threads) ingot::tests::bench_threads(n);
}
