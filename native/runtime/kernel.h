// What a kernel is: a function run SPMD by every worker of the pool, over byte buffers and numeric params.
// The list of kernels, their buffers and params is src/kernel/signatures.ts; build/signatures/NAME.h has
// accessors for the arguments.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstddef>
#include <mutex>

#include "layouts.h"
#include "signatures/codes.h"
#include "wait.h"

namespace ingot {

struct ExpertStack;

struct Buf {
  uint8_t* data;
  int64_t bytes;  // 0: an absent optional buffer
  const ExpertStack* stack =
      nullptr;  // experts that are read when they are used, in place of data: experts.h
  template <class T> T* as() const { return reinterpret_cast<T*>(data); }
};

// Arguments of one dispatch with all plan scalars already substituted.
struct Args {
  const Buf* bufs;
  int nbufs;
  const double* params;
  int nparams;
  int64_t i(int k) const { return static_cast<int64_t>(params[k]); }
  float f(int k) const { return static_cast<float>(params[k]); }
};

class Barrier {
 public:
  // Only while nobody is on the way to the barrier: in a completion, or before the first arrives.
  void init(int n) { n_.store(n, std::memory_order_relaxed); }
  // The last worker to arrive runs `completion` before anyone is released. `patience` is the caller's own.
  template <class F> void wait(Patience& patience, F&& completion) {
    const uint32_t phase = phase_.value();
    const int n = n_.load(std::memory_order_relaxed);  // before arriving: afterwards it may be the next job's
    if (count_.fetch_add(1, std::memory_order_acq_rel) == n - 1) {
      completion();
      count_.store(0, std::memory_order_relaxed);
      phase_.raise();
    } else {
      patience.wait(phase_, phase);
    }
  }
  // Changes whenever workers are released.
  Signal& phase() { return phase_; }

 private:
  std::atomic<int> n_{1};
  alignas(64) std::atomic<int> count_{0};
  Signal phase_;
};

// Shared by all workers during one dispatch. One per pool.
struct Team {
  Barrier barrier;
  int members = 1;               // workers of the present dispatch; changes at the barrier between two
  size_t next_dispatch = 0;      // of the program, for those who join
  std::mutex door;               // held to knock, and to let in
  std::atomic<int> knocking{0};  // workers that wait to join, with the numbers that follow the members'
  uint32_t admitted_at = 0;      // phase of the barrier; who was let in begins when it has passed
  // Lets in who knocks, when the phase changes. By the only worker that is not at the barrier.
  void admit() {
    if (knocking.load(std::memory_order_relaxed) == 0) return;
    std::lock_guard lock(door);
    members += knocking.exchange(0, std::memory_order_relaxed);
    admitted_at = barrier.phase().value();
    barrier.init(members);
  }
  alignas(64) std::atomic<int64_t> next{0};  // work counter, reset by the executor before each dispatch
  uint8_t* shared = nullptr;                 // KernelDef::shared_bytes large, 64-byte aligned
  size_t shared_size = 0;
  std::atomic<bool> failed{false};
  bool stop = false;  // `failed` as it was at the last barrier between dispatches: the same for all workers
  char message[256] = {0};
};

// What a worker hands to a kernel.
struct Ctx {
  int tid;
  int nthreads;
  Team* team;
  uint8_t*
      scratch;  // kScratchBytes private to this worker, 64-byte aligned, kept between dispatches, huge pages
  Patience patience{};
  bool ok() const { return !team->failed.load(std::memory_order_relaxed); }
  void barrier() { barrier([] {}); }
  template <class F> void barrier(F&& completion) { team->barrier.wait(patience, completion); }
  // Next work item of [0, n) taken in order, or -1. Start again with reset_next().
  int64_t next(int64_t n) {
    int64_t v = team->next.fetch_add(1, std::memory_order_relaxed);
    return v < n ? v : -1;
  }
  // Call from all workers: a barrier after which next() starts at 0 again.
  void reset_next() {
    barrier([this] { team->next.store(0, std::memory_order_relaxed); });
  }
  // Contiguous share [begin, end) of n items for this worker.
  void range(int64_t n, int64_t& begin, int64_t& end) const {
    begin = n * tid / nthreads;
    end = n * (tid + 1) / nthreads;
  }
  // First failure wins; the run rejects with it. The kernel must still reach its barriers.
  void fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
};

// Asks for `bytes` from p on, into the second-level cache: the first level takes fewer requests at a time.
// Always inlined, because GCC drops the call of a function that has nothing else.
inline __attribute__((always_inline)) void prefetch_lines(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

constexpr size_t kScratchBytes = size_t(8) << 20;

struct KernelDef {
  const char* name;
  void (*run)(const Args&, Ctx&);
  // Bytes of team->shared this dispatch needs; null for none. Called on one thread before a run.
  size_t (*shared_bytes)(const Args&, int nthreads);
  // Null when params fit the buffers, else a static or thread-local message. Called on one thread before
  // every run.
  const char* (*check)(const Args&);
  // Asks for the memory this worker will read first; called on every worker while the dispatch before still
  // runs on others, so it may look at no result of that. Null for none.
  void (*fetch)(const Args&, const Ctx&) = nullptr;
  bool streams = false;  // takes stacks of experts that are not in memory
};

// Levels in order of preference per architecture. A level's table holds only what it has; lookup falls down
// to scalar.
enum Level { kScalar = 0, kAvx2, kAvx512, kAvx512Bf16, kAmx, kNeon, kNeonI8mm, kLevels };
struct Table {
  const KernelDef* defs;
  int count;
};

// Every kernels/*.cc is compiled once per level that has it with -DINGOT_LEVEL=<level> -DINGOT_NS=<level
// name> and that level's instruction flags, and defines inside `namespace ingot::INGOT_NS` one `extern const
// Table <file>_table;`.

struct Features {
  bool avx2, avx512, avx512bf16, amx_int8, amx_bf16, neon, dotprod, i8mm;
};
const Features& features();

}  // namespace ingot
