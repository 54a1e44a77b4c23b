// Experts that stay in files until they are used. All layers share slots of memory, each as large as one
// expert's block (gate, up and down); after routing, the kernels name the experts they need (`begin`), reader
// threads fill slots, and workers multiply those that are there before those that are still being read. When
// a step needs more experts than there are slots, they follow each other through the slots, each read once.
// Kernels reach an expert through a table of pointers; no page is ever unmapped.
#pragma once
#include <array>
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
#include "kernel.h"
#include "read_file.h"
#include "../kernels/pack.h"

namespace ingot {

enum ExpertPart { kGate = 0, kUp, kDown, kExpertParts };
// What is read and waited for at a time: gate and up together, or down.
enum ExpertUnit { kGluUnit = 0, kDownUnit, kExpertUnits };
enum class Eviction { kLru = 0, kFrequency };

// One of the matrices of every expert of a layer: where it lies in a slot, and where in files.
struct ExpertMatrix {
  size_t offset = 0, bytes = 0;    // in the block, as packed
  bool packed = true;              // the file has it as packed; else `form` says what the file has
  PackForm form{};
  struct Place {
    int file;
    uint64_t offset;
    size_t bytes;
  };
  int parts = 1;                   // places of one expert
  std::vector<Place> places;       // [experts][parts]
};

struct ExpertLayer {
  int experts = 0;
  size_t block = 0;
  ExpertMatrix matrices[kExpertParts];
};

struct ExpertOptions {
  std::vector<ReadFile> files;
  std::vector<ExpertLayer> layers;
  size_t bytes = 0;  // for slots
  int readers = 4;
  Eviction eviction = Eviction::kLru;
  std::vector<std::pair<int, int>> hot;  // (layer, expert) that are never evicted, read at once
  std::vector<double> prior;             // rows that chose each expert before, layer after layer; or empty
};

struct ExpertCounters {
  std::atomic<uint64_t> requests{0}, hits{0}, reads{0}, bytes_read{0}, waits{0}, wait_ns{0}, read_ns{0};
  std::atomic<uint64_t> busy_ns{0};  // with a read under way
  std::atomic<uint64_t> slots_used{0};
  std::atomic<uint64_t> choices{0}, swapped{0}, dropped{0};  // of rows where these may change
};

class ExpertStore {
 public:
  // Throws std::runtime_error that says what is wrong, with numbers.
  explicit ExpertStore(ExpertOptions options);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;

  // --- By kernels. One worker begins a session, for all; the one before has ended.
  // `experts` are the n that are needed, `rows` how many rows each has; each is let go of after `uses` calls
  // of done().
  void begin(int layer, ExpertPart part, const int32_t* experts, const int64_t* rows, int64_t n, int uses);
  // All were there: no ready() or done() then.
  bool complete() const { return whole_ || complete_; }
  // Every expert has a slot and is there, for good: one worker calls begin(), which only counts, and nobody
  // waits for it. Changes in begin() only, before it is so.
  bool whole() const { return whole_; }
  int64_t count() const { return int64_t(order_.size()); }
  int32_t expert(int64_t i) const { return order_[size_t(i)]; }
  // Waits until expert i of the session is there. False when it cannot be had: the run has been failed.
  bool ready(int64_t i, Ctx& ctx);
  void done(int64_t i);
  const uint8_t* matrix(int layer, ExpertPart part, int64_t e) const {
    return state_[size_t(layer)][size_t(e)].data.load(std::memory_order_relaxed) +
           layers_[size_t(layer)].matrices[part].offset;
  }
  // Which experts of a layer have a slot, between two sessions: they are there, or on their way.
  void there(int layer, uint8_t* flags);
  void rerouted(uint64_t choices, uint64_t swapped, uint64_t dropped);

