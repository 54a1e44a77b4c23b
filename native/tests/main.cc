// Runs the native tests: `selftest [bench] [filter] [--threads n] [--every n]`. Exit status 1 when anything
// failed.
#include "tests.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  ingot::tests::Options options;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "bench")) options.bench = true;
    else if (!strcmp(argv[i], "--threads") && i + 1 < argc) options.threads = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--every") && i + 1 < argc) options.every = std::max(1, atoi(argv[++i]));
    else options.filter = argv[i];
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  for (auto level : ingot::tests::built_levels()) {
    const bool can = ingot::level_supported(level);
    printf("level %-10s %s\n", ingot::level_name(level), can ? "runs here" : "NOT RUN: this CPU lacks it");
  }
  int failures = options.bench ? 0 : ingot::tests::run_pool_tests();
  failures += ingot::tests::run_linear_tests(options) + ingot::tests::run_ops_tests(options);
  printf(failures ? "%d FAILED\n" : "all passed\n", failures);
  return failures ? 1 : 0;
}
