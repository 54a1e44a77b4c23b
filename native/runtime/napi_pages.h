// Stores of pages for JavaScript: opening one, the memories that stand for its arrays, and its counters.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "napi_experts.h"
#include "napi_jobs.h"
#include "page_store.h"

namespace ingot {

// (folder, Float64Array of layers, pages, slots, threads, then heads and bytes of a row of each array) ->
// store
inline napi_value open_pages(napi_env env, napi_callback_info info) {
  Call c(env, info);
  PageStoreOptions options;
  options.folder = c.text(0);
  auto [data, bytes] = c.bytes(c.arg(1));
  ExpertNumbers in(reinterpret_cast<const double*>(data), bytes / 8);
  options.layers = int(in.take(1, 65536, "number of layers"));
  options.pages = int64_t(in.take(1, 1 << 26, "number of pages"));
  options.slots = int64_t(in.take(1, 1 << 26, "number of slots"));
  options.readers = int(in.take(1, 256, "number of readers"));
  while (in.more()) {
    const auto heads = int64_t(in.take(1, 65536, "heads"));
    options.arrays.push_back({heads, size_t(in.take(1, 1 << 24, "bytes of a row"))});
  }
  return make_handle(env, std::make_shared<PageStore>(std::move(options)));
}

// (store, layer, array) -> memory
inline napi_value paged_array(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto& store = c.handle<PageStore>(c.arg(0));
  const double layer = c.number(1), array = c.number(2);
  if (!(layer >= 0 && layer < store->layers() && array >= 0 && array < double(store->arrays().size())))
    raise(env, "kv pages: no such array");
  auto place = std::make_shared<PagedArray>(PagedArray{store, int(layer), size_t(array)});
  return make_handle(env, Memory::paged(std::move(place), store->array_bytes(size_t(array))));
}

class DiscardJob : public AsyncJob {
 public:
  std::shared_ptr<PageStore> store;
  std::vector<int32_t> pages;
  void prepare(Team&, int) override { store->discard(pages.data(), pages.size()); }
  void work(Ctx&) override {}
};

// (store, Int32Array of pages) -> promise; ordered with runs
inline napi_value discard_pages(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto job = std::make_shared<DiscardJob>();
  job->store = c.handle<PageStore>(c.arg(0));
  auto [data, bytes] = c.bytes(c.arg(1));
  const auto* pages = reinterpret_cast<const int32_t*>(data);
  for (size_t i = 0; i < bytes / 4; i++) {
    if (pages[i] < 0 || pages[i] >= job->store->pages()) raise(env, "kv pages: no such page");
    job->pages.push_back(pages[i]);
  }
  if (!c.state->pool) raise(env, "configure() was not called");
  return job->start(c);
}

// (store) -> Float64Array: slots, slots used, bytes of one, requests, hits, reads, bytes read, bytes written,
// waits, ns waited, ns with a transfer under way
inline napi_value page_counters(napi_env env, napi_callback_info info) {
  Call c(env, info);
  auto& store = *c.handle<PageStore>(c.arg(0));
  const PageCounters& n = store.counters();
  return numbers_of(env, {double(store.slots()), double(store.slots_used()), double(store.slot_bytes()),
                          double(n.requests), double(n.hits), double(n.reads), double(n.bytes_read),
                          double(n.bytes_written), double(n.waits), double(n.wait_ns),
                          double(store.busy_ns())});
}

// (store, share of short transfers, share of reads that fail, of writes, most microseconds of delay, seed):
// for tests
inline napi_value inject_page_faults(napi_env env, napi_callback_info info) {
  Call c(env, info);
  const double shorter = c.number(1), delay = c.number(4);
  const auto seed = uint64_t(c.number(5));
  c.handle<PageStore>(c.arg(0))->inject(ReadFaults(shorter, c.number(2), delay, seed),
                                        ReadFaults(shorter, c.number(3), delay, seed + 1));
  return nullptr;
}

inline napi_value free_pages(napi_env env, napi_callback_info info) {
  Call c(env, info);
  c.handle<PageStore>(c.arg(0)).reset();
  return nullptr;
}

}  // namespace ingot
