#include "spill_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace ingot {

#if defined(_WIN32)

SpillFile::~SpillFile() = default;
void SpillFile::open(const std::string&, uint64_t) {
  throw std::runtime_error("there are no files without a name on Windows");
}
bool SpillFile::move(std::vector<Piece>&, uint64_t, bool, std::string&) { return false; }

#else

namespace {

constexpr size_t kSector = 512;

bool whole_sectors(const std::vector<SpillFile::Piece>& pieces, uint64_t offset) {
  return offset % kSector == 0 && std::all_of(pieces.begin(), pieces.end(), [](const auto& p) {
           return reinterpret_cast<uintptr_t>(p.data) % kSector == 0 && p.bytes % kSector == 0;
         });
}

// Leaves out the first n bytes.
void advance(std::vector<SpillFile::Piece>& pieces, size_t n) {
  size_t gone = 0;
  while (gone < pieces.size() && n >= pieces[gone].bytes) n -= pieces[gone++].bytes;
  pieces.erase(pieces.begin(), pieces.begin() + long(gone));
  if (n > 0) pieces[0].data += n, pieces[0].bytes -= n;
}

}  // namespace

SpillFile::~SpillFile() {
  if (plain_ >= 0) close(plain_);
  if (direct_ >= 0) close(direct_);
}

void SpillFile::open(const std::string& folder, uint64_t bytes) {
  folder_ = folder;
  bytes_ = bytes;
  std::string path = folder + "/ingot-kv-XXXXXX";
  plain_ = mkstemp(path.data());
  if (plain_ < 0) throw std::runtime_error(folder + ": no file can be made there: " + std::strerror(errno));
  fcntl(plain_, F_SETFD, FD_CLOEXEC);
#if defined(O_DIRECT)
  direct_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_DIRECT);
#elif defined(F_NOCACHE)
  fcntl(plain_, F_NOCACHE, 1);
#endif
  unlink(path.c_str());
  if (ftruncate(plain_, off_t(bytes)) != 0)
    throw std::runtime_error(folder + ": a file of " + std::to_string(bytes) +
                             " bytes cannot be made there: " + std::strerror(errno));
}

bool SpillFile::move(std::vector<Piece>& pieces, uint64_t offset, bool write, std::string& error) {
  const uint64_t first = offset;
  size_t all = 0;
  for (const Piece& p : pieces) all += p.bytes;
  const auto refuse = [&](const std::string& what) {
    error = folder_ + ": " + (write ? "writing " : "reading ") + std::to_string(all) + " bytes at " +
            std::to_string(first) + " of the file of pages: " + what;
    return false;
  };
  // What was cut off would read as zeros as soon as something behind it is written.
  struct stat st;
  if (fstat(plain_, &st) != 0) return refuse(std::strerror(errno));
  if (uint64_t(st.st_size) != bytes_)
    return refuse("the file has " + std::to_string(st.st_size) + " bytes, " + std::to_string(bytes_) +
                  " when it was made");
  std::vector<iovec> list;
  for (size_t left = all; left > 0;) {
    size_t most = left;
    if (const int fault = (write ? write_faults_ : read_faults_).strike(most))
      return refuse(std::strerror(write ? ENOSPC : fault));
    const bool direct =
        direct_ >= 0 && direct_works_.load() && most == left && whole_sectors(pieces, offset);
    list.clear();
    for (const Piece& p : pieces) {
      if (most == 0) break;
      list.push_back({p.data, std::min(p.bytes, most)});
      most -= list.back().iov_len;
    }
    const int fd = direct ? direct_ : plain_;
    const ssize_t n = write ? pwritev(fd, list.data(), int(list.size()), off_t(offset))
                            : preadv(fd, list.data(), int(list.size()), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EINVAL && direct) {
      direct_works_.store(false);
      continue;
    }
    if (n < 0) return refuse(std::strerror(errno));
    if (n == 0) return refuse(write ? "nothing is written" : "the file ends before them");
    advance(pieces, size_t(n));
    offset += uint64_t(n);
    left -= size_t(n);
  }
#if defined(POSIX_FADV_DONTNEED)
  if (direct_ < 0 || !direct_works_.load())
    posix_fadvise(plain_, off_t(first), off_t(all), POSIX_FADV_DONTNEED);
#endif
  return true;
}

#endif

}  // namespace ingot
