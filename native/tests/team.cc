// The test's own team of threads: runs one kernel the way the pool does, without depending on it.
#include "tests.h"

#include <sys/mman.h>
#include <time.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace ingot::tests {

namespace {

// Seconds on a clock: the thread's own time when it works alone (other processes then do not count), else the
// wall's.
double now(int threads) {
  timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

}  // namespace

const char* time_kernel(const KernelDef& def, const Args& args, int threads, int times,
                        std::vector<double>& seconds) {
  static thread_local std::string message;
  if (def.check)
    if (const char* problem = def.check(args)) return (message = problem).c_str();
  Team team;
  team.barrier.init(threads);
  team.shared_size = def.shared_bytes ? def.shared_bytes(args, threads) : 0;
  const size_t huge = size_t(2) << 20;
  auto allocate = [&](size_t bytes) {
    const size_t rounded = (bytes + huge - 1) / huge * huge;
    void* p = aligned_alloc(huge, rounded);
    madvise(p, rounded, MADV_HUGEPAGE);
    memset(p, 0xA5, rounded);  // kernels must not count on zeros
    return static_cast<uint8_t*>(p);
  };
  if (team.shared_size) team.shared = allocate(team.shared_size);
  std::vector<std::thread> workers;
  seconds.assign(times, 0);
  double start = 0;
  auto work = [&](int tid) {
    uint8_t* scratch = allocate(kScratchBytes);
    Ctx ctx{tid, threads, &team, scratch};
    for (int t = 0; t < times; t++) {
      ctx.barrier();
      if (tid == 0) team.next.store(0), start = now(threads);
      ctx.barrier();
      def.run(args, ctx);
      ctx.barrier();
      if (tid == 0) seconds[t] = now(threads) - start;
    }
    free(scratch);
  };
  for (int t = 1; t < threads; t++) workers.emplace_back(work, t);
  work(0);
  for (auto& w : workers) w.join();
  free(team.shared);
  if (team.failed.load()) return (message = team.message).c_str();
  return nullptr;
}

const char* run_kernel(const KernelDef& def, const Args& args, int threads) {
  std::vector<double> seconds;
  return time_kernel(def, args, threads, 1, seconds);
}

}  // namespace ingot::tests
