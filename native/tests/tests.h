// What the native self-test shares: options of the command line, access to the kernel tables, a small thread
// team.
#pragma once
#include <cstddef>
#include <vector>
#include "runtime/cpu_level.h"
#include "runtime/kernel.h"

namespace ingot::tests {

struct Options {
  bool bench = false;         // microbenchmarks instead of tests
  const char* filter = "";    // substring of the case or level names to run
  int threads = 2;
  int every = 1;  // of the grid of plain matrix products, each n-th case; everything else runs in full
};

/** Each returns the number of failures. */
int run_linear_tests(const Options&);
int run_ops_tests(const Options&);
int run_pool_tests();

/** Levels of this build, scalar first. */
std::vector<Level> built_levels();
/** The kernel of exactly this level; null when the level has none of that name. */
const KernelDef* find_kernel(Level, const char* name);

/** Runs check, allocates shared memory and runs the kernel on `threads` threads. Returns null, or the failure
 * message. */
const char* run_kernel(const KernelDef&, const Args&, int threads);
/** As run_kernel, `times` runs on threads started once; seconds of each run go to `seconds`. */
const char* time_kernel(const KernelDef&, const Args&, int threads, int times, std::vector<double>& seconds);

}  // namespace ingot::tests
