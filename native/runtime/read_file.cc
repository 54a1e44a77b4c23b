#include "read_file.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <stdexcept>
#include <sys/stat.h>
#include <thread>
#include <time.h>
#include <utility>
#include <vector>

#if defined(_WIN32)
#include "posix_windows.h"
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "aligned.h"
#include "bytes.h"

namespace ingot {

namespace {

#if defined(__APPLE__)
const timespec& modified(const struct stat& st) { return st.st_mtimespec; }
#elif defined(_WIN32)
timespec modified(const struct stat& st) { return {st.st_mtime, 0}; }
#else
const timespec& modified(const struct stat& st) { return st.st_mtim; }
#endif

constexpr size_t kHuge = size_t(2) << 20;

int open_direct(const std::string& path) {
#if defined(O_DIRECT)
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
#else
  return -1;
#endif
}

}  // namespace

ReadFile::ReadFile(const std::string& path, uint64_t bytes) : path_(path), bytes_(bytes) {
  plain_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (plain_ < 0) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
  struct stat st;
  if (fstat(plain_, &st) != 0 || uint64_t(st.st_size) != bytes) {
    close(std::exchange(plain_, -1));
    throw std::runtime_error(path + ": has " + std::to_string(st.st_size) + " bytes, " +
                             std::to_string(bytes) + " when it was opened");
  }
  seconds_ = modified(st).tv_sec;
  nanoseconds_ = modified(st).tv_nsec;
  direct_ = open_direct(path);
#if defined(F_NOCACHE)
  fcntl(plain_, F_NOCACHE, 1);
#endif
}

ReadFile& ReadFile::operator=(ReadFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(plain_, other.plain_);
  std::swap(direct_, other.direct_);
  std::swap(bytes_, other.bytes_);
  std::swap(seconds_, other.seconds_);
  std::swap(nanoseconds_, other.nanoseconds_);
  return *this;
}

ReadFile::~ReadFile() {
  if (plain_ >= 0) close(plain_);
  if (direct_ >= 0) close(direct_);
}

const char* ReadFile::changed() const {
  struct stat st;
  if (fstat(plain_, &st) != 0) return std::strerror(errno);
  if (uint64_t(st.st_size) != bytes_) return "the file changed its size while it was in use";
  if (modified(st).tv_sec != seconds_ || modified(st).tv_nsec != nanoseconds_)
    return "the file was written to while it was in use";
  return nullptr;
}

void ReadFaults::take(const ReadFaults& other) {
  std::lock_guard lock(mutex);
  on = other.on;
  shorter = other.shorter;
  fail = other.fail;
  delay_us = other.delay_us;
  random = other.random;
}

int ReadFaults::strike(size_t& bytes) {
  double wait = 0;
  bool broken = false;
  {
    std::lock_guard lock(mutex);
    if (on) {
      std::uniform_real_distribution<double> unit(0, 1);
      wait = unit(random) * delay_us;
      broken = unit(random) < fail;
      if (unit(random) < shorter) bytes = 1 + size_t(unit(random) * double(bytes - 1));
    }
  }
  if (wait > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(wait));
  return broken ? EIO : 0;
}

ssize_t ReadFaults::pread(int fd, void* target, size_t bytes, uint64_t offset) {
  if (const int fault = strike(bytes)) return errno = fault, -1;
#if defined(_WIN32)
  return ingot::pread(fd, target, bytes, int64_t(offset));
#else
  return ::pread(fd, target, bytes, off_t(offset));
#endif
}

Reader::~Reader() {
  free_block(bounce_);
  free_block(space_);
}

bool Reader::grow(uint8_t*& data, size_t& size, size_t bytes) {
  if (bytes <= size) return true;
  free_block(data);
  size = 0;
  // Large ones in huge pages: direct reads into small pages are cut into many pieces.
  const size_t align = bytes < kHuge / 2 ? kAlign : kHuge;
  bytes = (bytes + align - 1) / align * align;
  data = static_cast<uint8_t*>(aligned_block(align, bytes));
#if defined(MADV_HUGEPAGE)
  if (data && align == kHuge) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  if (data) size = bytes;
  return data != nullptr;
}

uint8_t* Reader::space(size_t bytes) { return grow(space_, space_size_, bytes) ? space_ : nullptr; }

bool Reader::read(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target, ReadFaults& faults,
                  std::string& error) {
  auto where = [&] {
    return file.path() + ": " + std::to_string(bytes) + " bytes at " + std::to_string(offset) + ": ";
  };
  if (const char* problem = file.changed()) return error = where() + problem, false;
  const bool good = file.direct() >= 0 ? read_direct(file, offset, bytes, target, faults, error)
                                       : read_plain(file, offset, bytes, target, faults, error);
  if (!good) error = where() + error;
  return good;
}

// Whole sectors, straight into place where that is aligned too, else through a buffer of this thread. What a
// short read leaves off in the middle of a sector is read the plain way.
bool Reader::read_direct(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target,
                         ReadFaults& faults, std::string& error) {
  const bool aligned =
      offset % kAlign == 0 && bytes % kAlign == 0 && reinterpret_cast<uintptr_t>(target) % kAlign == 0;
  constexpr size_t kPiece = size_t(1) << 20;
  if (!aligned && !grow(bounce_, bounce_size_, kPiece))
    return read_plain(file, offset, bytes, target, faults, error);
  while (bytes > 0) {
    const size_t lead = aligned ? 0 : size_t(offset % kAlign);
    size_t ask = aligned ? bytes : (lead + bytes + kAlign - 1) / kAlign * kAlign;
    if (!aligned && ask > kPiece) ask = kPiece;
    uint8_t* into = aligned ? target : bounce_;
    const ssize_t n = faults.pread(file.direct(), into, ask, offset - lead);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL) return read_plain(file, offset, bytes, target, faults, error);
    if (n < 0) return error = std::strerror(errno), false;
    if (n == 0) return error = "the file ends before them", false;
    if (size_t(n) <= lead) return read_plain(file, offset, bytes, target, faults, error);
    size_t got = size_t(n) - lead;
    if (got > bytes) got = bytes;
    if (!aligned) std::memcpy(target, bounce_ + lead, got);
    offset += got;
    target += got;
    bytes -= got;
    if (aligned && bytes > 0 && got % kAlign != 0)
      return read_plain(file, offset, bytes, target, faults, error);
  }
  return true;
}

