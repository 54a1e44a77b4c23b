#include "wait.h"

#include <algorithm>
#include <chrono>

#if defined(__linux__)
#include <climits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ingot {

namespace {

// Longer than workers of an idle machine drift apart within a dispatch; sleeping and waking costs about 10
// us.
constexpr int64_t kFullSpin = 50'000, kBriefSpin = 2'500;  // nanoseconds
constexpr int kFirstPenalty = 8, kMostPenalty = 256;       // waits

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// std::atomic::wait yields before it sleeps, and a yield hands the core to a busy process for a whole time
// slice.
#if defined(__linux__)
void sleep_while(std::atomic<uint32_t>& word, uint32_t seen) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}
void wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}
#elif defined(_WIN32)
void sleep_while(std::atomic<uint32_t>& word, uint32_t seen) {
  WaitOnAddress(&word, &seen, sizeof seen, INFINITE);
}
void wake_all(std::atomic<uint32_t>& word) { WakeByAddressAll(&word); }
#else
void sleep_while(std::atomic<uint32_t>& word, uint32_t seen) { word.wait(seen); }
void wake_all(std::atomic<uint32_t>& word) { word.notify_all(); }
#endif

}  // namespace

// Sequentially consistent here and in sleep(): either this thread sees the sleeper, or the sleeper sees the
// new value.
void Signal::raise() {
  value_.fetch_add(1);
  if (sleepers_.load() != 0) wake_all(value_);
}

void Signal::sleep(uint32_t seen) {
  sleepers_.fetch_add(1);
  while (value_.load() == seen) sleep_while(value_, seen);
  sleepers_.fetch_sub(1);
}

bool Signal::spin(uint32_t seen, int64_t nanoseconds) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::nanoseconds(nanoseconds);
  do {
    for (int i = 0; i < 16; i++) {
      if (value() != seen) return true;
      relax();
    }
  } while (Clock::now() < end);
  return false;
}

void Patience::wait(Signal& signal, uint32_t seen) {
  const bool brief = brief_ > 0;
  const bool in_time = signal.spin(seen, brief ? kBriefSpin : kFullSpin);
  if (brief) brief_--;
  else if (in_time) penalty_ = 0;
  else brief_ = penalty_ = std::clamp(2 * penalty_, kFirstPenalty, kMostPenalty);
  if (!in_time) signal.sleep(seen);
}

}  // namespace ingot
