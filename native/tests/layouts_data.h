// A packed matrix of random codes and scales in any layout, decoded element by element in double precision.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/layout.h"

namespace ingot::tests {

struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15ull + 0x1234567ull) {}
  uint32_t bits() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return uint32_t(state >> 32);
  }
  float uniform(float low, float high) { return low + (high - low) * float(bits() >> 8) * 0x1p-24f; }
  int below(int n) { return int(bits() % uint32_t(n)); }
};

inline double half_value(uint16_t h) {
  const int e = h >> 10 & 31, f = h & 1023;
  const double v = e == 0 ? f * 0x1p-24 : std::ldexp(1024 + f, e - 25);
  return h & 0x8000 ? -v : v;
}
inline uint16_t to_half(float x) {  // for test data: |x| in [2^-14, 1000], truncated
  uint32_t u;
  memcpy(&u, &x, 4);
  return uint16_t((u >> 16 & 0x8000) | (((u >> 23 & 255) - 112) << 10 | (u >> 13 & 1023)));
}
inline uint16_t to_bf16(float x) {  // nearest even
  uint32_t u;
  memcpy(&u, &x, 4);
  return uint16_t((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
inline double bf16_value(uint16_t h) {
  const uint32_t u = uint32_t(h) << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}
inline double e4m3_value(uint8_t b) {
  const int e = b >> 3 & 15, f = b & 7;
  const double v = e == 0 ? f * 0x1p-9 : std::ldexp(8 + f, e - 10);
  return b & 0x80 ? -v : v;
}
// A scale of the type with code `type` at element `at`.
inline double scale_value(const uint8_t* p, int64_t at, int type) {
  uint16_t h;
  float f;
  switch (type) {
    case dF32: return memcpy(&f, p + 4 * at, 4), f;
    case dF16: return memcpy(&h, p + 2 * at, 2), half_value(h);
    case dBF16: return memcpy(&h, p + 2 * at, 2), bf16_value(h);
    case dE8M0: return std::ldexp(1, p[at] - 128);
    case dE4M3: return e4m3_value(p[at]);
  }
  return NAN;
}
// Stores a number in such a type; 8-bit ones get a random one of about that size.
inline void put_scale(uint8_t* p, int64_t at, int type, float v, Random& random) {
  const uint16_t h = type == dF16 ? to_half(v) : to_bf16(v);
  if (type == dF32) memcpy(p + 4 * at, &v, 4);
  else if (type == dF16 || type == dBF16) memcpy(p + 2 * at, &h, 2);
  else if (type == dE8M0) p[at] = uint8_t(121 + random.below(5));
  else p[at] = uint8_t(random.below(40) | (random.bits() & 0x80));
}

/** `parts`: |scale number| + |minimum|, what rounding scales with. */
struct PackedMatrix {
  LayoutForm form;
  int layout, group, meta;
  int64_t N, K, panel_bytes, codes_bytes;
  std::vector<uint8_t> bytes;
  std::vector<double> values, parts;

  PackedMatrix(int layout_, int64_t N_, int64_t K_, int group_, int meta_, Random& random)
      : layout(layout_), N(N_), K(K_) {
    read_layout(form, layout_, group_, meta_);
    group = form.group, meta = form.scale;
    codes_bytes = form.codes_bytes(K), panel_bytes = form.panel_bytes(K);
    bytes.assign((N + 15) / 16 * panel_bytes, 0);
    for (int64_t p = 0; p < (N + 15) / 16; p++) fill(bytes.data() + p * panel_bytes, random);
    decode_all();
  }

  void decode_all() {
    values.resize(N * K);
    parts.resize(N * K);
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++)
        decode(bytes.data() + n / 16 * panel_bytes, int(n % 16), k, values[n * K + k], parts[n * K + k]);
  }

 private:
  void fill(uint8_t* p, Random& r) {
    const auto scale = [&] { return r.uniform(0.01f, 0.1f) * (r.bits() & 1 ? 1 : -1); };
    if (is_float_layout(layout)) {
      for (int64_t i = 0; i < codes_bytes / scale_bytes(layout); i++)
        put_scale(p, i, layout, r.uniform(0.01f, 1) * (r.bits() & 1 ? 1 : -1), r);
      return;
    }
    for (int64_t i = 0; i < codes_bytes; i++) {
      p[i] = uint8_t(r.bits());
      if (form.t().e4m3 && (p[i] & 0x7F) == 0x7F) p[i] ^= 1;  // no number
    }
    const int fields = form.fields(), size = scale_bytes(meta),
              steps = form.t().steps ? fields * 256 / group : 0;
    uint8_t* m = p + codes_bytes;
    for (int64_t record = 0; record < K / form.record_columns(); record++, m += 16 * form.lane_bytes()) {
      for (int i = 0; i < 16 * fields; i++) put_scale(m, i, meta, scale() * (steps ? 0.1f : 1), r);
      for (int i = 0; i < 16 * steps; i++)
        m[16 * fields * size + i] = uint8_t(form.t().minimum ? r.bits() & 63 : r.bits());
    }
  }

  // The code of column k: its planes of bits, lowest first.
  int code(const uint8_t* p, int lane, int64_t k) const {
    const int bits = form.t().bits, i = int(k % 32);
    const uint8_t* block = p + k / 32 * 64 * bits + lane * 4 + i % 4;
    if (bits == 8) return block[i / 4 * 64];
    const int nibble = block[i / 8 * 64] >> (i % 8 / 4 * 4) & 15;
    const auto pair = [&](int at) { return block[at + i / 16 * 64] >> (2 * (i % 16 / 4)) & 3; };
    const auto single = [&](int at) { return block[at] >> (i / 4) & 1; };
    switch (bits) {
      case 2: return pair(0);
      case 3: return pair(0) | single(128) << 2;
      case 4: return nibble;
      case 5: return nibble | single(256) << 4;
      case 6: return nibble | pair(256) << 4;
    }
    return -1;
  }

  void decode(const uint8_t* p, int lane, int64_t k, double& value, double& size) const {
    const LayoutTraits& t = form.t();
    if (is_float_layout(layout)) {
      const int64_t at = layout == kBF16 ? k / 2 * 32 + lane * 2 + k % 2 : k * 16 + lane;
      value = scale_value(p, at, layout), size = std::fabs(value);
      return;
    }
    const int fields = form.fields(), groups = 256 / group, q = code(p, lane, k);
    const uint8_t* m = p + codes_bytes + k / form.record_columns() * 16 * form.lane_bytes();
    double s = scale_value(m, lane, meta), minimum = t.minimum ? scale_value(m, 16 + lane, meta) : 0;
    if (t.steps) {
      const int8_t* steps = reinterpret_cast<const int8_t*>(m + 32 * fields) + k % 256 / group * 16 + lane;
      s *= steps[0];
      if (t.minimum) minimum *= -steps[16 * groups];
    }
    const double number = t.e4m3    ? e4m3_value(uint8_t(q)) * t.unit
                          : t.table ? double(t.numbers[q]) * t.unit
                                    : q - t.zero;
    value = s * number + minimum;
    // Integer kernels may multiply uncentred codes: 8-bit ones with a minimum are shifted by 128 on some
    // levels.
    size = std::fabs(s) * (std::fabs(number) + (t.bits == 8 && t.minimum ? 128 : 0)) + std::fabs(minimum);
  }
};

}  // namespace ingot::tests
