// The worker pool: jobs run SPMD on all workers, off the event loop, one job at a time in the order given.
// How workers wait for each other and for jobs: wait.h.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernel.h"

namespace ingot {

class Memory;

class Job {
 public:
  virtual ~Job() = default;
  virtual void prepare(Team& team, int nthreads) {}  // leader only, before the workers start
  virtual void work(Ctx& ctx) = 0;                   // every worker
  virtual void finish(const Team& team) = 0;         // leader only, after all workers are done
};

class Pool {
 public:
  explicit Pool(int nthreads);
  ~Pool();
  int threads() const { return int(workers_.size()); }
  void submit(std::shared_ptr<Job> job);

  // Grows team->shared; leader only.
  static bool reserve_shared(Team& team, size_t bytes);

 private:
  void run(int tid);
  std::shared_ptr<Job> wait_for_job(Patience& patience);

  Team team_;
  std::vector<std::shared_ptr<Memory>> scratch_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Job>> queue_;
  Signal queued_;  // bumped by submit: what the leader spins and sleeps on
  Signal epoch_;   // bumped by the leader: what the others spin and sleep on
  std::shared_ptr<Job> current_;
  std::atomic<bool> stopping_{false};
};

}  // namespace ingot
