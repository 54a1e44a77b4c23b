// AMX tile instructions under one set of names, or their emulation in plain C++ for testing the tile layouts
// on a CPU without AMX. Tile numbers must be literals: GCC pastes them into the instruction.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AMX_BF16__) || INGOT_AMX_EMULATE
#define INGOT_TILES 1
#include <immintrin.h>
#else
#define INGOT_TILES 0
#endif

namespace ingot::INGOT_NS {

constexpr bool kHasTiles = INGOT_TILES;

#if !INGOT_TILES

struct TileSession {
  explicit TileSession(bool) {}
};

#else

#if INGOT_AMX_EMULATE

struct EmulatedTiles {
  alignas(64) uint8_t bytes[8][16][64];
  bool configured;
};
inline thread_local EmulatedTiles emulated{};

inline void emulate_load(int t, const void* p, int64_t stride) {
  if (!emulated.configured) __builtin_trap();
  for (int r = 0; r < 16; r++) memcpy(emulated.bytes[t][r], static_cast<const uint8_t*>(p) + r * stride, 64);
}
inline void emulate_store(int t, void* p, int64_t stride) {
  if (!emulated.configured) __builtin_trap();
  for (int r = 0; r < 16; r++) memcpy(static_cast<uint8_t*>(p) + r * stride, emulated.bytes[t][r], 64);
}
inline void emulate_dot(int c, int a, int b) {
  const auto value = [](const uint8_t* p) {
    uint16_t h;
    memcpy(&h, p, 2);
    const uint32_t u = uint32_t(h) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
  };
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 16; n++) {
      float sum;
      memcpy(&sum, emulated.bytes[c][m] + 4 * n, 4);
      for (int k = 0; k < 16; k++)
        for (int i = 0; i < 2; i++)
          sum += value(emulated.bytes[a][m] + 4 * k + 2 * i) * value(emulated.bytes[b][k] + 4 * n + 2 * i);
      memcpy(emulated.bytes[c][m] + 4 * n, &sum, 4);
    }
}

#define INGOT_TILE_ZERO(t) memset(emulated.bytes[t], 0, 1024)
#define INGOT_TILE_LOAD(t, p, stride) emulate_load(t, p, stride)
#define INGOT_TILE_STORE(t, p, stride) emulate_store(t, p, stride)
#define INGOT_TILE_DOT(c, a, b) emulate_dot(c, a, b)

#else

#define INGOT_TILE_ZERO(t) _tile_zero(t)
#define INGOT_TILE_LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define INGOT_TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define INGOT_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)

#endif

// Tiles of 16 rows x 64 bytes for as long as this lives. The operating system's permission was asked for by
// the runtime.
class TileSession {
 public:
  explicit TileSession(bool wanted) : wanted_(wanted) {
    if (!wanted) return;
#if INGOT_AMX_EMULATE
    emulated.configured = true;
#else
    alignas(64) uint8_t config[64] = {1};  // palette 1; bytes 16-31: bytes per row (u16), 48-55: rows
    for (int t = 0; t < 8; t++) config[16 + 2 * t] = 64, config[48 + t] = 16;
    asm volatile(""
                 :
                 : "r"(config)
                 : "memory");  // GCC 12's _tile_loadconfig does not say that it reads memory
    _tile_loadconfig(config);
#endif
  }
  ~TileSession() {
    if (!wanted_) return;
#if INGOT_AMX_EMULATE
    emulated.configured = false;
#else
    _tile_release();
#endif
  }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  bool wanted_;
};

#endif

}  // namespace ingot::INGOT_NS
