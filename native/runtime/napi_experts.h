// Stores of experts for JavaScript: opening one, the memories that stand for its stacks, and its counters.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "experts.h"
#include "napi_call.h"

namespace ingot {

// Reads the numbers that describe a store: each must lie in its range.
class ExpertNumbers {
 public:
  ExpertNumbers(const double* data, size_t n) : data_(data), n_(n) {}
  bool more() const { return at_ < n_; }
  double take(double low, double high, const char* what) {
    if (at_ >= n_ || !(data_[at_] >= low && data_[at_] <= high))
      throw std::runtime_error(std::string("experts: bad ") + what);
    return data_[at_++];
  }

 private:
  const double* data_;
  size_t n_, at_ = 0;
};

constexpr double kMostBytes = 9e15;

inline ExpertMatrix expert_matrix(ExpertNumbers& in, const std::vector<ReadFile>& files, int experts,
                                  size_t block) {
  ExpertMatrix m;
  m.offset = size_t(in.take(0, double(block), "offset"));
  m.bytes = size_t(in.take(1, double(block - m.offset), "size of a matrix"));
  const int source = int(in.take(-1, 1000, "source"));
  m.packed = source < 0;
  m.form = {source, {}, int64_t(in.take(1, 2147483647, "rows")), int64_t(in.take(1, 131072, "columns"))};
  const int64_t layout = int64_t(in.take(0, 1000, "layout")), group = int64_t(in.take(0, 1000, "group")),
                scale = int64_t(in.take(0, 100, "scales"));
  if (const char* problem = read_layout(m.form.layout, layout, group, scale))
    throw std::runtime_error(std::string("experts: ") + problem);
  m.parts = int(in.take(1, m.packed ? 1 : 8, "parts"));
  for (int i = 0; i < experts * m.parts; i++) {
    ExpertMatrix::Place place{};
    place.file = int(in.take(0, double(files.size()) - 1, "file"));
    const double end = double(files[size_t(place.file)].bytes());
    place.offset = uint64_t(in.take(0, end, "place in the file"));
    place.bytes = size_t(in.take(0, end - double(place.offset), "length in the file"));
    m.places.push_back(place);
  }
  for (int e = 0; e < experts; e++) {
    const auto* places = m.places.data() + size_t(e) * size_t(m.parts);
    if (m.packed && places->bytes != m.bytes)
      throw std::runtime_error("experts: a matrix has another size in the file");
    std::vector<size_t> sizes;
    for (int i = 0; i < m.parts; i++) sizes.push_back(places[i].bytes);
    const char* problem = m.packed ? nullptr : pack_problem(m.form, sizes.data(), m.parts, m.bytes);
    if (problem) throw std::runtime_error(std::string("experts: ") + problem);
  }
  return m;
}

// (paths, Float64Array of their sizes, Float64Array of numbers, Float64Array of bytes, readers, eviction and
// hot experts as pairs, Float64Array of how often each expert was chosen before, or empty) -> store. Numbers:
// per layer experts and block; per matrix offset, bytes, source (-1: packed), N, K, layout code, group,
// metaDtype, parts; then file, offset and bytes of each part of each expert.
inline napi_value open_experts(napi_env env, napi_callback_info info) {
  Call c(env, info);
  ExpertOptions options;
  auto [sizes, sizes_bytes] = c.bytes(c.arg(1));
  const uint32_t files = c.length(c.arg(0));
  if (sizes_bytes != files * 8) raise(env, "experts: one size for each file");
  for (uint32_t i = 0; i < files; i++)
    options.files.emplace_back(c.text_of(c.at(c.arg(0), i)),
                               uint64_t(reinterpret_cast<const double*>(sizes)[i]));
  auto [data, bytes] = c.bytes(c.arg(2));
  ExpertNumbers in(reinterpret_cast<const double*>(data), bytes / 8);
  while (in.more()) {
    ExpertLayer layer;
    layer.experts = int(in.take(1, 4096, "number of experts"));
    layer.block = size_t(in.take(64, kMostBytes, "block"));
    if (layer.block % Reader::kAlign) throw std::runtime_error("experts: blocks are whole pages");
    for (auto& m : layer.matrices) m = expert_matrix(in, options.files, layer.experts, layer.block);
    options.layers.push_back(std::move(layer));
  }
  auto [settings, settings_bytes] = c.bytes(c.arg(3));
  ExpertNumbers set(reinterpret_cast<const double*>(settings), settings_bytes / 8);
  options.bytes = size_t(set.take(0, kMostBytes, "budget"));
  options.readers = int(set.take(1, 256, "number of readers"));
  options.eviction = Eviction(int(set.take(0, 1, "eviction")));
  while (set.more()) {
    const int layer = int(set.take(0, double(options.layers.size()) - 1, "layer of a hot expert"));
    options.hot.emplace_back(layer,
                             int(set.take(0, options.layers[size_t(layer)].experts - 1, "hot expert")));
  }
  auto [prior, prior_bytes] = c.bytes(c.arg(4));
  size_t experts = 0;
  for (const auto& layer : options.layers) experts += size_t(layer.experts);
  if (prior_bytes != 0 && prior_bytes != experts * 8) raise(env, "experts: one number for each expert");
  options.prior.assign(reinterpret_cast<const double*>(prior),
                       reinterpret_cast<const double*>(prior) + prior_bytes / 8);
  return make_handle(env, std::make_shared<ExpertStore>(std::move(options)));
}

// (store, layer, part) -> memory
inline napi_value expert_stack(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto& store = c.handle<ExpertStore>(c.arg(0));
  const double layer = c.number(1), part = c.number(2);
  if (!(layer >= 0 && layer < double(store->layers()) && part >= 0 && part < double(int(kExpertParts))))
    raise(env, "experts: no such stack");
  auto stack = std::make_shared<ExpertStack>(ExpertStack{store, int(layer), ExpertPart(int(part))});
  const size_t bytes = size_t(stack->matrix_bytes()) * size_t(stack->in().experts);
  return make_handle(env, Memory::streamed(std::move(stack), bytes));
}

inline napi_value numbers_of(napi_env env, const std::vector<double>& values) {
  void* data;
  napi_value buffer, view;
  ok(env, napi_create_arraybuffer(env, values.size() * 8, &data, &buffer));
  if (!values.empty()) std::memcpy(data, values.data(), values.size() * 8);
  ok(env, napi_create_typedarray(env, napi_float64_array, values.size(), buffer, 0, &view));
  return view;
}

// (store) -> Float64Array: slots, slots used, requests, hits, reads, bytes read, waits, ns waited, ns of
// reading, ns with a read under way; choices that might have changed, those that others took the place of,
// those that were left out
inline napi_value expert_counters(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const auto& store = *c.handle<ExpertStore>(c.arg(0));
  const ExpertCounters& n = store.counters();
  return numbers_of(
      env, {double(store.slots()), double(n.slots_used), double(n.requests), double(n.hits), double(n.reads),
            double(n.bytes_read), double(n.waits), double(n.wait_ns), double(n.read_ns), double(n.busy_ns),
            double(n.choices), double(n.swapped), double(n.dropped)});
}

// (store) -> Float64Array: rows that chose each expert, layer after layer
inline napi_value expert_rows(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const auto& store = *c.handle<ExpertStore>(c.arg(0));
  std::vector<double> rows;
  for (size_t l = 0; l < store.layers(); l++)
    for (int e = 0; e < store.layer(l).experts; e++) rows.push_back(double(store.rows_of(l, size_t(e))));
  return numbers_of(env, rows);
}

// (store) -> Float64Array: how often an expert came back after so many others, in bins
// (ExpertStore::distances)
inline napi_value expert_distances(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const auto& bins = c.handle<ExpertStore>(c.arg(0))->distances();
  std::vector<double> counts;
  for (const auto& n : bins) counts.push_back(double(n.load(std::memory_order_relaxed)));
  return numbers_of(env, counts);
}

// (store, share of short reads, share that fail, most microseconds of delay, seed): for tests
inline napi_value inject_expert_faults(napi_env env, napi_callback_info info) {
  Call c(env, info);
  c.handle<ExpertStore>(c.arg(0))->inject(
      ReadFaults(c.number(1), c.number(2), c.number(3), uint64_t(c.number(4))));
  return nullptr;
}

// (path, bytes of the file, bytes of a read, readers, seconds) -> bytes per second
inline napi_value measure_file_reads(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const ReadFile file(c.text(0), uint64_t(c.number(1)));
  return make(env, measure_reads(file, size_t(c.number(2)), int(c.number(3)), c.number(4)));
}

// (path, bytes of the file, bytes of a read, reads of a job, jobs, readers, seconds) -> seconds of a round
inline napi_value measure_read_rounds(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const ReadFile file(c.text(0), uint64_t(c.number(1)));
  return make(env, measure_rounds(file, size_t(c.number(2)), int(c.number(3)), int(c.number(4)),
                                  int(c.number(5)), c.number(6)));
}

inline napi_value free_experts(napi_env env, napi_callback_info info) {
  Call c(env, info);
  c.handle<ExpertStore>(c.arg(0)).reset();
  return nullptr;
}

}  // namespace ingot
