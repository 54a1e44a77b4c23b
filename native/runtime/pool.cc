#include "pool.h"

#include <cstdarg>
#include <cstdio>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <sched.h>
#include <sys/mman.h>
#endif

#include "aligned.h"
#include "bytes.h"
#include "denormals.h"

namespace ingot {

namespace {

// The CPU that this thread runs on, -1 where the system does not say.
inline int this_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#elif defined(_WIN32)
  return int(GetCurrentProcessorNumber());
#else
  return -1;
#endif
}

}  // namespace

void Ctx::fail(const char* format, ...) {
  bool expected = false;
  if (!team->failed.compare_exchange_strong(expected, true)) return;
  va_list args;
  va_start(args, format);
  std::vsnprintf(team->message, sizeof team->message, format, args);
  va_end(args);
}

bool Pool::reserve_shared(Team& team, size_t bytes) {
  if (bytes <= team.shared_size) return true;
  // Power-of-two growth keeps the number of reallocations small while the first plans run.
  size_t size = size_t(2) << 20;
  while (size < bytes) size *= 2;
  auto* grown = static_cast<uint8_t*>(aligned_block(size_t(2) << 20, size));
  if (!grown) return false;
#if defined(MADV_HUGEPAGE)
  madvise(grown, size, MADV_HUGEPAGE);
#endif
  free_block(team.shared);
  team.shared = grown;
  team.shared_size = size;
  return true;
}

Pool::Pool(int nthreads) {
  for (int i = 0; i < nthreads; i++) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->scratch = Memory::allocate(kScratchBytes);
    if (!workers_.back()->scratch) throw std::bad_alloc();
  }
  here_.resize(workers_.size());
  for (auto& w : workers_) w->thread = std::thread([this, &w] { run(*w); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(team_.door);
    stopping_ = true;
  }
  work_.raise();
  for (auto& w : workers_) w->thread.join();
  free_block(team_.shared);
}

void Pool::submit(std::shared_ptr<Job> job) {
  {
    std::lock_guard lock(team_.door);
    queue_.push_back(std::move(job));
    caller_cpu_ = this_cpu();
  }
  work_.raise();
}

bool Pool::idle() {
  std::lock_guard lock(team_.door);
  return !current_ && queue_.empty();
}

// Starts the next job or joins the present one, under the number ctx.tid; null when the pool stops.
std::shared_ptr<Job> Pool::enter(Worker& worker, Ctx& ctx, Patience& patience) {
  for (;;) {
    const uint32_t seen = work_.value();
    std::shared_ptr<Job> job;
    {
      std::lock_guard lock(team_.door);
      if (current_ && open_) {
        job = current_;
        ctx.tid = team_.members + team_.knocking.fetch_add(1, std::memory_order_relaxed);
      } else if (!current_ && !queue_.empty()) {
        job = current_ = std::move(queue_.front());
        queue_.pop_front();
        open_ = true;
        ctx.tid = 0;
        team_.members = 1;
      } else if (!current_ && stopping_) {
        return nullptr;
      }
      if (job) worker.cpu = this_cpu(), here_[size_t(ctx.tid)] = &worker;
    }
    if (!job) {
      patience.wait(work_, seen);
    } else if (ctx.tid == 0) {
      start(*job, ctx, patience);
      return job;
    } else {
      knocked_.raise();
      if (admitted(job, ctx.tid, patience)) {
        ctx.nthreads = team_.members;
        return job;
      }
    }
  }
}

void Pool::start(Job& job, Ctx& ctx, Patience& patience) {
  team_.failed.store(false);
  team_.stop = false;
  team_.message[0] = 0;
  team_.next.store(0);
  team_.next_dispatch = 0;
  team_.barrier.init(1);
  job.prepare(team_, threads());
  for (;;) {
    const uint32_t seen = knocked_.value();
    {
      std::lock_guard lock(team_.door);
      const int others = threads() - 1 - (job.elastic() ? notifying_ : 0);
      if (team_.knocking.load(std::memory_order_relaxed) >= others) break;
    }
    patience.wait(knocked_, seen);
  }
  team_.admit();
  ctx.nthreads = team_.members;
  team_.barrier.phase().raise();
}

// Waits to be let in; false when the job ended first.
bool Pool::admitted(const std::shared_ptr<Job>& job, int tid, Patience& patience) {
  for (;;) {
    const uint32_t seen = team_.barrier.phase().value();
    {
      std::lock_guard lock(team_.door);
      if (current_ != job || !open_) return false;
      if (team_.members > tid && team_.barrier.phase().value() != team_.admitted_at) return true;
    }
    patience.wait(team_.barrier.phase(), seen);
  }
}

// By the last of its workers, while the others wait.
void Pool::close(Job& job) {
  job.finish(team_);
  std::lock_guard lock(team_.door);
  open_ = false;
  team_.knocking.store(0, std::memory_order_relaxed);
  // The thread that is told wakes up where it was before: who tells it is best the worker that will lose its
  // core.
  Worker* teller = here_[0];
  for (int i = 1; i < team_.members; i++)
    if (here_[size_t(i)]->cpu == caller_cpu_) teller = here_[size_t(i)];
  teller->notifies.store(true);
  notifying_++;
}

// Then, when all have been released: the barrier is free for the next job.
void Pool::leave() {
  {
    std::lock_guard lock(team_.door);
    current_ = nullptr;
  }
  work_.raise();
}

void Pool::run(Worker& worker) {
  const FlushDenormals flush;
  Ctx ctx{0, 1, &team_, worker.scratch->data()};
  Patience between_jobs;  // its own: jobs come at other distances than barriers
  while (const auto job = enter(worker, ctx, between_jobs)) {
    job->work(ctx);
    bool last = false;
    ctx.barrier([&] {
      close(*job);
      last = true;
    });
    if (last) leave();
    if (!worker.notifies.exchange(false)) continue;
    job->notify();
    std::lock_guard lock(team_.door);
    notifying_--;
  }
}

}  // namespace ingot
