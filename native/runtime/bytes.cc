#include "bytes.h"

#include "lost_pages.h"
#include "page_store.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#if defined(_WIN32)
#include "posix_windows.h"
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace ingot {

namespace {

constexpr size_t huge = size_t(2) << 20;

// Buffers below a huge page share slabs of huge pages: a small model's matrices are streamed in full for
// every token, and in pages of 4 KiB each would be looked up anew. A slab is given back when the last of its
// pieces is.
constexpr size_t kSlabBytes = 4 * huge, kSmallestPiece = 16384;
std::mutex slab_mutex;
std::shared_ptr<Memory> slab;
size_t slab_used = 0;

}  // namespace

std::shared_ptr<Memory> Memory::piece(size_t bytes) {
  std::lock_guard lock(slab_mutex);
  if (!slab || slab_used + bytes > kSlabBytes) {
    slab = nullptr;
    slab = allocate(kSlabBytes);
    slab_used = 0;
    if (!slab) return nullptr;
  }
  std::shared_ptr<Memory> m(new Memory());
  m->slab_ = slab;
  m->data_ = slab->data_ + slab_used;
  m->bytes_ = bytes;
  slab_used += (bytes + 63) / 64 * 64;
  return m;
}

std::shared_ptr<Memory> Memory::allocate(size_t bytes, bool sparse) {
  if (bytes >= kSmallestPiece && bytes < huge && !sparse) return piece(bytes);
  const bool big = bytes >= huge && !sparse;
  const size_t page = 4096;
  if (bytes > SIZE_MAX / 2) return nullptr;
  // Ask for one huge page more than needed so that the start can be aligned to it.
  const size_t length = (bytes + page - 1) / page * page + page + (big ? huge : 0);
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  std::shared_ptr<Memory> m(new Memory());
  const size_t align = big ? huge : 64;
  m->base_ = base;
  m->length_ = length;
  m->data_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(base) + align - 1) / align * align);
  m->bytes_ = bytes;
#if defined(MADV_HUGEPAGE)
  if (big || sparse) madvise(m->data_, bytes, sparse ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
#endif
  return m;
}

std::shared_ptr<Memory> Memory::map(const std::string& path, uint64_t offset, size_t bytes,
                                    std::string& error) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error = std::string("open: ") + std::strerror(errno), nullptr;
  struct stat st;
  if (fstat(fd, &st) != 0 || offset > uint64_t(st.st_size) || bytes > uint64_t(st.st_size) - offset) {
    close(fd);
    return error = "the range lies outside the file", nullptr;
  }
  const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE)), start = offset / page * page;
  const size_t length = size_t(offset - start) + bytes;
  void* base = mmap(nullptr, length ? length : 1, PROT_READ, MAP_PRIVATE, fd, off_t(start));
  const int failed = errno;
  close(fd);
  if (base == MAP_FAILED) return error = std::string("mmap: ") + std::strerror(failed), nullptr;
#if defined(MADV_HUGEPAGE)
  madvise(base, length, MADV_HUGEPAGE);
#endif
  madvise(base, length, MADV_WILLNEED);
  std::shared_ptr<Memory> m(new Memory());
  m->base_ = base;
  m->length_ = length ? length : 1;
  m->data_ = static_cast<uint8_t*>(base) + (offset - start);
  m->bytes_ = bytes;
  m->writable_ = false;
  m->path_ = path;
  m->watch_ = watch_mapping(m->base_, m->length_);
  return m;
}

bool Memory::lost() const {
  return watch_ && pages_were_lost() && watch_->lost.load(std::memory_order_acquire);
}

std::shared_ptr<Memory> Memory::streamed(std::shared_ptr<ExpertStack> stack, size_t bytes) {
  std::shared_ptr<Memory> m(new Memory());
  m->stack_ = std::move(stack);
  m->bytes_ = bytes;
  m->writable_ = false;
  return m;
}

std::shared_ptr<Memory> Memory::paged(std::shared_ptr<PagedArray> array, size_t bytes) {
  std::shared_ptr<Memory> m(new Memory());
  m->data_ = array->store->data(array->array);
  m->paged_ = std::move(array);
  m->bytes_ = bytes;
  return m;
}

Memory::~Memory() {
  if (watch_) unwatch_mapping(watch_);
  if (base_) munmap(base_, length_);
}

}  // namespace ingot