bool Reader::read_plain(const ReadFile& file, uint64_t offset, size_t bytes, uint8_t* target,
                        ReadFaults& faults, std::string& error) {
  const uint64_t first = offset, all = bytes;
  while (bytes > 0) {
    const ssize_t n = faults.pread(file.plain(), target, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error = std::strerror(errno), false;
    if (n == 0) return error = "the file ends before them", false;
    offset += size_t(n);
    target += n;
    bytes -= size_t(n);
  }
#if defined(POSIX_FADV_DONTNEED)
  posix_fadvise(file.plain(), off_t(first), off_t(all),
                POSIX_FADV_DONTNEED);  // its memory is wanted for experts
#else
  (void)first, (void)all;
#endif
  return true;
}

namespace {

// Places of a file that are read to measure it: spread over all of it, and each read once before the clock
// starts. What a running model reads was mostly read before, and disks with a cache of their own (those of
// virtual machines) give that at once. As for a model, what is read goes to huge pages: into small ones a
// direct read is cut into many pieces, and takes twice as long.
class Places {
 public:
  static constexpr uint64_t kMostBytes = uint64_t(128) << 20, kMost = 256;
  Places(const ReadFile& file, size_t piece)
      : file_(file), piece_(std::max(Reader::kAlign, piece / Reader::kAlign * Reader::kAlign)) {
    const uint64_t all = file.bytes() / piece_;
    if (all == 0)
      throw std::runtime_error(file.path() + ": is smaller than " + std::to_string(piece_) + " bytes");
    count_ = std::min({all, kMost, std::max<uint64_t>(1, kMostBytes / piece_)});
    step_ = all / count_;
    Thread thread;
    for (uint64_t i = 0; i < count_; i++)
      if (!read(i, thread)) throw std::runtime_error(thread.error);
  }
  size_t piece() const { return piece_; }
  struct Thread {
    Reader reader;
    std::shared_ptr<Memory> target;
    std::string error;
  };
  bool read(uint64_t any, Thread& t) const {
    ReadFaults none;
    if (!t.target) t.target = Memory::allocate(piece_);
    if (!t.target)
      return t.error = "out of memory: " + std::to_string(piece_) + " bytes to read into", false;
    const uint64_t at = any % count_ * step_ * piece_;
    return t.reader.read(file_, at, piece_, t.target->data(), none, t.error);
  }

 private:
  const ReadFile& file_;
  size_t piece_;
  uint64_t count_, step_;
};

}  // namespace

double measure_reads(const ReadFile& file, size_t piece, int readers, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Places places(file, piece);
  std::mutex mutex;
  std::string problem;
  uint64_t total = 0;
  const auto start = Clock::now(), end = start + std::chrono::nanoseconds(int64_t(seconds * 1e9));
  auto work = [&](int number) {
    Places::Thread thread;
    std::mt19937_64 random{uint64_t(number)};
    uint64_t done = 0;
    while (Clock::now() < end) {
      if (!places.read(random(), thread)) break;
      done += places.piece();
    }
    std::lock_guard lock(mutex);
    total += done;
    if (!thread.error.empty()) problem = thread.error;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < readers; i++) threads.emplace_back(work, i);
  for (auto& t : threads) t.join();
  if (!problem.empty()) throw std::runtime_error(problem);
  return double(total) / std::chrono::duration<double>(Clock::now() - start).count();
}

double measure_rounds(const ReadFile& file, size_t piece, int reads, int jobs, int readers, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Places places(file, piece);
  std::mutex mutex;
  std::condition_variable queued, finished;
  int waiting = 0, busy = 0;
  bool stop = false;
  std::string problem;
  auto work = [&](int number) {
    Places::Thread thread;
    std::mt19937_64 random{uint64_t(number)};
    std::unique_lock lock(mutex);
    for (;;) {
      queued.wait(lock, [&] { return stop || waiting > 0; });
      if (waiting == 0) return;
      waiting--;
      busy++;
      lock.unlock();
      for (int i = 0; i < reads && thread.error.empty(); i++) places.read(random(), thread);
      lock.lock();
      if (!thread.error.empty()) problem = thread.error;
      if (--busy == 0 && waiting == 0) finished.notify_one();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < readers; i++) threads.emplace_back(work, i);
  const auto start = Clock::now();
  double spent = 0;
  int rounds = 0;
  {
    std::unique_lock lock(mutex);
    do {
      waiting = jobs;
      queued.notify_all();
      finished.wait(lock, [&] { return waiting == 0 && busy == 0; });
      rounds++;
      spent = std::chrono::duration<double>(Clock::now() - start).count();
    } while (spent < seconds && problem.empty());
    stop = true;
  }
  queued.notify_all();
  for (auto& t : threads) t.join();
  if (!problem.empty()) throw std::runtime_error(problem);
  return spent / rounds;
}

}  // namespace ingot
