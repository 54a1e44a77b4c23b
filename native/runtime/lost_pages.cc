#include "lost_pages.h"

#if defined(_WIN32)

// A file that is mapped cannot be made shorter there: nothing is ever lost.
namespace ingot {
WatchedMapping* watch_mapping(void*, size_t) { return nullptr; }
void unwatch_mapping(WatchedMapping*) {}
bool pages_were_lost() { return false; }
}  // namespace ingot

#else

#include <cerrno>
#include <csignal>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace ingot {

namespace {

// Read by the handler, which may take no lock: entries are used again, but never freed.
std::atomic<WatchedMapping*> mappings{nullptr};
std::atomic<bool> some_lost{false};
uintptr_t page_bytes = 4096;

std::mutex mutex;  // all below
size_t watched = 0;
struct sigaction before;

bool catch_up(uintptr_t at) {
  for (WatchedMapping* m = mappings.load(std::memory_order_acquire); m; m = m->next) {
    const uintptr_t begin = m->begin.load(std::memory_order_acquire),
                    end = m->end.load(std::memory_order_acquire);
    if (at < begin || at >= end) continue;
    // What lies after a missing page is missing too, or read by a run that fails anyway.
    const uintptr_t from = at / page_bytes * page_bytes;
    void* zeros = mmap(reinterpret_cast<void*>(from), end - from, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) return false;
    m->lost.store(true, std::memory_order_release);
    some_lost.store(true, std::memory_order_release);
    return true;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const bool ours = catch_up(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved;
  if (ours) return;
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(signal, info, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(signal);
  sigaction(SIGBUS, &before, nullptr);  // the read happens again and ends the process as it would have
  if (info->si_code <= 0) raise(signal);  // sent by a process: there is no read
}

// Only while there are mappings: the addon may be unloaded afterwards.
void install() {
  page_bytes = uintptr_t(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before);
}

void uninstall() {
  struct sigaction now;
  if (sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
      now.sa_sigaction == on_bus_error)
    sigaction(SIGBUS, &before, nullptr);
}

}  // namespace

WatchedMapping* watch_mapping(void* base, size_t length) {
  std::lock_guard lock(mutex);
  if (watched++ == 0) install();
  WatchedMapping* entry = mappings.load();
  while (entry && entry->end.load() != 0) entry = entry->next;
  if (!entry) {
    entry = new WatchedMapping();
    entry->next = mappings.load();
    mappings.store(entry, std::memory_order_release);
  }
  entry->lost.store(false);
  const uintptr_t begin = reinterpret_cast<uintptr_t>(base);
  entry->begin.store(begin);
  entry->end.store((begin + length + page_bytes - 1) / page_bytes * page_bytes, std::memory_order_release);
  return entry;
}

void unwatch_mapping(WatchedMapping* mapping) {
  std::lock_guard lock(mutex);
  mapping->end.store(0);
  mapping->begin.store(0);
  if (--watched == 0) uninstall();
}

bool pages_were_lost() { return some_lost.load(std::memory_order_acquire); }

}  // namespace ingot

#endif
