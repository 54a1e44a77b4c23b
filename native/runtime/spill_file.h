// A file without a name: what does not fit in memory, gone with the process that wrote it, however that ends.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "read_file.h"

namespace ingot {

class SpillFile {
 public:
  struct Piece {
    uint8_t* data;
    size_t bytes;
  };
  // Most pieces of one call.
  static constexpr size_t kPieces = 1000;

  SpillFile() = default;
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  // Throws std::runtime_error: there is no such folder, it cannot be written to, or it takes no such file.
  void open(const std::string& folder, uint64_t bytes);
  // Pieces of memory that follow each other in the file, past the page cache where address, length and offset
  // are whole sectors and the file system takes that. False with `error` set.
  bool read(std::vector<Piece>& pieces, uint64_t offset, std::string& error) {
    return move(pieces, offset, false, error);
  }
  bool write(std::vector<Piece>& pieces, uint64_t offset, std::string& error) {
    return move(pieces, offset, true, error);
  }
  const std::string& folder() const { return folder_; }
  ReadFaults& read_faults() { return read_faults_; }
  ReadFaults& write_faults() { return write_faults_; }

 private:
  bool move(std::vector<Piece>& pieces, uint64_t offset, bool write, std::string& error);
  std::string folder_;
  uint64_t bytes_ = 0;
  int plain_ = -1, direct_ = -1;
  std::atomic<bool> direct_works_{true};
  ReadFaults read_faults_, write_faults_;
};

}  // namespace ingot
