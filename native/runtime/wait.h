// Waiting for another thread: spin, because it is mostly microseconds away, then sleep, because when it is
// not, some other process has its core, and a core that spins is one that neither of them can use.
#pragma once
#include <atomic>
#include <cstdint>

namespace ingot {

// A number that threads wait on.
class Signal {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  // Changes the number and wakes who sleeps on it; what was written before is seen by whoever sees the
  // change.
  void raise();

 private:
  friend class Patience;
  bool spin(uint32_t seen, int64_t nanoseconds) const;  // true when it changed in time
  void sleep(uint32_t seen);
  alignas(64) std::atomic<uint32_t> value_{0};
  std::atomic<uint32_t> sleepers_{0};
};

// How long one thread spins. Spinning the full time in vain shows that cores are short, perhaps that the
// thread waited for stands in line for this very core: the next waits spin briefly, twice as many each time
// it happens again.
class Patience {
 public:
  // Returns once the signal's value is not `seen`.
  void wait(Signal& signal, uint32_t seen);

 private:
  int brief_ = 0;    // waits left that spin briefly
  int penalty_ = 0;  // how many it was the last time; 0 after a full spin that was not in vain
};

}  // namespace ingot
