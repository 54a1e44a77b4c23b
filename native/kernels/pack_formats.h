// The block formats of GGUF: how one block of one row goes to its lane of a panel. Codes are handled as
// 32-bit words of four, in the order of the columns, which any compiler makes fast enough that loading is
// bound by memory.
#pragma once
#include <cstring>

#include "layout.h"

namespace ingot {

inline uint32_t word(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return w;
}
inline void put(uint8_t* p, uint32_t w) { memcpy(p, &w, 4); }

// Each byte's bits from `shift` on, as many as `mask` has.
inline uint32_t bits_of(uint32_t w, int shift, uint32_t mask) { return (w >> shift) & (mask * 0x01010101u); }

// The codes of 32 columns -> their lane of a block of the panel, plane by plane.
template <int Bits>
void put_codes(const uint32_t (&n)[8], int lane, uint8_t* codes) {
  uint8_t* at = codes + 4 * lane;
  if constexpr (Bits == 8)
    for (int i = 0; i < 8; i++) put(at + 64 * i, n[i]);
  constexpr int base = Bits >= 4 ? 4 : 2;
  if constexpr (Bits != 8 && base == 4)
    for (int c = 0; c < 4; c++)
      put(at + 64 * c, bits_of(n[2 * c], 0, 15) | bits_of(n[2 * c + 1], 0, 15) << 4);
  if constexpr (base == 2 || Bits == 6)
    for (int h = 0; h < 2; h++) {
      uint32_t pairs = 0;
      for (int f = 0; f < 4; f++) pairs |= bits_of(n[4 * h + f], base == 2 ? 0 : 4, 3) << (2 * f);
      put(at + (base == 2 ? 0 : 256) + 64 * h, pairs);
    }
  if constexpr (Bits == 3 || Bits == 5) {
    uint32_t single = 0;
    for (int i = 0; i < 8; i++) single |= bits_of(n[i], base, 1) << i;
    put(at + 64 * base, single);
  }
}

// 16 bytes whose byte i has column i in its low bits and column i + 16 in its high ones.
inline void split_nibbles(const uint8_t* q, uint32_t (&n)[8]) {
  for (int i = 0; i < 4; i++)
    n[i] = bits_of(word(q + 4 * i), 0, 15), n[4 + i] = bits_of(word(q + 4 * i), 4, 15);
}
// The same with fifth bits: bit i of a word is that of column i.
inline void split_fives(const uint8_t* q, uint32_t high, uint32_t (&n)[8]) {
  split_nibbles(q, n);
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 4; j++) n[i] |= (high >> (4 * i + j) & 1) << (8 * j + 4);
}

template <int Layout, int Columns, int Bytes, int Group = 32, int Scale = dF16>
struct Block {
  static constexpr int layout = Layout, columns = Columns, bytes = Bytes, bits = traits(Layout).bits,
                       block = 64 * bits;
  // Whether its blocks fill whole records of this layout.
  static bool fits(const LayoutForm& form) {
    return form.code == Layout && (traits(Layout).steps || (form.group == Group && form.scale == Scale));
  }
};

struct Q4_0 : Block<kQ4, 32, 18> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    uint32_t n[8];
    split_nibbles(s + 2, n);
    put_codes<bits>(n, lane, codes);
    memcpy(meta + 2 * lane, s, 2);
  }
};

struct Q4_1 : Block<kQ4A, 32, 20> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    uint32_t n[8];
    split_nibbles(s + 4, n);
    put_codes<bits>(n, lane, codes);
    memcpy(meta + 2 * lane, s, 2);
    memcpy(meta + 32 + 2 * lane, s + 2, 2);
  }
};

struct Q5_0 : Block<kQ5, 32, 22> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    uint32_t n[8];
    split_fives(s + 6, word(s + 2), n);
    put_codes<bits>(n, lane, codes);
    memcpy(meta + 2 * lane, s, 2);
  }
};

struct Q5_1 : Block<kQ5A, 32, 24> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    uint32_t n[8];
    split_fives(s + 8, word(s + 4), n);
    put_codes<bits>(n, lane, codes);
    memcpy(meta + 2 * lane, s, 2);
    memcpy(meta + 32 + 2 * lane, s + 2, 2);
  }
};

struct Q8_0 : Block<kQ8, 32, 34> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    for (int c = 0; c < 8; c++) put(codes + 64 * c + 4 * lane, word(s + 2 + 4 * c) ^ 0x80808080u);
    memcpy(meta + 2 * lane, s, 2);
  }
};

struct IQ4_NL : Block<kIQ4NL, 32, 18> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    Q4_0::read(s, lane, codes, meta);
  }
};

struct MXFP4 : Block<kMXFP4, 32, 17, 32, dE8M0> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    uint32_t n[8];
    split_nibbles(s + 1, n);
    put_codes<bits>(n, lane, codes);
    meta[lane] = s[0];
  }
};

