// Mappings of files whose pages may go: a file that is truncated, or a disk that fails, turns the next read
// of a page into a SIGBUS, which would end the process. Here that read gives zeros and the mapping is marked,
// so that whoever computed with it can say that the file is gone.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ingot {

struct WatchedMapping {
  std::atomic<uintptr_t> begin{0}, end{0};  // whole pages; both 0 when nobody uses it
  std::atomic<bool> lost{false};
  WatchedMapping* next = nullptr;
};

// The mapping [base, base + length) is caught from now on, until it is given back. Before munmap, and once
// for each.
WatchedMapping* watch_mapping(void* base, size_t length);
void unwatch_mapping(WatchedMapping* mapping);

// Whether any mapping was ever lost: what is nearly always false costs one load to ask.
bool pages_were_lost();

}  // namespace ingot
