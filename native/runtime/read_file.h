// Reads of files past the page cache, for reader threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>

namespace ingot {

// A file that stays open. It must not change: size and time are compared at every read.
class ReadFile {
 public:
  ReadFile() = default;
  ReadFile(ReadFile&& other) noexcept { *this = std::move(other); }
  ReadFile& operator=(ReadFile&& other) noexcept;
  ~ReadFile();
  // Throws std::runtime_error: it cannot be opened, or has not `bytes` bytes.
  ReadFile(const std::string& path, uint64_t bytes);
  const std::string& path() const { return path_; }
  int plain() const { return plain_; }
  int direct() const { return direct_; }  // -1 where the file system does not take it
  uint64_t bytes() const { return bytes_; }
  // Null, or what is wrong.
  const char* changed() const;

 private:
  std::string path_;
  int plain_ = -1, direct_ = -1;
  uint64_t bytes_ = 0;
  int64_t seconds_ = 0, nanoseconds_ = 0;
};

// What tests do to reads. Probabilities are of one system call.
struct ReadFaults {
  bool on = false;
  double shorter = 0, fail = 0;  // returns fewer bytes than asked for; fails with EIO
  double delay_us = 0;           // at most, of each
  std::mt19937_64 random;
  std::mutex mutex;
  ReadFaults() = default;
  ReadFaults(double s, double f, double d, uint64_t seed)
      : on(s > 0 || f > 0 || d > 0), shorter(s), fail(f), delay_us(d), random(seed) {}
  void take(const ReadFaults& other);
  // Before a call that moves `bytes`: waits, takes some of them away, or says how the call fails (0: not at
  // all).
  int strike(size_t& bytes);
  ssize_t pread(int fd, void* target, size_t bytes, uint64_t offset);
};

// Bytes per second that `readers` threads get from a file, reading pieces of `piece` bytes at random places
// for `seconds`. Throws std::runtime_error when the file cannot be read.
double measure_reads(const ReadFile& file, size_t piece, int readers, double seconds);

// Seconds that `jobs` jobs take which start together, each of `reads` pieces one after the other at random
// places, for `readers` threads that were asleep: the mean over `seconds`. Throws like measure_reads.
double measure_rounds(const ReadFile& file, size_t piece, int reads, int jobs, int readers, double seconds);

// Of one thread: its memory for what cannot be read straight into place.
class Reader {
 public:
  static constexpr size_t kAlign =
      4096;  // of offset, length and address for direct reads: at least what any disk asks for
  ~Reader();
  // Reads [offset, offset + bytes) into target. False with `error` set.
  bool read(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target, ReadFaults& faults,
            std::string& error);
  uint8_t* space(size_t bytes);  // for what the caller reads before it packs; null without memory

 private:
  bool read_direct(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target, ReadFaults& faults,
                   std::string& error);
  bool read_plain(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target, ReadFaults& faults,
                  std::string& error);
  static bool grow(uint8_t*& data, size_t& size, size_t bytes);
  uint8_t* bounce_ = nullptr;
  size_t bounce_size_ = 0;
  uint8_t* space_ = nullptr;
  size_t space_size_ = 0;
};

}  // namespace ingot
