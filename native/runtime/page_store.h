// Pages of sequences of which only some are in memory. A page of a layer holds what the layer keeps of 32
// positions: a piece of each of its arrays. All layers share slots of memory; what has no slot is in a file
// without a name. A kernel gets the pages that it names (`begin`) and slots in place of pages in its table,
// so it sees a cache that is as large as the slots. Layers follow each other in a circle, step after step:
// the pages that leave are those of the layer that was attended to last, whose turn is furthest away, and
// some of the layers that come next are read ahead.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bytes.h"
#include "read_file.h"
#include "spill_file.h"

namespace ingot {

// An array `[heads, pages * 32, row]` of every layer, row in bytes.
struct PageArray {
  int64_t heads;
  size_t row;
};

struct PageStoreOptions {
  std::vector<PageArray> arrays;
  int layers = 0;
  int64_t pages = 0;  // that sequences can have
  int64_t slots = 0;  // of memory, each for a page of one layer
  int readers = 8;    // threads
  std::string folder;  // of the file
};

struct PageCounters {
  std::atomic<uint64_t> requests{0}, hits{0}, reads{0}, bytes_read{0}, bytes_written{0}, waits{0},
      wait_ns{0};
};

enum class PageUse { kAttend, kWrite, kMove };  // by attention, by what writes rows, by copies

class PageStore {
 public:
  static constexpr int64_t kRows = 32;  // of a page
  // Throws std::runtime_error that says what is wrong, with numbers.
  explicit PageStore(PageStoreOptions options);
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // --- By the worker that prepares a dispatch or a transfer, one at a time.
  // Brings pages of a layer into memory, where they stay until end(). False with `error` set, and nothing
  // held.
  bool begin(int layer, const std::vector<int32_t>& pages, PageUse use, std::string& error);
  void end();
  int32_t slot(int layer, int32_t page) const { return state(layer, page).slot; }
  // These pages hold nothing any more.
  void discard(const int32_t* pages, size_t n);
  // Moves bytes of an array of a layer, as if all of it was in memory.
  bool copy(int layer, size_t array, size_t offset, size_t bytes, uint8_t* data, bool write,
            std::string& error);

  // --- By anyone.
  int layers() const { return layers_; }
  int64_t pages() const { return pages_; }
  int64_t slots() const { return int64_t(slots_.size()); }
  const std::vector<PageArray>& arrays() const { return arrays_; }
  uint8_t* data(size_t array) const { return memory_->data() + offsets_[array]; }
  size_t array_bytes(size_t array) const {
    return size_t(arrays_[array].heads) * size_t(pages_ * kRows) * arrays_[array].row;
  }
  size_t memory_bytes(size_t array) const {
    return size_t(arrays_[array].heads) * slots_.size() * size_t(kRows) * arrays_[array].row;
  }
  size_t slot_bytes() const { return block_; }
  const PageCounters& counters() const { return counters_; }
  int64_t slots_used() const { return slots_used_.load(std::memory_order_relaxed); }
  int64_t busy_ns();  // with a transfer under way
  // For tests: what reads and writes suffer from now on.
  void inject(const ReadFaults& reads, const ReadFaults& writes);

 private:
  struct State {  // of a page of a layer
    int32_t slot = -1;
    bool on_disk = false, leaving = false;  // leaving: its slot is another's as soon as it is written
    uint32_t seen = 0;                      // the last begin() that named it
  };
  struct Slot {
    int32_t layer = -1, page = -1;
    int32_t prev = -1, next = -1;  // in the list of its layer
    int32_t pins = 0;
    bool listed = false, busy = false, dirty = false;  // listed: it may leave; busy: it is moved
    uint64_t used = 0;  // clock of the last attention that saw it
  };
  struct List {  // of a layer's slots that may leave, the next one first
    int32_t first = -1, last = -1;
    uint64_t attended = 0;  // clock of the layer's last attention
  };
  struct Item {  // a slot that changes its page
    int32_t slot, layer, page;
    int32_t old_layer = -1, old_page = -1;  // what is written first
    bool read = false;
    uint32_t call = 0;  // the begin() that wants it; 0: read ahead
    bool write() const { return old_page >= 0; }
  };
  using Job = std::vector<Item>;

  State& state(int layer, int32_t page) { return states_[size_t(layer * pages_ + page)]; }
  const State& state(int layer, int32_t page) const { return states_[size_t(layer * pages_ + page)]; }
  void append(int32_t slot);
  void unlink(int32_t slot);
  int distance(int layer) const;
  int32_t victim(int nearest);
  bool assign(int layer, int32_t page, int nearest, uint32_t call, Job& items);
  void submit(const Job& items, std::deque<Job>& queue);
  void read_ahead();
  void pin(int32_t slot);
  void unpin_all();
  bool await(const std::vector<int32_t>& pages, std::unique_lock<std::mutex>& lock, std::string& error);
  void empty(int32_t slot);
  void work();
  size_t move(const Job& job, size_t first, bool write, bool& good, std::string& error);
  void settle(const Item& item, bool wrote, bool read, const std::string& error);
  void lose(const Item& item, const std::string& error);
  uint64_t place(int layer, int32_t page) const {
    return (uint64_t(layer) * uint64_t(pages_) + uint64_t(page)) * block_;
  }

  std::vector<PageArray> arrays_;
  int layers_;
  int64_t pages_;
  size_t block_ = 0;             // bytes of a page of a layer
  size_t pieces_ = 0;            // that it has in memory
  std::vector<size_t> offsets_;  // of arrays in the memory
  std::shared_ptr<Memory> memory_;
  SpillFile file_;
  PageCounters counters_;
  std::atomic<int64_t> slots_used_{0};

  std::mutex mutex_;  // all that follows
  std::condition_variable queued_, settled_;
  std::vector<State> states_;
  std::vector<Slot> slots_;
  std::vector<List> lists_;
  std::vector<int32_t> free_;
  std::deque<Job> wanted_, ahead_;  // jobs
  bool stopping_ = false;
  int working_ = 0;  // threads
  int64_t busy_since_ = 0, busy_ns_ = 0;
  uint64_t clock_ = 0;
  uint32_t call_ = 0;
  int current_ = 0;               // the layer that was attended to last
  std::vector<int32_t> attended_;  // and the pages
  int held_layer_ = 0;
  PageUse held_use_ = PageUse::kMove;
  std::vector<int32_t> held_;  // slots of the present begin()
  std::string problem_;        // of a job since the present begin()

  std::vector<std::thread> threads_;
};

// What a buffer of a kernel stands for: an array of a layer whose pages may be elsewhere.
struct PagedArray {
  std::shared_ptr<PageStore> store;
  int layer;
  size_t array;
};

}  // namespace ingot