// Four groups of 16 columns: 8 bytes each, whose byte i has columns i and i + 8. Scales are unsigned e4m3 of
// which half is meant; they become f16, which holds what GGUF makes of bytes that are no number.
struct NVFP4 : Block<kNVFP4, 64, 36, 16> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    for (int b = 0; b < 2; b++) {
      uint32_t n[8];
      for (int g = 0; g < 2; g++)
        for (int i = 0; i < 2; i++) {
          const uint32_t w = word(s + 4 + 8 * (2 * b + g) + 4 * i);
          n[4 * g + i] = bits_of(w, 0, 15), n[4 * g + 2 + i] = bits_of(w, 4, 15);
        }
      put_codes<bits>(n, lane, codes + b * block);
    }
    for (int g = 0; g < 4; g++) {
      const uint16_t half = half_of(s[g]);
      memcpy(meta + 32 * g + 2 * lane, &half, 2);
    }
  }
  static uint16_t half_of(uint8_t byte) {
    const int magnitude = byte == 0x7F ? 0 : byte & 0x7F;
    if (magnitude >= 8) return uint16_t((magnitude << 7) + (8 << 10));
    // Multiples of 2^-9, which f16 has as normal numbers.
    static constexpr uint16_t small[8] = {0, 0x1800, 0x1C00, 0x1E00, 0x2000, 0x2100, 0x2200, 0x2300};
    return small[magnitude];
  }
};

// d, dmin and the 6-bit scales and minima in 12 bytes that Q4_K and Q5_K begin with.
inline void put_sixes(const uint8_t* s, int lane, uint8_t* meta) {
  memcpy(meta + 2 * lane, s, 2);
  memcpy(meta + 32 + 2 * lane, s + 2, 2);
  const uint8_t* q = s + 4;
  for (int j = 0; j < 8; j++) {
    const int sc = j < 4 ? q[j] & 63 : (q[j + 4] & 15) | (q[j - 4] >> 6 << 4);
    const int mn = j < 4 ? q[j + 4] & 63 : (q[j + 4] >> 4) | (q[j] >> 6 << 4);
    meta[64 + 16 * j + lane] = uint8_t(sc);
    meta[192 + 16 * j + lane] = uint8_t(mn);
  }
}

struct Q4_K : Block<kQ4K, 256, 144> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    put_sixes(s, lane, meta);
    for (int j = 0; j < 8; j++) {  // 64 columns share 32 bytes: the first 32 in the low nibbles
      uint32_t n[8];
      for (int i = 0; i < 8; i++) n[i] = bits_of(word(s + 16 + 32 * (j / 2) + 4 * i), 4 * (j & 1), 15);
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

struct Q5_K : Block<kQ5K, 256, 176> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    put_sixes(s, lane, meta);
    for (int j = 0; j < 8; j++) {
      uint32_t n[8];
      for (int i = 0; i < 8; i++)
        n[i] = bits_of(word(s + 48 + 32 * (j / 2) + 4 * i), 4 * (j & 1), 15) |
               bits_of(word(s + 16 + 4 * i), j, 1) << 4;
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

// Columns 32 j … of the planes of two bits that Q2_K and Q3_K share.
inline uint32_t pairs_at(const uint8_t* q, int j, int i) {
  return bits_of(word(q + 32 * (j / 4) + 4 * i), 2 * (j & 3), 3);
}

struct Q2_K : Block<kQ2K, 256, 84> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s + 80, 2);
    memcpy(meta + 32 + 2 * lane, s + 82, 2);
    for (int j = 0; j < 16; j++) meta[64 + 16 * j + lane] = s[j] & 15, meta[320 + 16 * j + lane] = s[j] >> 4;
    for (int j = 0; j < 8; j++) {
      uint32_t n[8];
      for (int i = 0; i < 8; i++) n[i] = pairs_at(s + 16, j, i);
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

struct Q3_K : Block<kQ3K, 256, 110> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s + 108, 2);
    const uint8_t* q = s + 96;  // 6-bit scales: low nibbles in 8 bytes, high pairs in 4 more
    for (int j = 0; j < 16; j++) {
      const int low = (q[j & 7] >> (j < 8 ? 0 : 4)) & 15, high = (q[8 + (j & 3)] >> (2 * (j >> 2))) & 3;
      meta[32 + 16 * j + lane] = uint8_t((low | high << 4) - 32);
    }
    for (int j = 0; j < 8; j++) {
      uint32_t n[8];
      for (int i = 0; i < 8; i++) n[i] = pairs_at(s + 32, j, i) | bits_of(word(s + 4 * i), j, 1) << 2;
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

struct Q6_K : Block<kQ6K, 256, 210> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s + 208, 2);
    for (int j = 0; j < 16; j++) meta[32 + 16 * j + lane] = s[192 + j];
    for (int j = 0; j < 8; j++) {
      const uint8_t *low = s + 64 * (j / 4) + 32 * (j & 1), *high = s + 128 + 32 * (j / 4);
      uint32_t n[8];
      for (int i = 0; i < 8; i++)
        n[i] = bits_of(word(low + 4 * i), 4 * ((j & 3) >> 1), 15) |
               bits_of(word(high + 4 * i), 2 * (j & 3), 3) << 4;
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

struct IQ4_XS : Block<kIQ4XS, 256, 136> {
  static void read(const uint8_t* s, int lane, uint8_t* codes, uint8_t* meta) {
    memcpy(meta + 2 * lane, s, 2);
    for (int j = 0; j < 8; j++) {
      const int low = (s[4 + j / 2] >> (4 * (j & 1))) & 15, high = (s[2 + j / 4] >> (2 * (j & 3))) & 3;
      meta[32 + 16 * j + lane] = uint8_t((low | high << 4) - 32);
      uint32_t n[8];
      split_nibbles(s + 8 + 16 * j, n);
      put_codes<bits>(n, lane, codes + block * j);
    }
  }
};

}  // namespace ingot
