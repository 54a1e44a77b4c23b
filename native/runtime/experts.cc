#include "experts.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace ingot {

namespace {

constexpr uint8_t bit(ExpertUnit unit) { return uint8_t(1 << unit); }
constexpr ExpertUnit unit_of(ExpertPart part) { return part == kDown ? kDownUnit : kGluUnit; }

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

ExpertStore::ExpertStore(ExpertOptions options)
    : files_(std::move(options.files)), layers_(std::move(options.layers)), eviction_(options.eviction) {
  if (layers_.empty()) throw std::runtime_error("experts: there are no layers");
  state_ = std::make_unique<std::unique_ptr<State[]>[]>(layers_.size());
  for (size_t l = 0; l < layers_.size(); l++)
    state_[l] = std::make_unique<State[]>(size_t(layers_[l].experts));
  size_t experts = 0;
  for (const ExpertLayer& layer : layers_)
    first_of_.push_back(std::exchange(experts, experts + size_t(layer.experts)));
  chosen_at_.assign(experts, 0);
  place_slots(options.bytes);
  size_t next = 0;
  for (size_t l = 0; l < layers_.size() && !options.prior.empty(); l++)
    for (int e = 0; e < layers_[l].experts; e++) state_[l][size_t(e)].prior = options.prior.at(next++);
  {
    std::lock_guard lock(mutex_);
    for (const auto& [layer, e] : options.hot) {
      // One slot of a group stays free, or nothing else could ever be read.
      const Group& group = groups_[size_t(group_of_[size_t(layer)])];
      const auto first = keys_.begin() + long(group.first);
      if (std::count(first, first + long(group.count), kNever) + 1 >= long(group.count) || !assign(layer, e))
        continue;
      state(layer, e).hot = true;
      want(layer, e, kAll);
      settle(state(layer, e).slot);
    }
  }
  for (int i = 0; i < std::max(1, options.readers); i++) readers_.emplace_back([this] { read_loop(); });
}

ExpertStore::~ExpertStore() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  for (auto& t : readers_) t.join();
}

// Layers with blocks of one size share a group of slots; the bytes are divided as the groups' blocks are.
void ExpertStore::place_slots(size_t bytes) {
  std::vector<double> wanted;
  for (const ExpertLayer& layer : layers_) {
    size_t g = 0;
    while (g < groups_.size() && groups_[g].block != layer.block) g++;
    if (g == groups_.size()) groups_.push_back({layer.block, 0, 0, nullptr}), wanted.push_back(0);
    group_of_.push_back(int(g));
    wanted[g] += double(layer.block) * layer.experts;
  }
  double all = 0;
  for (double w : wanted) all += w;
  for (size_t g = 0; g < groups_.size(); g++) {
    Group& group = groups_[g];
    const double share = std::min(1.0, double(bytes) / all) * wanted[g];
    group.count = size_t(share / double(group.block) + 1e-9);
    group.first = slots_.size();
    if (group.count == 0)
      throw std::runtime_error("experts: " + std::to_string(bytes) + " bytes hold no block of " +
                               std::to_string(group.block) + " bytes");
    group.memory = Memory::allocate(group.count * group.block);
    if (!group.memory)
      throw std::runtime_error("out of memory: " + std::to_string(group.count * group.block) +
                               " bytes for experts");
    for (size_t i = 0; i < group.count; i++)
      slots_.push_back({-1, -1, 0, group.memory->data() + i * group.block});
  }
  keys_.assign(slots_.size(), 0);
}

uint64_t ExpertStore::key_of(const Slot& slot) {
  if (slot.layer < 0) return 0;
  const State& s = state(slot.layer, slot.expert);
  if (slot.pins > 0 || s.reading || s.hot) return kNever;
  if (eviction_ == Eviction::kLru) return 1 + s.session;
  // By how often it was chosen, then by when.
  const double used = double(s.rows.load(std::memory_order_relaxed)) + s.prior;
  return uint64_t(std::min(used, 0x1p31 - 1)) << 32 | (s.session & 0xffffffff);
}

void ExpertStore::settle(int slot) { keys_[size_t(slot)] = key_of(slots_[size_t(slot)]); }

int ExpertStore::victim(const Group& group) const {
  const auto first = keys_.begin() + long(group.first),
             best = std::min_element(first, first + long(group.count));
  return *best == kNever ? -1 : int(best - keys_.begin());
}

// Gives an expert a slot. False when all are in use now.
bool ExpertStore::assign(int layer, int e) {
  const int at = victim(groups_[size_t(group_of_[size_t(layer)])]);
  if (at < 0) return false;
  Slot& slot = slots_[size_t(at)];
  if (slot.layer >= 0) {
    State& old = state(slot.layer, slot.expert);
    old.present.store(0, std::memory_order_relaxed);
    old.data.store(nullptr, std::memory_order_relaxed);
    old.slot = -1;
  } else {
    counters_.slots_used.fetch_add(1, std::memory_order_relaxed);
  }
  slot.layer = layer;
  slot.expert = e;
  State& s = state(layer, e);
  s.slot = at;
  s.data.store(slot.data, std::memory_order_relaxed);
  settle(at);
  return true;
}