  // --- By the event loop.
  const ExpertLayer& layer(size_t i) const { return layers_[i]; }
  size_t layers() const { return layers_.size(); }
  size_t slots() const { return slots_.size(); }
  const ExpertCounters& counters() const { return counters_; }
  ExpertCounters& counters() { return counters_; }
  uint64_t rows_of(size_t layer, size_t e) const {
    return state_[layer][e].rows.load(std::memory_order_relaxed);
  }
  // How many other experts were chosen since an expert was chosen before, as a share of all, in kBins bins:
  // counted for single rows, so that an LRU of any size has the hits of the bins below it (Mattson 1970).
  static constexpr size_t kBins = 64;
  const std::array<std::atomic<uint64_t>, kBins>& distances() const { return distances_; }
  void inject(const ReadFaults& faults);  // for tests

 private:
  static constexpr uint8_t kAll = 3;
  static constexpr uint64_t kNever = UINT64_MAX;  // key of a slot that cannot be taken
  struct State {                                  // of an expert
    std::atomic<uint8_t*> data{nullptr};
    std::atomic<uint8_t> present{0};              // units, as bits
    std::atomic<uint64_t> rows{0};                // that chose it, since the start
    double prior = 0;                             // and before
    uint8_t reading = 0;                          // units
    bool hot = false;
    int slot = -1;
    uint64_t session = 0;                         // the last that needed it
  };
  struct Slot {
    int layer = -1, expert = -1, pins = 0;
    uint8_t* data = nullptr;
  };
  struct Group {  // of layers whose blocks have one size
    size_t block = 0, first = 0, count = 0;
    std::shared_ptr<Memory> memory;
  };
  struct Job {
    int layer, expert;
    uint8_t units;
    uint64_t session;  // that asked for it
  };

  void place_slots(size_t bytes);
  bool all_there();
  void measure_distances(int layer, const int32_t* experts, int64_t n);
  State& state(int layer, int e) { return state_[size_t(layer)][size_t(e)]; }
  uint64_t key_of(const Slot& slot);
  void settle(int slot);  // recomputes its key
  int victim(const Group& group) const;
  bool assign(int layer, int e);
  void assign_waiting();
  void want(int layer, int e, uint8_t units);
  void read_loop();
  bool read(const Job& job, Reader& reader, std::string& error);

  std::vector<ReadFile> files_;
  std::vector<ExpertLayer> layers_;
  std::vector<int> group_of_;  // by layer
  std::vector<Group> groups_;
  std::unique_ptr<std::unique_ptr<State[]>[]> state_;
  std::vector<Slot> slots_;
  std::vector<uint64_t> keys_;  // by slot: the lowest is evicted first
  Eviction eviction_;
  ExpertCounters counters_;
  ReadFaults faults_;

  std::mutex mutex_;  // all above that changes, and what follows
  std::condition_variable queued_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  int reading_ = 0;  // threads
  int64_t busy_since_ = 0;
  uint64_t clock_ = 0;
  std::vector<uint32_t> chosen_at_;  // clock of each expert's last choice, layer after layer; 0: never
  std::vector<size_t> first_of_;     // of a layer, in chosen_at_
  std::array<std::atomic<uint64_t>, kBins> distances_{};
  uint32_t dice_ = 1;

  // The session.
  int layer_ = 0;
  ExpertUnit unit_ = kGluUnit;
  bool complete_ = true, whole_ = false;
  std::vector<int32_t> order_;
  std::unique_ptr<std::atomic<int>[]> remaining_;
  size_t remaining_size_ = 0;
  size_t unassigned_ = 0;  // the first in order_ without a slot
  std::atomic<bool> failed_{false};
  std::string message_;
  Signal arrived_;

  std::vector<std::thread> readers_;
};

// What a buffer of a kernel points to in place of memory.
struct ExpertStack {
  std::shared_ptr<ExpertStore> store;
  int layer;
  ExpertPart part;
  const ExpertLayer& in() const { return store->layer(size_t(layer)); }
  int64_t matrix_bytes() const { return int64_t(in().matrices[part].bytes); }
};

}  // namespace ingot
