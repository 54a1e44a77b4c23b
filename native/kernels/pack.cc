// Repacking source rows into panels. Works on 32-bit words of four codes, which any compiler makes fast enough that
// loading is bound by memory; blocks are taken a few at a time so that the lines written stay in the first-level cache.
#include "pack.h"

#include <cstring>

namespace ingot {

namespace {

constexpr int kLanes = 16;

uint32_t word(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return w;
}
void put(uint8_t* p, uint32_t w) { memcpy(p, &w, 4); }

constexpr uint32_t kLow = 0x0F0F0F0F;

// A source format: how one block of one row goes to its lane of the panel. `codes` and `meta` point at the panel's
// block, already offset by the lane.
struct Q4_0 {
  static constexpr int columns = 32, bytes = 18, codes = 256, meta = 32;
  static void block(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) { nibbles(s + 2, lane, codes), memcpy(meta + 2 * lane, s, 2); }
  static void nibbles(const uint8_t* q, int lane, uint8_t* codes) {  // byte i: column i low, column i + 16 high
    const uint32_t a = word(q), b = word(q + 4), c = word(q + 8), d = word(q + 12);
    put(codes + 4 * lane, (a & kLow) | ((b & kLow) << 4));
    put(codes + 64 + 4 * lane, (c & kLow) | ((d & kLow) << 4));
    put(codes + 128 + 4 * lane, ((a >> 4) & kLow) | (b & ~kLow));
    put(codes + 192 + 4 * lane, ((c >> 4) & kLow) | (d & ~kLow));
  }
};

struct Q4_1 {
  static constexpr int columns = 32, bytes = 20, codes = 256, meta = 64;
  static void block(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    Q4_0::nibbles(s + 4, lane, codes);
    memcpy(meta + 2 * lane, s, 2);
    memcpy(meta + 32 + 2 * lane, s + 2, 2);
  }
};

struct Q8_0 {
  static constexpr int columns = 32, bytes = 34, codes = 512, meta = 32;
  static void block(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    for (int c = 0; c < 8; c++) put(codes + 64 * c + 4 * lane, word(s + 2 + 4 * c) ^ 0x80808080u);
    memcpy(meta + 2 * lane, s, 2);
  }
};

// Eight words of four nibbles in column order -> the four chunks of a 4-bit block.
void put_nibbles(const uint32_t (&n)[8], int lane, uint8_t* codes) {
  for (int c = 0; c < 4; c++) put(codes + 64 * c + 4 * lane, n[2 * c] | (n[2 * c + 1] << 4));
}

struct Q4_K {
  static constexpr int columns = 256, bytes = 144, codes = 2048, meta = 320;
  static void block(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s, 2);
    memcpy(meta + 32 + 2 * lane, s + 2, 2);
    const uint8_t* q = s + 4;  // 6-bit scales and minima in 12 bytes
    for (int j = 0; j < 8; j++) {
      const int sc = j < 4 ? q[j] & 63 : (q[j + 4] & 15) | (q[j - 4] >> 6 << 4);
      const int mn = j < 4 ? q[j + 4] & 63 : (q[j + 4] >> 4) | (q[j] >> 6 << 4);
      meta[64 + 16 * j + lane] = uint8_t(sc);
      meta[192 + 16 * j + lane] = uint8_t(mn);
    }
    for (int j = 0; j < 8; j++) {  // 64 columns share 32 bytes: the first 32 in the low nibbles
      uint32_t n[8];
      for (int i = 0; i < 8; i++) n[i] = (word(s + 16 + 32 * (j / 2) + 4 * i) >> (4 * (j & 1))) & kLow;
      put_nibbles(n, lane, codes + 256 * j);
    }
  }
};

struct Q6_K {
  static constexpr int columns = 256, bytes = 210, codes = 3072, meta = 288;
  static void block(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s + 208, 2);
    for (int j = 0; j < 16; j++) meta[32 + 16 * j + lane] = s[192 + j];
    for (int j = 0; j < 8; j++) {
      const uint8_t *low = s + 64 * (j / 4) + 32 * (j & 1), *high = s + 128 + 32 * (j / 4);
      uint32_t n[8], bits[2] = {0, 0};
      for (int i = 0; i < 8; i++) {
        n[i] = (word(low + 4 * i) >> (4 * ((j & 3) >> 1))) & kLow;
        bits[i / 4] |= ((word(high + 4 * i) >> (2 * (j & 3))) & 0x03030303u) << (2 * (i & 3));
      }
      uint8_t* out = codes + 384 * j;
      put_nibbles(n, lane, out);
      put(out + 256 + 4 * lane, bits[0]);
      put(out + 320 + 4 * lane, bits[1]);
    }
  }
};