// Reads of units that are neither there nor on their way.
void ExpertStore::want(int layer, int e, uint8_t units) {
  State& s = state(layer, e);
  units &= uint8_t(~(s.present.load(std::memory_order_relaxed) | s.reading));
  if (!units) return;
  s.reading |= units;
  settle(s.slot);
  queue_.push_back({layer, e, units, clock_});
  queued_.notify_one();
}

bool ExpertStore::all_there() {
  if (counters_.slots_used.load(std::memory_order_relaxed) < chosen_at_.size()) return false;
  for (size_t l = 0; l < layers_.size(); l++)
    for (int e = 0; e < layers_[l].experts; e++)
      if (state(int(l), e).present.load(std::memory_order_acquire) != kAll) return false;
  return true;
}

// Of a quarter of the layers' choices, drawn at random: it looks at all experts.
void ExpertStore::measure_distances(int layer, const int32_t* experts, int64_t n) {
  dice_ = dice_ * 1664525 + 1013904223;
  if (dice_ >> 30) return;
  for (int64_t i = 0; i < n; i++) {
    const uint32_t last = chosen_at_[first_of_[size_t(layer)] + size_t(experts[i])];
    if (last == 0) continue;
    size_t since = 0;
    for (uint32_t at : chosen_at_) since += at > last;
    distances_[since * kBins / chosen_at_.size()].fetch_add(1, std::memory_order_relaxed);
  }
}

void ExpertStore::begin(int layer, ExpertPart part, const int32_t* experts, const int64_t* rows, int64_t n,
                        int uses) {
  std::lock_guard lock(mutex_);
  layer_ = layer;
  unit_ = unit_of(part);
  clock_++;
  failed_.store(false);
  message_.clear();
  order_.clear();
  const uint8_t need = bit(unit_);
  if (part == kGate) {
    if (std::all_of(rows, rows + n, [](int64_t r) { return r == 1; })) measure_distances(layer, experts, n);
    for (int64_t i = 0; i < n; i++)
      chosen_at_[first_of_[size_t(layer)] + size_t(experts[i])] = uint32_t(clock_);
  }
  std::vector<int32_t> coming, missing;
  for (int64_t i = 0; i < n; i++) {
    State& s = state(layer, experts[i]);
    s.session = clock_;
    if (part == kGate) s.rows.fetch_add(uint64_t(rows[i]), std::memory_order_relaxed);
    if (s.present.load(std::memory_order_acquire) & need) order_.push_back(experts[i]);
    else if (s.slot >= 0) coming.push_back(experts[i]);
    else missing.push_back(experts[i]);
  }
  complete_ = int64_t(order_.size()) == n;
  if (part == kGate) {
    counters_.requests.fetch_add(uint64_t(n), std::memory_order_relaxed);
    counters_.hits.fetch_add(uint64_t(order_.size()), std::memory_order_relaxed);
  }
  if (complete_) {
    // Nothing is read and nothing evicted before the next session: no need to pin.
    for (int32_t e : order_) settle(state(layer, e).slot);
    if (!whole_) whole_ = all_there();
    return;
  }
  order_.insert(order_.end(), coming.begin(), coming.end());
  unassigned_ = order_.size();
  for (int32_t e : order_) {
    const int slot = state(layer, e).slot;
    slots_[size_t(slot)].pins++;
    settle(slot);
  }
  order_.insert(order_.end(), missing.begin(), missing.end());
  if (remaining_size_ < order_.size()) {
    remaining_ = std::make_unique<std::atomic<int>[]>(order_.size());
    remaining_size_ = order_.size();
  }
  for (size_t i = 0; i < order_.size(); i++) remaining_[i].store(uses, std::memory_order_relaxed);
  for (int32_t e : coming) want(layer, e, need);
  assign_waiting();
  // What the next kernel will ask for follows, when everything has its slot.
  if (unit_ == kGluUnit && unassigned_ == order_.size())
    for (int32_t e : order_) want(layer, e, kAll);
}

// Slots for those of the session that have none, as far as there are any.
void ExpertStore::assign_waiting() {
  if (complete_ || failed_.load(std::memory_order_relaxed)) return;
  for (; unassigned_ < order_.size(); unassigned_++) {
    const int32_t e = order_[unassigned_];
    if (!assign(layer_, e)) return;
    const int slot = state(layer_, e).slot;
    slots_[size_t(slot)].pins++;
    want(layer_, e, bit(unit_));
  }
}

bool ExpertStore::ready(int64_t i, Ctx& ctx) {
  const State& s = state(layer_, order_[size_t(i)]);
  const uint8_t need = bit(unit_);
  int64_t start = 0;
  for (;;) {
    const uint32_t seen = arrived_.value();
    if (s.present.load(std::memory_order_acquire) & need) break;
    if (failed_.load(std::memory_order_acquire)) {
      std::lock_guard lock(mutex_);
      ctx.fail("experts: %s", message_.c_str());
      return false;
    }
    if (start == 0) start = now_ns();
    ctx.patience.wait(arrived_, seen);
  }
  if (start && ctx.tid == 0) {
    counters_.waits.fetch_add(1, std::memory_order_relaxed);
    counters_.wait_ns.fetch_add(uint64_t(now_ns() - start), std::memory_order_relaxed);
  }
  return true;
}

