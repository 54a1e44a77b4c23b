#include "pool.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

#include "bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot {

namespace {

// Numbers below 1e-38 carry nothing here and cost a hundred cycles each: workers treat them as zero.
inline void flush_denormals() {
#if defined(__x86_64__)
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  _mm_setcsr(_mm_getcsr() | 0x40);  // denormals are zero
#elif defined(__aarch64__)
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | (uint64_t(1) << 24)));
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
  auto* grown = static_cast<uint8_t*>(std::aligned_alloc(size_t(2) << 20, size));
  if (!grown) return false;
#if defined(MADV_HUGEPAGE)
  madvise(grown, size, MADV_HUGEPAGE);
#endif
  std::free(team.shared);
  team.shared = grown;
  team.shared_size = size;
  return true;
}

Pool::Pool(int nthreads) {
  team_.barrier.init(nthreads);
  for (int i = 0; i < nthreads; i++) {
    scratch_.push_back(Memory::allocate(kScratchBytes));
    if (!scratch_.back()) throw std::bad_alloc();
  }
  for (int i = 0; i < nthreads; i++) workers_.emplace_back([this, i] { run(i); });
}

Pool::~Pool() {
  stopping_.store(true);
  queued_.raise();
  for (auto& w : workers_) w.join();
  std::free(team_.shared);
}

void Pool::submit(std::shared_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  queued_.raise();
}

std::shared_ptr<Job> Pool::wait_for_job(Patience& patience) {
  for (;;) {
    const uint32_t seen = queued_.value();
    {
      std::lock_guard lock(mutex_);
      if (!queue_.empty()) {
        auto job = std::move(queue_.front());
        queue_.pop_front();
        return job;
      }
    }
    if (stopping_.load()) return nullptr;
    patience.wait(queued_, seen);
  }
}

void Pool::run(int tid) {
  flush_denormals();
  Ctx ctx{tid, int(scratch_.size()), &team_, scratch_[size_t(tid)]->data()};
  Patience between_jobs;  // its own: jobs come at other distances than barriers
  uint32_t seen = 0;
  for (;;) {
    if (tid == 0) {
      auto job = wait_for_job(between_jobs);
      current_ = job;
      if (job) {
        team_.failed.store(false);
        team_.stop = false;
        team_.message[0] = 0;
        team_.next.store(0);
        job->prepare(team_, ctx.nthreads);
      }
      epoch_.raise();
    } else {
      between_jobs.wait(epoch_, seen);
      seen = epoch_.value();
    }
    if (!current_) return;
    current_->work(ctx);
    ctx.barrier();
    if (tid == 0) {
      auto job = std::move(current_);
      job->finish(team_);
    }
  }
}

}  // namespace ingot
