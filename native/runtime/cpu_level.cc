#include "cpu_level.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#include <vector>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace ingot {

#include "tables.inc"

namespace {

#if defined(__x86_64__)
uint64_t xgetbv0() {
  uint32_t lo, hi;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return (uint64_t(hi) << 32) | lo;
}
#endif

Features detect() {
  Features f{};
#if defined(__x86_64__)
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  const bool osxsave = c & (1u << 27), fma = c & (1u << 12), f16c = c & (1u << 29);
  if (!osxsave) return f;
  const uint64_t xcr = xgetbv0();
  const bool ymm = (xcr & 6) == 6, zmm = (xcr & 0xe6) == 0xe6, tiles = (xcr & 0x60000) == 0x60000;
  uint32_t b7 = 0, c7 = 0, d7 = 0, a71 = 0;
  if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) {
    uint32_t t1, t2, t3;
    __get_cpuid_count(7, 1, &a71, &t1, &t2, &t3);
  }
  f.avx2 = ymm && fma && f16c && (b7 & (1u << 5));
  const uint32_t need = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  f.avx512 = f.avx2 && zmm && (b7 & need) == need && (c7 & (1u << 11));     // + VNNI
  f.avx512bf16 = f.avx512 && (a71 & (1u << 5)) && (c7 & (1u << 1));         // + VBMI
  if (f.avx512bf16 && tiles && (d7 & (1u << 24))) {
#if defined(__linux__)
    // Linux gives a process the tile registers only when asked: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA.
    const bool granted = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
    f.amx_int8 = granted && (d7 & (1u << 25));
    f.amx_bf16 = granted && (d7 & (1u << 22));
#endif
  }
#elif defined(__aarch64__)
#if defined(__linux__)
  const unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
  f.neon = (cap & (1ul << 1)) && (cap & (1ul << 10));  // ASIMD, ASIMDHP (f16 arithmetic)
  f.dotprod = cap & (1ul << 20);
  f.i8mm = (cap2 & (1ul << 13)) && (cap2 & (1ul << 14));  // I8MM, BF16
#elif defined(_WIN32)
  // Half precision is not told apart: CPUs that have the dot products have it, too.
  f.neon = f.dotprod = IsProcessorFeaturePresent(43);  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
#else
  f.neon = f.dotprod = true;  // every Apple silicon CPU
#endif
#endif
  return f;
}

constexpr const char* kNames[kLevels] = {"scalar", "avx2", "avx512",   "avx512bf16",
                                         "amx",    "neon", "neon_i8mm"};

Level below(Level level) {
  switch (level) {
    case kAmx: return kAvx512Bf16;
    case kAvx512Bf16: return kAvx512;
    case kAvx512: return kAvx2;
    case kNeonI8mm: return kNeon;
    default: return kScalar;
  }
}

}  // namespace

const Features& features() {
  static const Features f = detect();
  return f;
}

const char* level_name(Level level) { return kNames[level]; }

bool level_from_name(const std::string& name, Level& out) {
  for (int i = 0; i < kLevels; i++)
    if (name == kNames[i]) return out = Level(i), true;
  return false;
}

bool level_built(Level level) {
  for (const auto& t : kTables)
    if (t.level == level) return true;
  return false;
}

bool level_supported(Level level) {
  const Features& f = features();
  switch (level) {
    case kScalar: return true;
    case kAvx2: return f.avx2;
    case kAvx512: return f.avx512;
    case kAvx512Bf16: return f.avx512bf16;
    case kAmx: return f.amx_int8 && f.amx_bf16;
    case kNeon: return f.neon && f.dotprod;
    case kNeonI8mm: return f.neon && f.dotprod && f.i8mm;
    default: return false;
  }
}

Level best_level() {
  for (Level l : {kAmx, kAvx512Bf16, kAvx512, kAvx2, kNeonI8mm, kNeon})
    if (level_built(l) && level_supported(l)) return l;
  return kScalar;
}

const KernelDef* find_kernel(const char* name, Level level) {
  for (;;) {
    for (const auto& t : kTables) {
      if (t.level != level) continue;
      for (int i = 0; i < t.table->count; i++)
        if (!std::strcmp(t.table->defs[i].name, name)) return &t.table->defs[i];
    }
    if (level == kScalar) return nullptr;
    level = below(level);
  }
}

int default_threads() {
  int n = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (!sched_getaffinity(0, sizeof set, &set)) {
    std::set<std::string> cores;  // one entry per physical core: hyper-threads share their siblings list
    int cpus = 0;
    for (int i = 0; i < CPU_SETSIZE; i++) {
      if (!CPU_ISSET(i, &set)) continue;
      cpus++;
      std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list");
      std::string siblings;
      if (std::getline(in, siblings)) cores.insert(siblings);
    }
    n = cores.empty() ? cpus : int(cores.size());
  }
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (in >> quota >> period && quota != "max" && period > 0) {
    const int limit = int(std::stod(quota) / period + 0.5);
    if (limit >= 1 && limit < n) n = limit;
  }
#elif defined(_WIN32)
  DWORD bytes = 0;
  GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &bytes);
  std::vector<char> told(bytes);
  if (bytes && GetLogicalProcessorInformationEx(
                   RelationProcessorCore,
                   reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(told.data()), &bytes)) {
    int cores = 0;
    for (size_t at = 0; at < bytes;
         at += reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(told.data() + at)->Size)
      cores++;
    if (cores > 0) n = cores;
  }
#endif
  return n < 1 ? 1 : n;
}

std::string cpu_name() {
#if defined(__x86_64__)
  uint32_t r[12];
  if (__get_cpuid(0x80000002, &r[0], &r[1], &r[2], &r[3]) &&
      __get_cpuid(0x80000003, &r[4], &r[5], &r[6], &r[7]) &&
      __get_cpuid(0x80000004, &r[8], &r[9], &r[10], &r[11])) {
    char text[49] = {0};
    std::memcpy(text, r, 48);
    std::string s(text);
    const size_t start = s.find_first_not_of(' ');
    uint32_t a = 0, b, c, d;
    __get_cpuid(1, &a, &b, &c, &d);
    const uint32_t family = ((a >> 8) & 15) + ((a >> 20) & 255), model = ((a >> 4) & 15) | ((a >> 12) & 0xf0);
    std::ostringstream out;
    out << (start == std::string::npos ? "x86-64" : s.substr(start)) << " (family " << family << ", model "
        << model << ")";
    return out.str();
  }
#endif
#if defined(__linux__)
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("CPU part", 0) == 0 || line.rfind("model name", 0) == 0)
      return line.substr(line.find(':') + 2);
#endif
  return "unknown CPU";
}

}  // namespace ingot
