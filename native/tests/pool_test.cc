// Tests of the worker pool with more workers than cores: nobody runs ahead of a barrier, no wake-up is lost, jobs keep
// their order. A lost wake-up shows as a test that never ends.
#include <chrono>
#include <cstdio>

#include "runtime/pool.h"
#include "tests.h"

namespace ingot::tests {

namespace {

constexpr int kWorkers = 9, kBarriers = 2000, kJobs = 200;

struct Tally {
  std::vector<int> order;  // of the jobs, as they finished
  int failures = 0;
  Signal done;
};

// Every worker counts its arrivals at each barrier. Pauses of random length make workers sleep and spin, as it comes.
class Counting : public Job {
 public:
  Counting(Tally& tally, int number, int barriers) : tally_(tally), number_(number), barriers_(barriers) {}
  void work(Ctx& ctx) override {
    uint32_t state = uint32_t(number_ * 9781 + ctx.tid * 6271 + 1);
    for (int b = 0; b < barriers_; b++) {
      state = state * 1664525u + 1013904223u;
      if (state >> 24 == 0) std::this_thread::sleep_for(std::chrono::microseconds(state >> 12 & 127));
      arrived_.fetch_add(1, std::memory_order_relaxed);
      ctx.barrier([&] {
        completions_++;
        if (arrived_.load(std::memory_order_relaxed) != (b + 1) * ctx.nthreads) early_++;
      });
      if (completions_ != b + 1) early_++;
      ctx.barrier();  // nobody arrives for b + 1 while others still look
    }
  }
  void finish(const Team&) override {
    if (early_.load() || completions_ != barriers_) tally_.failures++;
    tally_.order.push_back(number_);
    tally_.done.raise();
  }

 private:
  Tally& tally_;
  int number_, barriers_, completions_ = 0;
  std::atomic<int> arrived_{0}, early_{0};
};

}  // namespace

int run_pool_tests() {
  Tally tally;
  Pool pool(kWorkers);
  Patience patience;
  for (int i = 0; i <= kJobs; i++) {
    const uint32_t seen = tally.done.value();
    pool.submit(std::make_shared<Counting>(tally, i, i == 0 ? kBarriers : i % 7));
    // Some jobs queue up, some find workers that spin, some find them asleep.
    if (i % 3 == 0) patience.wait(tally.done, seen);
    if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  while (tally.done.value() != kJobs + 1) patience.wait(tally.done, tally.done.value());
  for (int i = 0; i <= kJobs; i++) tally.failures += tally.order[size_t(i)] != i;
  printf("pool         %d workers, %d barriers, %d jobs, %d failures\n", kWorkers, 2 * kBarriers, kJobs, tally.failures);
  return tally.failures;
}

}  // namespace ingot::tests
