// The few calls of POSIX that the runtime makes, in terms of Windows: mapping, reading at an offset, aligned
// memory. Compiled for Windows only; not run there yet.
#pragma once
#if !defined(_WIN32)
#error "for Windows only"
#endif

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <io.h>
#include <malloc.h>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>

#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define MAP_FAILED (reinterpret_cast<void*>(-1))
#define MADV_WILLNEED 3
#ifndef O_CLOEXEC
#define O_CLOEXEC _O_NOINHERIT
#endif
#define _SC_PAGESIZE 30

namespace ingot {

// Offsets of mappings are multiples of the allocation granularity, 64 KiB, and not of a page.
inline long sysconf(int) {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return long(info.dwAllocationGranularity);
}

// Paths are UTF-8; a file may be replaced or removed by others while it is open.
inline int open(const char* path, int) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, nullptr, 0);
  if (length <= 0) return errno = EINVAL, -1;
  std::wstring wide(size_t(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path, -1, wide.data(), length);
  const HANDLE file =
      CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE)
    return errno = GetLastError() == ERROR_ACCESS_DENIED ? EACCES : ENOENT, -1;
  const int fd = _open_osfhandle(reinterpret_cast<intptr_t>(file), _O_RDONLY | _O_BINARY);
  if (fd < 0) CloseHandle(file);
  return fd;
}

inline int close(int fd) { return _close(fd); }

// Private memory, or a read-only view of a file. Views keep the file open by themselves.
inline void* mmap(void*, size_t length, int, int flags, int fd, int64_t offset) {
  if (flags & MAP_ANONYMOUS) {
    void* base = VirtualAlloc(nullptr, length, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    return base ? base : (errno = ENOMEM, MAP_FAILED);
  }
  const HANDLE file = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
  const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (!mapping) return errno = EACCES, MAP_FAILED;
  void* base = MapViewOfFile(mapping, FILE_MAP_READ, DWORD(uint64_t(offset) >> 32), DWORD(offset), length);
  CloseHandle(mapping);
  return base ? base : (errno = ENOMEM, MAP_FAILED);
}

inline int munmap(void* base, size_t) {
  MEMORY_BASIC_INFORMATION info;
  if (!VirtualQuery(base, &info, sizeof info)) return -1;
  return (info.Type == MEM_MAPPED ? UnmapViewOfFile(base) : VirtualFree(base, 0, MEM_RELEASE)) ? 0 : -1;
}

inline int madvise(void* base, size_t length, int) {
  WIN32_MEMORY_RANGE_ENTRY range{base, length};
  return PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0) ? 0 : -1;
}

inline int64_t pread(int fd, void* target, size_t bytes, int64_t offset) {
  OVERLAPPED at{};
  at.Offset = DWORD(offset);
  at.OffsetHigh = DWORD(uint64_t(offset) >> 32);
  DWORD read = 0;
  const DWORD most = DWORD(bytes < (size_t(1) << 30) ? bytes : size_t(1) << 30);
  if (::ReadFile(reinterpret_cast<HANDLE>(_get_osfhandle(fd)), target, most, &read, &at))
    return int64_t(read);
  return GetLastError() == ERROR_HANDLE_EOF ? 0 : (errno = EIO, -1);
}

}  // namespace ingot
