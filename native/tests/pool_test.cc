// Tests of the worker pool with more workers than cores: nobody runs ahead of a barrier, no wake-up is lost,
// jobs keep their order, and workers that come late are counted from the dispatch on that they join. A lost
// wake-up shows as a test that never ends.
#include <chrono>
#include <cstdio>

#include "runtime/pool.h"
#include "tests.h"

namespace ingot::tests {

namespace {

constexpr int kWorkers = 9, kBarriers = 2000, kJobs = 400;

struct Tally {
  std::vector<int> order;  // of the jobs, as they finished
  int failures = 0;
  std::atomic<int> told{0};
  Signal done;
};

// Random pauses make workers sleep and spin, as it comes.
void pause(uint32_t& state, int rarity) {
  state = state * 1664525u + 1013904223u;
  if (state >> rarity == 0) std::this_thread::sleep_for(std::chrono::microseconds(state >> 12 & 127));
}

// Every worker counts its arrivals at each barrier.
class Counting : public Job {
 public:
  Counting(Tally& tally, int number, int barriers) : tally_(tally), number_(number), barriers_(barriers) {}
  void work(Ctx& ctx) override {
    uint32_t state = uint32_t(number_ * 9781 + ctx.tid * 6271 + 1);
    for (int b = 0; b < barriers_; b++) {
      pause(state, 24);
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

// What a program does. Each dispatch must be run once under every number below the number of its workers.
class Joining : public Job {
 public:
  Joining(Tally& tally, int number, int dispatches)
      : tally_(tally), number_(number), dispatches_(size_t(dispatches)) {}
  bool elastic() const override { return true; }
  void work(Ctx& ctx) override {
    Team& team = *ctx.team;
    uint32_t state = uint32_t(number_ * 9781 + ctx.tid * 6271 + 1);
    for (size_t d = team.next_dispatch; d < dispatches_; d++) {
      if (ctx.nthreads != team.members || ctx.tid >= team.members) wrong_++;
      pause(state, 26);
      numbers_ += 1 << ctx.tid;
      ctx.barrier([&] {
        if (numbers_.exchange(0) != (1 << team.members) - 1) wrong_++;
        ran_++;
        team.next_dispatch = d + 1;
        team.admit();
      });
      ctx.nthreads = team.members;
    }
  }
  void finish(const Team&) override {
    if (wrong_.load() || ran_ != dispatches_) tally_.failures++;
    tally_.order.push_back(number_);
    tally_.done.raise();
  }
  void notify() override {
    std::this_thread::sleep_for(std::chrono::microseconds(number_ * 37 % 200));
    tally_.told++;
  }

 private:
  Tally& tally_;
  int number_;
  size_t dispatches_, ran_ = 0;
  std::atomic<int> numbers_{0}, wrong_{0};
};

// Two jobs: the worker that tells of the first comes back when the second has begun, and the second ends when
// all are there.
struct Late {
  Signal began;
  std::atomic<bool> told{false};
};
class Telling : public Job {
 public:
  explicit Telling(Late& late) : late_(late) {}
  void work(Ctx&) override {}
  void finish(const Team&) override {}
  void notify() override {
    Patience().wait(late_.began, 0);
    late_.told.store(true);
  }

 private:
  Late& late_;
};
class Waiting : public Job {
 public:
  Waiting(Late& late, Tally& tally) : late_(late), tally_(tally) {}
  bool elastic() const override { return true; }
  void work(Ctx& ctx) override {
    Team& team = *ctx.team;
    while (team.next_dispatch < 2) {
      ctx.barrier([&] {
        if (late_.began.value() == 0) {
          if (team.members != kWorkers - 1 || late_.told.load()) tally_.failures++;
          late_.began.raise();
        }
        team.admit();
        team.next_dispatch = team.members == kWorkers ? 2 : 1;
      });
      ctx.nthreads = team.members;
    }
  }
  void finish(const Team&) override { tally_.done.raise(); }

 private:
  Late& late_;
  Tally& tally_;
};

}  // namespace

int run_pool_tests() {
  Tally tally;
  {
    Pool pool(kWorkers);
    Patience patience;
    for (int i = 0; i <= kJobs; i++) {
      const uint32_t seen = tally.done.value();
      if (i % 2 == 0) pool.submit(std::make_shared<Counting>(tally, i, i == 0 ? kBarriers : i % 7));
      else pool.submit(std::make_shared<Joining>(tally, i, i % 11 * 5));
      // Some jobs queue up, some find workers that spin, some find them asleep.
      if (i % 3 == 0) patience.wait(tally.done, seen);
      if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    while (tally.done.value() != kJobs + 1) patience.wait(tally.done, tally.done.value());
    Late late;
    pool.submit(std::make_shared<Telling>(late));
    pool.submit(std::make_shared<Waiting>(late, tally));
    while (tally.done.value() != kJobs + 2) patience.wait(tally.done, tally.done.value());
  }
  for (int i = 0; i <= kJobs; i++) tally.failures += tally.order[size_t(i)] != i;
  tally.failures += tally.told.load() != kJobs / 2;  // each by one worker, before the pool is gone
  printf("pool         %d workers, %d barriers, %d jobs, %d failures\n", kWorkers, 2 * kBarriers, kJobs,
         tally.failures);
  return tally.failures;
}

}  // namespace ingot::tests