struct Rows {
  const uint8_t* const* parts;
  int64_t K, N;
  const int32_t* map;
  int64_t operator()(int64_t i) const { return map ? map[i] : i; }
};

template <class F>
void pack_blocks(const Rows& rows, int64_t panel_bytes, int64_t begin, int64_t end, uint8_t* out) {
  const int64_t blocks = rows.K / F::columns, step = F::columns == 32 ? 8 : 1;
  for (int64_t p = begin; p < end; p++) {
    uint8_t *codes = out + p * panel_bytes, *meta = codes + blocks * F::codes;
    const int lanes = rows.N - p * kLanes < kLanes ? int(rows.N - p * kLanes) : kLanes;
    if (lanes < kLanes) memset(codes, 0, size_t(panel_bytes));
    else memset(meta + blocks * F::meta, 0, size_t(codes + panel_bytes - (meta + blocks * F::meta)));
    const uint8_t* row[kLanes];
    for (int r = 0; r < lanes; r++) row[r] = rows.parts[0] + rows(p * kLanes + r) * blocks * F::bytes;
    for (int64_t b0 = 0; b0 < blocks; b0 += step)
      for (int r = 0; r < lanes; r++)
        for (int64_t b = b0; b < b0 + step && b < blocks; b++) F::block(row[r] + b * F::bytes, r, codes + b * F::codes, meta + b * F::meta);
  }
}

// Affine codes of MLX: scales and biases come as matrices of their own.
void pack_affine(const Rows& rows, int bits, int group, int meta_size, int64_t panel_bytes, int64_t begin, int64_t end, uint8_t* out) {
  const int64_t words = rows.K * bits / 32, groups = rows.K / group, codes_bytes = rows.K / 32 * (64 * bits);
  for (int64_t p = begin; p < end; p++) {
    uint8_t *codes = out + p * panel_bytes, *meta = codes + codes_bytes;
    const int lanes = rows.N - p * kLanes < kLanes ? int(rows.N - p * kLanes) : kLanes;
    if (lanes < kLanes) memset(codes, 0, size_t(panel_bytes));
    const int64_t used = groups * 32 * meta_size;
    memset(meta + used, 0, size_t(panel_bytes - codes_bytes - used));
    for (int64_t w0 = 0; w0 < words; w0 += 32)
      for (int r = 0; r < lanes; r++) {
        const uint8_t* row = rows.parts[0] + rows(p * kLanes + r) * words * 4;
        for (int64_t w = w0; w < w0 + 32 && w < words; w++) {
          uint32_t x = word(row + 4 * w);
          if (bits == 4) {  // eight nibbles in column order -> columns 0-3 low, 4-7 high
            uint32_t low = x & 0xFFFF, high = x >> 16;
            low = (low | low << 8) & 0x00FF00FF, low = (low | low << 4) & kLow;
            high = (high | high << 8) & 0x00FF00FF, high = (high | high << 4) & kLow;
            x = low | high << 4;
          }
          put(codes + 64 * w + 4 * r, x);
        }
      }
    for (int r = 0; r < lanes; r++) {
      const int64_t at = rows(p * kLanes + r) * groups * meta_size;
      for (int64_t g = 0; g < groups; g++) {
        uint8_t* m = meta + g * 32 * meta_size + r * meta_size;
        memcpy(m, rows.parts[1] + at + g * meta_size, size_t(meta_size));
        memcpy(m + 16 * meta_size, rows.parts[2] + at + g * meta_size, size_t(meta_size));
      }
    }
  }
}

