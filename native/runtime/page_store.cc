#include "page_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace ingot {

namespace {

constexpr size_t kJobBytes = size_t(1) << 20;  // that a thread moves before others see them
constexpr int kAhead = 2;                      // layers that are read before their turn
constexpr size_t kAheadShare = 16;  // of the slots, before and after a layer's attention: others stay longer
constexpr size_t kAlign = 4096;

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

PageStore::PageStore(PageStoreOptions options)
    : arrays_(std::move(options.arrays)), layers_(options.layers), pages_(options.pages) {
  size_t bytes = 0;
  for (const PageArray& array : arrays_) {
    offsets_.push_back(bytes);
    const size_t page = size_t(array.heads) * size_t(kRows) * array.row;
    bytes += (page * size_t(options.slots) + kAlign - 1) / kAlign * kAlign;
    block_ += page;
    pieces_ += size_t(array.heads);
  }
  if (arrays_.empty() || layers_ < 1 || pages_ < 1 || options.slots < 1 || pieces_ > SpillFile::kPieces)
    throw std::runtime_error("bad sizes");
  memory_ = Memory::allocate(bytes);
  if (!memory_) throw std::runtime_error("out of memory: " + std::to_string(bytes) + " bytes for pages");
  file_.open(options.folder, uint64_t(layers_) * uint64_t(pages_) * block_);
  states_.resize(size_t(layers_ * pages_));
  slots_.resize(size_t(options.slots));
  lists_.resize(size_t(layers_));
  for (int64_t i = options.slots; i > 0; i--) free_.push_back(int32_t(i - 1));
  for (int i = 0; i < std::max(1, options.readers); i++) threads_.emplace_back([this] { work(); });
}

PageStore::~PageStore() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  for (auto& t : threads_) t.join();
}

int64_t PageStore::busy_ns() {
  std::lock_guard lock(mutex_);
  return busy_ns_ + (working_ > 0 ? now_ns() - busy_since_ : 0);
}

void PageStore::inject(const ReadFaults& reads, const ReadFaults& writes) {
  file_.read_faults().take(reads);
  file_.write_faults().take(writes);
}

// ---- Which pages leave.

void PageStore::append(int32_t slot) {
  Slot& s = slots_[size_t(slot)];
  List& list = lists_[size_t(s.layer)];
  s.listed = true;
  s.prev = list.last;
  s.next = -1;
  (list.last >= 0 ? slots_[size_t(list.last)].next : list.first) = slot;
  list.last = slot;
}

void PageStore::unlink(int32_t slot) {
  Slot& s = slots_[size_t(slot)];
  List& list = lists_[size_t(s.layer)];
  s.listed = false;
  (s.prev >= 0 ? slots_[size_t(s.prev)].next : list.first) = s.next;
  (s.next >= 0 ? slots_[size_t(s.next)].prev : list.last) = s.prev;
}

// Layers until a layer's turn comes.
int PageStore::distance(int layer) const {
  const int d = (layer - current_ + layers_) % layers_;
  return d == 0 ? layers_ : d;
}

// A slot whose page is needed later than `nearest` layers from now: latest of all those that the last
// attention of their layer did not see. -1 when there is none.
int32_t PageStore::victim(int nearest) {
  int32_t best = -1;
  for (int l = 0; l < layers_; l++) {
    const int32_t first = lists_[size_t(l)].first;
    if (first < 0) continue;
    const bool stale = slots_[size_t(first)].used < lists_[size_t(l)].attended;
    const int d = stale ? layers_ + 1 : distance(l);
    if (d > nearest) nearest = d, best = first;
  }
  return best;
}

void PageStore::empty(int32_t slot) {
  slots_[size_t(slot)] = Slot{};
  free_.push_back(slot);
  slots_used_.fetch_sub(1, std::memory_order_relaxed);
}

// Gives a page a slot; what has to be moved for that is added to `items`. False when no slot can be had now.
bool PageStore::assign(int layer, int32_t page, int nearest, uint32_t call, Job& items) {
  int32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
    slots_used_.fetch_add(1, std::memory_order_relaxed);
  } else {
    slot = victim(nearest);
    if (slot < 0) return false;
    unlink(slot);
  }
  Slot& s = slots_[size_t(slot)];
  State& st = state(layer, page);
  Item item{slot, layer, page};
  item.read = st.on_disk;
  item.call = call;
  if (s.page >= 0) {
    State& old = state(s.layer, s.page);
    old.slot = -1;
    old.leaving = s.dirty;
    if (s.dirty) item.old_layer = s.layer, item.old_page = s.page;
  }
  s = Slot{};
  s.layer = layer;
  s.page = page;
  s.used = lists_[size_t(layer)].attended;
  s.busy = item.read || item.write();
  st.slot = slot;
  if (s.busy) items.push_back(item);
  return true;
}