void ExpertStore::done(int64_t i) {
  if (remaining_[size_t(i)].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  std::lock_guard lock(mutex_);
  const int slot = state(layer_, order_[size_t(i)]).slot;
  if (size_t(i) >= unassigned_ || slot < 0) return;
  slots_[size_t(slot)].pins--;
  settle(slot);
  assign_waiting();
}

void ExpertStore::there(int layer, uint8_t* flags) {
  std::lock_guard lock(mutex_);
  for (int e = 0; e < layers_[size_t(layer)].experts; e++) flags[e] = state(layer, e).slot >= 0;
}

void ExpertStore::rerouted(uint64_t choices, uint64_t swapped, uint64_t dropped) {
  counters_.choices.fetch_add(choices, std::memory_order_relaxed);
  counters_.swapped.fetch_add(swapped, std::memory_order_relaxed);
  counters_.dropped.fetch_add(dropped, std::memory_order_relaxed);
}

void ExpertStore::inject(const ReadFaults& faults) { faults_.take(faults); }

void ExpertStore::read_loop() {
  Reader reader;
  std::string error;
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      job = queue_.front();
      queue_.pop_front();
      if (reading_++ == 0) busy_since_ = now_ns();
    }
    const int64_t start = now_ns();
    const bool good = read(job, reader, error);
    counters_.read_ns.fetch_add(uint64_t(now_ns() - start), std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      if (--reading_ == 0)
        counters_.busy_ns.fetch_add(uint64_t(now_ns() - busy_since_), std::memory_order_relaxed);
      State& s = state(job.layer, job.expert);
      s.reading &= uint8_t(~job.units);
      const bool needed = job.layer == layer_ && s.session == clock_ && (job.units & bit(unit_));
      if (good) {
        s.present.fetch_or(job.units, std::memory_order_release);
      } else if (needed && job.session != clock_) {
        want(job.layer, job.expert,
             job.units);  // what failed was asked for by an earlier run: this one has its own try
      } else if (needed && !failed_.load()) {
        message_ =
            "layer " + std::to_string(job.layer) + ", expert " + std::to_string(job.expert) + ": " + error;
        failed_.store(true, std::memory_order_release);
      }
      settle(s.slot);
      assign_waiting();
    }
    arrived_.raise();
  }
}

bool ExpertStore::read(const Job& job, Reader& reader, std::string& error) {
  const ExpertLayer& layer = layers_[size_t(job.layer)];
  uint8_t* block = state(job.layer, job.expert).data.load(std::memory_order_relaxed);
  auto fetch = [&](const ExpertMatrix::Place& p, size_t bytes, uint8_t* to) {
    counters_.reads.fetch_add(1, std::memory_order_relaxed);
    counters_.bytes_read.fetch_add(bytes, std::memory_order_relaxed);
    return reader.read(files_[size_t(p.file)], p.offset, bytes, to, faults_, error);
  };
  const bool glu = job.units & bit(kGluUnit), down = job.units & bit(kDownUnit);
  const int last = down ? kDown : kUp;
  for (int part = glu ? kGate : kDown; part <= last; part++) {
    const ExpertMatrix& m = layer.matrices[part];
    const ExpertMatrix::Place* places = m.places.data() + size_t(job.expert) * size_t(m.parts);
    if (m.packed) {
      // What follows in the file as it does in the block is read with it.
      size_t bytes = m.bytes;
      while (part < last) {
        const ExpertMatrix& next = layer.matrices[part + 1];
        const ExpertMatrix::Place& place = next.places[size_t(job.expert)];
        const size_t apart = next.offset - m.offset;
        if (!next.packed || place.file != places->file || place.offset != places->offset + apart) break;
        bytes = apart + next.bytes;
        part++;
      }
      // Whole sectors, where the gap that follows in the block has room for what else they hold.
      const size_t end = m.offset + bytes,
                   room = part == kDown ? layer.block : layer.matrices[part + 1].offset;
      if (room - end < Reader::kAlign && room % Reader::kAlign == 0 &&
          files_[size_t(places->file)].bytes() >= places->offset + room - m.offset)
        bytes = room - m.offset;
      if (!fetch(*places, bytes, block + m.offset)) return false;
      continue;
    }
    const uint8_t* parts[8];
    size_t all = 0;
    for (int i = 0; i < m.parts; i++) all += (places[i].bytes + 63) / 64 * 64;
    uint8_t* at = reader.space(all);
    if (!at) return error = "out of memory: " + std::to_string(all) + " bytes to pack an expert", false;
    for (int i = 0; i < m.parts; i++) {
      if (!fetch(places[i], places[i].bytes, at)) return false;
      parts[i] = at;
      at += (places[i].bytes + 63) / 64 * 64;
    }
    pack_rows(m.form, parts, nullptr, 0, (m.form.N + 15) / 16, block + m.offset);
  }
  return true;
}

}  // namespace ingot