// Element k of lane r goes to slot(k, r); T is f32 or 16 bits.
template <class T, bool Pairs>
void pack_floats(const Rows& rows, int64_t panel_bytes, int64_t begin, int64_t end, uint8_t* out) {
  for (int64_t p = begin; p < end; p++) {
    T* panel = reinterpret_cast<T*>(out + p * panel_bytes);
    const int lanes = rows.N - p * kLanes < kLanes ? int(rows.N - p * kLanes) : kLanes;
    const int64_t used = (Pairs ? rows.K / 2 * 2 : rows.K) * kLanes * int64_t(sizeof(T));
    if (lanes < kLanes) memset(panel, 0, size_t(panel_bytes));
    else memset(reinterpret_cast<uint8_t*>(panel) + used, 0, size_t(panel_bytes - used));
    for (int64_t k0 = 0; k0 < rows.K; k0 += 64)
      for (int r = 0; r < lanes; r++) {
        const uint8_t* row = rows.parts[0] + rows(p * kLanes + r) * rows.K * int64_t(sizeof(T));
        for (int64_t k = k0; k < k0 + 64 && k < rows.K; k++)
          memcpy(panel + (Pairs ? k / 2 * 32 + r * 2 + (k & 1) : k * kLanes + r), row + k * sizeof(T), sizeof(T));
      }
  }
}

int64_t round64(int64_t n) { return (n + 63) / 64 * 64; }

template <class F>
bool pack_format(const Rows& rows, int64_t begin, int64_t end, uint8_t* out) {
  if (rows.K % F::columns) return false;
  const int64_t blocks = rows.K / F::columns;
  pack_blocks<F>(rows, blocks * F::codes + round64(blocks * F::meta), begin, end, out);
  return true;
}

}  // namespace

bool pack_rows(int source_code, const uint8_t* const* parts, int64_t K, int group, int meta_dtype, const int32_t* rowMap,
               int64_t panelBegin, int64_t panelEnd, int64_t N, uint8_t* out) {
  const Rows rows{parts, K, N, rowMap};
  if (K <= 0 || N <= 0 || panelBegin < 0 || panelEnd > (N + 15) / 16) return false;
  switch (source_code) {
    case 0: pack_floats<uint32_t, false>(rows, K * 64, panelBegin, panelEnd, out); return true;
    case 1: pack_floats<uint16_t, false>(rows, round64(K * 32), panelBegin, panelEnd, out); return true;
    case 2: pack_floats<uint16_t, true>(rows, (K + 1) / 2 * 64, panelBegin, panelEnd, out); return true;
    case 3: return pack_format<Q4_0>(rows, panelBegin, panelEnd, out);
    case 4: return pack_format<Q4_1>(rows, panelBegin, panelEnd, out);
    case 5: return pack_format<Q8_0>(rows, panelBegin, panelEnd, out);
    case 7: return pack_format<Q4_K>(rows, panelBegin, panelEnd, out);
    case 8: return pack_format<Q6_K>(rows, panelBegin, panelEnd, out);
    case 9:
    case 10: {
      if ((group != 32 && group != 64 && group != 128) || K % group || meta_dtype < 0 || meta_dtype > 2) return false;
      const int bits = source_code == 9 ? 4 : 8, size = meta_dtype == 0 ? 4 : 2;
      const int64_t panel = K / 32 * (64 * bits) + round64(K / group * 32 * size);
      pack_affine(rows, bits, group, size, panel, panelBegin, panelEnd, out);
      return true;
    }
    default: return false;
  }
}

}  // namespace ingot