void PageStore::submit(const Job& items, std::deque<Job>& queue) {
  if (items.empty()) return;
  const size_t threads = threads_.size(), share = (items.size() + threads - 1) / threads,
               most = std::max<size_t>(1, std::min(kJobBytes / block_, SpillFile::kPieces / pieces_));
  const size_t size = std::min(share, most);
  for (size_t i = 0; i < items.size(); i += size)
    queue.emplace_back(items.begin() + long(i), items.begin() + long(std::min(items.size(), i + size)));
  queued_.notify_all();
}

// What the layers that come next will need of what is not in memory, where that is not at the cost of what is
// needed sooner.
void PageStore::read_ahead() {
  Job items;
  const size_t most = std::max<size_t>(1, slots_.size() / kAheadShare);
  bool room = true;
  for (int d = 1; room && d <= std::min(kAhead, layers_ - 1); d++) {
    const int layer = (current_ + d) % layers_;
    for (int32_t page : attended_) {
      const State& s = state(layer, page);
      if (s.slot >= 0 || s.leaving || !s.on_disk) continue;
      if (!(room = items.size() < most && assign(layer, page, d, 0, items))) break;
    }
  }
  submit(items, ahead_);
}

// ---- What a dispatch holds.

void PageStore::pin(int32_t slot) {
  Slot& s = slots_[size_t(slot)];
  s.pins++;
  if (s.listed) unlink(slot);
  held_.push_back(slot);
}

void PageStore::unpin_all() {
  for (int32_t slot : held_) {
    Slot& s = slots_[size_t(slot)];
    if (--s.pins == 0 && !s.busy) append(slot);
  }
  held_.clear();
}

bool PageStore::begin(int layer, const std::vector<int32_t>& pages, PageUse use, std::string& error) {
  std::unique_lock lock(mutex_);
  call_++;
  problem_.clear();
  held_layer_ = layer;
  held_use_ = use;
  std::vector<int32_t> wanted;
  size_t there = 0;
  for (int32_t page : pages) {
    State& s = state(layer, page);
    if (s.seen == call_) continue;
    s.seen = call_;
    wanted.push_back(page);
    if (s.slot < 0) continue;
    there += !slots_[size_t(s.slot)].busy;
    pin(s.slot);
  }
  if (wanted.size() > slots_.size()) {
    unpin_all();
    error = "out of memory: a step needs " + std::to_string(wanted.size()) + " pages of one layer, " +
            std::to_string(wanted.size() * block_) + " bytes, and memory holds " +
            std::to_string(slots_.size());
    return false;
  }
  if (use == PageUse::kAttend) {
    current_ = layer;
    attended_ = wanted;
    counters_.requests.fetch_add(wanted.size(), std::memory_order_relaxed);
    counters_.hits.fetch_add(there, std::memory_order_relaxed);
  }
  Job items;
  for (int32_t page : wanted) {
    const State& s = state(layer, page);
    if (s.slot >= 0 || s.leaving) continue;
    if (!assign(layer, page, 0, call_, items)) break;
    pin(s.slot);
  }
  submit(items, wanted_);
  if (use == PageUse::kAttend) read_ahead();
  if (!await(wanted, lock, error)) {
    unpin_all();
    return false;
  }
  if (use == PageUse::kWrite)
    for (int32_t slot : held_) {
      slots_[size_t(slot)].dirty = true;
      state(layer, slots_[size_t(slot)].page).on_disk = false;
    }
  return true;
}

// Until all of these pages are in memory. False when one of them cannot be had.
bool PageStore::await(const std::vector<int32_t>& pages, std::unique_lock<std::mutex>& lock,
                      std::string& error) {
  int64_t start = 0;
  bool good = true;
  for (size_t i = 0; good && i < pages.size();) {
    const State& s = state(held_layer_, pages[i]);
    if (s.slot >= 0 && !slots_[size_t(s.slot)].busy) {
      i++;
    } else if (!problem_.empty()) {
      error = problem_;
      good = false;
    } else {
      // Its slot was not free yet, or reading it ahead went wrong: now it is wanted.
      Job items;
      if (s.slot < 0 && !s.leaving && assign(held_layer_, pages[i], 0, call_, items)) {
        pin(s.slot);
        submit(items, wanted_);
        continue;
      }
      if (start == 0) start = now_ns();
      settled_.wait(lock);
    }
  }
  if (start != 0) {
    counters_.waits.fetch_add(1, std::memory_order_relaxed);
    counters_.wait_ns.fetch_add(uint64_t(now_ns() - start), std::memory_order_relaxed);
  }
  return good;
}

void PageStore::end() {
  std::lock_guard lock(mutex_);
  const bool attended = held_use_ == PageUse::kAttend;
  if (attended) {
    lists_[size_t(held_layer_)].attended = ++clock_;
    for (int32_t slot : held_) slots_[size_t(slot)].used = clock_;
  }
  unpin_all();
  if (attended) read_ahead();
}

