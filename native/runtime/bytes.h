// Byte buffers of the CPU device: anonymous memory in huge pages, or a read-only mapping of a file range.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ingot {

struct WatchedMapping;
struct ExpertStack;
struct PagedArray;

class Memory {
 public:
  // Zero-filled, 64-byte aligned (2 MiB from 2 MiB up, with huge pages asked for). Null when the system
  // refuses. `sparse`: used piece by piece, so that large pages would take memory that stays unused.
  static std::shared_ptr<Memory> allocate(size_t bytes, bool sparse = false);
  // Mapping of [offset, offset + bytes) of a file; null with `error` set when it cannot be made or lies past
  // the end.
  static std::shared_ptr<Memory> map(const std::string& path, uint64_t offset, size_t bytes,
                                     std::string& error);
  // No memory: one matrix of every expert of a layer, which a store reads when it is used. `bytes` is what
  // all would take.
  static std::shared_ptr<Memory> streamed(std::shared_ptr<ExpertStack> stack, size_t bytes);
  // The memory in which a store has those pages of an array that it has in memory; `bytes` is what all would
  // take.
  static std::shared_ptr<Memory> paged(std::shared_ptr<PagedArray> array, size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool writable() const { return writable_; }
  // Of a mapping: whether what was read of it came, in part, from pages that the file no longer had. They
  // read as zeros.
  bool lost() const;
  // The file of a mapping.
  const std::string& path() const { return path_; }
  const ExpertStack* stack() const { return stack_.get(); }
  const PagedArray* paged() const { return paged_.get(); }
  // Null, or why bytes of it cannot be looked at from outside a run.
  const char* elsewhere() const {
    return stack_ ? "the experts are not in memory" : paged_ ? "the pages are not in memory" : nullptr;
  }

 private:
  Memory() = default;
  static std::shared_ptr<Memory> piece(size_t bytes);
  std::shared_ptr<Memory> slab_;  // of which this is a piece, or null
  std::shared_ptr<ExpertStack> stack_;
  std::shared_ptr<PagedArray> paged_;
  void* base_ = nullptr;
  size_t length_ = 0;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  bool writable_ = true;
  std::string path_;
  WatchedMapping* watch_ = nullptr;
};

}  // namespace ingot
