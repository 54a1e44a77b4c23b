// Runs the matrix-kernel suites on every level of this CPU.
#include <algorithm>
#include <cstring>

#include "linear_amx.h"
#include "linear_suite.h"

namespace ingot::tests {

namespace {

template <Level L>
const KernelDef* find_at(const char* name) { return find_kernel(L, name); }

const KernelDef* emulated_tiles(const char* name) {
  const KernelDef* def = emulated_linear(name);
  return def ? def : emulated_moe(name);
}

int run_suite(Suite suite, int every) {
  suite.every = every;
  run_linear_suite(suite);
  if (suite.find("moe_glu")) run_moe_suite(suite);
  if (suite.embeds) run_embed_suite(suite);
  printf("linear %-12s %d cases, %d failures\n", suite.name, suite.cases, suite.failures);
  return suite.failures;
}

}  // namespace

int run_linear_tests(const Options& options) {
  if (options.bench) {
    run_linear_bench(options);
    return 0;
  }
  const Suite suites[] = {
      {"scalar", find_at<kScalar>, false},      {"avx2", find_at<kAvx2>, false},
      {"avx512", find_at<kAvx512>, false},      {"avx512bf16", find_at<kAvx512Bf16>, false, false, true},
      {"amx", find_at<kAmx>, true, true, true}, {"neon", find_at<kNeon>, false},
      {"neon_i8mm", find_at<kNeonI8mm>, false}};
  const Level levels[] = {kScalar, kAvx2, kAvx512, kAvx512Bf16, kAmx, kNeon, kNeonI8mm};
  int failures = run_pack_tests();
  for (size_t i = 0; i < std::size(levels); i++) {
    if (!level_supported(levels[i]) || !suites[i].find("linear") || !strstr(suites[i].name, options.filter))
      continue;
    failures += run_suite(suites[i], options.every);
  }
  if (emulated_tiles("linear") && strstr("amx", options.filter)) {
    failures += run_suite({"amx emulated", emulated_tiles, true, false, true}, options.every);
  }
  if (emulated_linear_plain("linear") && strstr("amx", options.filter)) {
    failures += run_suite({"amx plain", emulated_linear_plain, true, false}, std::max(5, options.every));
  }
  return failures;
}

}  // namespace ingot::tests
