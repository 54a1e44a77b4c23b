// The worker pool: jobs run SPMD on all workers, off the event loop, one job at a time in the order given.
// Whichever worker comes first starts a job. Who waits for the results of a job is told by one of its workers
// while the others begin the next: that wakes a thread which, where all cores have workers, takes the core of
// one of them, and a dispatch would wait for it. How workers wait for each other and for jobs: wait.h.
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
  // By the worker that starts the job, before any works at it. `nthreads`: the most that there can be.
  virtual void prepare(Team& team, int nthreads) {}
  // Whether workers may join later, at `Team::admit`: those that still tell of the job before.
  virtual bool elastic() const { return false; }
  virtual void work(Ctx& ctx) = 0;            // every worker
  virtual void finish(const Team& team) = 0;  // one worker, after all are done and before the next job starts
  // One worker, after that, perhaps while later jobs run or have ended: tells of all that have finished.
  virtual void notify() {}
};

class Pool {
 public:
  explicit Pool(int nthreads);
  ~Pool();
  int threads() const { return int(workers_.size()); }
  void submit(std::shared_ptr<Job> job);
  // Whether no job is queued or under way. For the thread that submits: nothing begins until it does.
  bool idle();

  // Grows team->shared; by the worker that starts a job.
  static bool reserve_shared(Team& team, size_t bytes);

 private:
  struct Worker {
    std::shared_ptr<Memory> scratch;
    int cpu = -1;                       // where it was when it came to its last job
    std::atomic<bool> notifies{false};  // the job that it has worked at
    std::thread thread;
  };
  void run(Worker& worker);
  std::shared_ptr<Job> enter(Worker& worker, Ctx& ctx, Patience& patience);
  void start(Job& job, Ctx& ctx, Patience& patience);
  bool admitted(const std::shared_ptr<Job>& job, int tid, Patience& patience);
  void close(Job& job);
  void leave();

  Team team_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // All below under team_.door.
  std::deque<std::shared_ptr<Job>> queue_;
  std::shared_ptr<Job> current_;
  bool open_ = false;          // whether others may join it
  std::vector<Worker*> here_;  // at the current job, by number: members and those who knock
  int notifying_ = 0;          // workers
  int caller_cpu_ = -1;        // of the last submit
  bool stopping_ = false;

  Signal work_;     // raised when a job is queued, and when one has ended
  Signal knocked_;  // raised when a worker knocks
};

// The first job of a pool that takes another's place: it waits until the jobs of that one have ended. So jobs
// keep their order when the number of workers changes, whatever is in flight, and the event loop does not
// wait.
class Handover : public Job {
 public:
  explicit Handover(std::unique_ptr<Pool> before) : before_(std::move(before)) {}
  void prepare(Team&, int) override { before_.reset(); }
  void work(Ctx&) override {}
  void finish(const Team&) override {}

 private:
  std::unique_ptr<Pool> before_;
};

}  // namespace ingot
