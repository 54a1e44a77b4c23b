// What a run moves around its dispatches, and how JavaScript says so.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bytes.h"
#include "lost_pages.h"
#include "napi_call.h"
#include "page_store.h"

namespace ingot {

// Everything is captured when the run is submitted and performed by one worker, so
// runs of one program may queue up, each fed by the one before it.
struct Transfers {
  struct Slice {
    std::shared_ptr<Memory> memory;
    size_t offset, bytes;
    // Moves its bytes to or from `data`. False with `error` set when they cannot be had.
    bool move(uint8_t* data, bool write, std::string& error) const {
      if (bytes == 0) return true;
      if (const PagedArray* p = memory->paged())
        return p->store->copy(p->layer, p->array, offset, bytes, data, write, error);
      uint8_t* there = memory->data() + offset;
      std::memmove(write ? there : data, write ? data : there, bytes);
      return true;
    }
    bool plain() const { return !memory->paged(); }
    uint8_t* place() const { return memory->data() + offset; }
  };
  std::vector<Slice> writes, sources, targets, reads;  // sources[i] is copied to targets[i]
  std::vector<uint8_t> written;                        // the bytes of all writes, one after the other
  std::vector<uint8_t> read;                           // of all reads, each at a multiple of kAlign

  bool none() const { return writes.empty() && sources.empty() && reads.empty(); }

  static constexpr size_t kAlign = 8;  // typed arrays of every element type may start there
  static size_t aligned(size_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

  bool before(std::string& error) {
    uint8_t* from = written.data();
    for (const Slice& w : writes) {
      if (!w.move(from, true, error)) return false;
      from += w.bytes;
    }
    std::vector<uint8_t> between;
    for (size_t i = 0; i < sources.size(); i++) {
      if (sources[i].plain()) {
        if (!targets[i].move(sources[i].place(), true, error)) return false;
        continue;
      }
      between.resize(sources[i].bytes);
      if (!sources[i].move(between.data(), false, error) || !targets[i].move(between.data(), true, error))
        return false;
    }
    return true;
  }
  // A mapping among what was read whose file is gone, or null.
  const Memory* lost() const {
    if (!pages_were_lost()) return nullptr;
    for (const auto* list : {&sources, &reads})
      for (const Slice& slice : *list)
        if (slice.memory->lost()) return slice.memory.get();
    return nullptr;
  }
  bool after(std::string& error) {
    size_t at = 0;
    for (const Slice& r : reads) {
      if (!r.move(read.data() + at, false, error)) return false;
      at += aligned(r.bytes);
    }
    return true;
  }
};

// Decodes the transfers of a run: counts of writes, copies and reads; a memory and an (offset, bytes) pair
// per slice, in that order, a copy being its source and its target; and the data of each write.
inline Transfers transfers_of(const Call& c, napi_value memories, napi_value numbers, napi_value data) {
  auto [raw, size] = c.bytes(numbers);
  const auto* code = reinterpret_cast<const double*>(raw);
  const uint32_t count = c.length(memories);
  if (size != (3 + 2 * size_t(count)) * 8) raise(c.env, "transfers: the counts do not fit the slices");
  const double writes = code[0], copies = code[1];
  if (!(writes >= 0 && copies >= 0 && code[2] >= 0) || writes + 2 * copies + code[2] != count ||
      c.length(data) != writes)
    raise(c.env, "transfers: the counts do not fit the slices");
  Transfers t;
  size_t total = 0;
  for (uint32_t i = 0; i < count; i++) {
    const double offset = code[3 + 2 * i], bytes = code[4 + 2 * i];
    auto& m = c.handle<Memory>(c.at(memories, i));
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= double(m->bytes())))
      raise(c.env, "transfer outside the buffer");
    const bool write = i < writes, copied = !write && i < writes + 2 * copies;
    const bool target = copied && t.targets.size() < t.sources.size();
    if ((write || target) && !m->writable()) raise(c.env, "the buffer is a read-only file mapping");
    if (m->stack()) raise(c.env, m->elsewhere());
    auto& list = write ? t.writes : target ? t.targets : copied ? t.sources : t.reads;
    list.push_back({m, size_t(offset), size_t(bytes)});
    if (target && t.sources.back().bytes != size_t(bytes)) raise(c.env, "a copy needs slices of one size");
    if (write) {
      auto [from, n] = c.bytes(c.at(data, i));
      if (n != size_t(bytes)) raise(c.env, "transfers: the data does not fit its slice");
      t.written.insert(t.written.end(), from, from + n);
    }
    if (!write && !copied) total += Transfers::aligned(size_t(bytes));
  }
  t.read.resize(total);
  return t;
}

}  // namespace ingot