void PageStore::discard(const int32_t* pages, size_t n) {
  std::unique_lock lock(mutex_);
  for (int layer = 0; layer < layers_; layer++)
    for (size_t i = 0; i < n; i++) {
      State& s = state(layer, pages[i]);
      settled_.wait(lock, [&] { return !s.leaving && (s.slot < 0 || !slots_[size_t(s.slot)].busy); });
      s.on_disk = false;
      if (s.slot < 0) continue;
      unlink(s.slot);
      empty(s.slot);
      s.slot = -1;
    }
}

bool PageStore::copy(int layer, size_t array, size_t offset, size_t bytes, uint8_t* data, bool write,
                     std::string& error) {
  const PageArray& form = arrays_[array];
  const size_t page_bytes = size_t(kRows) * form.row, head_bytes = size_t(pages_) * page_bytes;
  while (bytes > 0) {
    const size_t head = offset / head_bytes, in_head = offset % head_bytes, within = in_head % page_bytes;
    const int32_t page = int32_t(in_head / page_bytes);
    const size_t n = std::min(bytes, page_bytes - within);
    if (!begin(layer, {page}, write ? PageUse::kWrite : PageUse::kMove, error)) return false;
    uint8_t* there = this->data(array) +
                     (head * slots_.size() + size_t(state(layer, page).slot)) * page_bytes + within;
    std::memcpy(write ? there : data, write ? data : there, n);
    end();
    offset += n;
    data += n;
    bytes -= n;
  }
  return true;
}

// ---- Threads that move pages.

void PageStore::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [&] { return stopping_ || !wanted_.empty() || !ahead_.empty(); });
      if (stopping_) return;
      auto& queue = wanted_.empty() ? ahead_ : wanted_;
      job = std::move(queue.front());
      queue.pop_front();
      if (working_++ == 0) busy_since_ = now_ns();
    }
    std::vector<uint8_t> wrote(job.size(), 1), read(job.size(), 1);
    std::string error;
    for (const bool write : {true, false})
      for (size_t i = 0; i < job.size();) {
        bool good = true;
        const size_t n = move(job, i, write, good, error);
        for (size_t j = i; j < i + n; j++) {
          (write ? wrote : read)[j] = good;
          if (write && !good) job[j].read = false;  // what could not be written stays where it is
        }
        i += n;
      }
    {
      std::lock_guard lock(mutex_);
      if (--working_ == 0)
        busy_ns_ += now_ns() - busy_since_;
      for (size_t i = 0; i < job.size(); i++) settle(job[i], wrote[i], read[i], error);
    }
    settled_.notify_all();
  }
}

// Writes, or reads, those items from `first` on that follow each other in the file. How many they are; one
// that has nothing to write or read is alone.
size_t PageStore::move(const Job& job, size_t first, bool write, bool& good, std::string& error) {
  const auto at = [&](size_t i) {
    return write ? place(job[i].old_layer, job[i].old_page) : place(job[i].layer, job[i].page);
  };
  const auto wanted = [&](size_t i) { return write ? job[i].write() : job[i].read; };
  if (!wanted(first)) return 1;
  size_t n = 1;
  while (first + n < job.size() && wanted(first + n) && at(first + n) == at(first) + n * block_) n++;
  std::vector<SpillFile::Piece> pieces;
  for (size_t i = first; i < first + n; i++)
    for (size_t a = 0; a < arrays_.size(); a++) {
      const size_t piece = size_t(kRows) * arrays_[a].row;
      for (size_t h = 0; h < size_t(arrays_[a].heads); h++)
        pieces.push_back({data(a) + (h * slots_.size() + size_t(job[i].slot)) * piece, piece});
    }
  good = write ? file_.write(pieces, at(first), error) : file_.read(pieces, at(first), error);
  if (!good) return n;
  auto& bytes = write ? counters_.bytes_written : counters_.bytes_read;
  bytes.fetch_add(n * block_, std::memory_order_relaxed);
  if (!write) counters_.reads.fetch_add(n, std::memory_order_relaxed);
  return n;
}

void PageStore::settle(const Item& item, bool wrote, bool read, const std::string& error) {
  Slot& s = slots_[size_t(item.slot)];
  s.busy = false;
  if (item.write()) {
    State& old = state(item.old_layer, item.old_page);
    old.leaving = false;
    if (!wrote) {
      lose(item, error);
      s = Slot{};
      s.layer = item.old_layer;
      s.page = item.old_page;
      s.dirty = true;
      s.used = lists_[size_t(item.old_layer)].attended;
      old.slot = item.slot;
      append(item.slot);
      return;
    }
    old.on_disk = true;
  }
  if (!read) {
    lose(item, error);
    empty(item.slot);
  } else if (s.pins == 0) {
    append(item.slot);
  }
}

// The page of an item has no slot after all.
void PageStore::lose(const Item& item, const std::string& error) {
  state(item.layer, item.page).slot = -1;
  held_.erase(std::remove(held_.begin(), held_.end(), item.slot), held_.end());
  if (item.call == call_) problem_ = error;
}

}  // namespace ingot
