// What the matrix kernels are measured against: packed weights decoded element by element in double precision, and the
// activation rounding of each precision emulated, so that only the order of f32 additions is left to a tolerance.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/kernel.h"

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

/** A packed matrix of random codes, with its values in double. `parts`: |scale code| + |minimum|, what rounding scales with. */
struct PackedMatrix {
  int layout, group, meta;
  int64_t N, K, panel_bytes, codes_bytes;
  std::vector<uint8_t> bytes;
  std::vector<double> values, parts;

  PackedMatrix(int layout_, int64_t N_, int64_t K_, int group_, int meta_, Random& random) : layout(layout_), group(group_), meta(meta_), N(N_), K(K_) {
    const int bits = layout == kQ8 || layout == kQ8A ? 8 : layout == kQ6K ? 6 : 4;
    const bool is_float = layout <= kBF16;
    const int64_t codes = layout == kF32 ? K * 64 : layout == kF16 ? K * 32 : layout == kBF16 ? (K + 1) / 2 * 64 : K / 32 * 64 * bits;
    const int size = meta == dF32 ? 4 : 2;
    const int64_t tail = is_float ? 0 : layout == kQ4 || layout == kQ8 ? K : layout == kQ4K ? K / 256 * 320 : layout == kQ6K ? K / 256 * 288 : K / group * 32 * size;
    panel_bytes = (codes + tail + 63) / 64 * 64;
    const int64_t panels = (N + 15) / 16;
    bytes.assign(panels * panel_bytes, 0);
    for (int64_t p = 0; p < panels; p++) fill(bytes.data() + p * panel_bytes, codes, tail, random);
    codes_bytes = codes;
    decode_all();
  }

  void decode_all() {
    values.resize(N * K);
    parts.resize(N * K);
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++) decode(bytes.data() + n / 16 * panel_bytes, codes_bytes, int(n % 16), k, values[n * K + k], parts[n * K + k]);
  }

 private:
  void fill(uint8_t* p, int64_t codes, int64_t tail, Random& r) {
    const auto put16 = [](uint8_t* q, uint16_t v) { memcpy(q, &v, 2); };
    const auto scale = [&] { return r.uniform(0.01f, 0.1f) * (r.bits() & 1 ? 1 : -1); };
    if (layout == kF32) {
      for (int64_t i = 0; i < codes; i += 4) {
        const float v = r.uniform(-1, 1);
        memcpy(p + i, &v, 4);
      }
    } else if (layout == kF16 || layout == kBF16) {
      for (int64_t i = 0; i < codes; i += 2) put16(p + i, layout == kF16 ? to_half(r.uniform(0.01f, 1) * (r.bits() & 1 ? 1 : -1)) : to_bf16(r.uniform(-1, 1)));
    } else {
      for (int64_t i = 0; i < codes; i++) p[i] = uint8_t(r.bits());
    }
    uint8_t* m = p + codes;
    const auto typed = [&](uint8_t* q, float v) {
      if (meta == dF32) memcpy(q, &v, 4);
      else put16(q, meta == dF16 ? to_half(v) : to_bf16(v));
    };
    if (layout == kQ4 || layout == kQ8) {
      for (int64_t i = 0; i < tail; i += 2) put16(m + i, to_half(scale()));
    } else if (layout == kQ4A || layout == kQ8A) {
      const int size = meta == dF32 ? 4 : 2;
      for (int64_t i = 0; i < tail; i += size) typed(m + i, scale());
    } else if (layout == kQ4K || layout == kQ6K) {
      const int64_t stride = layout == kQ4K ? 320 : 288, halves = layout == kQ4K ? 32 : 16;
      for (int64_t s = 0; s < tail; s += stride) {
        for (int i = 0; i < halves; i++) put16(m + s + 2 * i, to_half(scale() * 0.1f));
        for (int64_t i = 2 * halves; i < stride; i++) m[s + i] = uint8_t(layout == kQ4K ? r.bits() & 63 : r.bits());
      }
    }
  }

  void decode(const uint8_t* p, int64_t codes, int lane, int64_t k, double& value, double& size) const {
    const auto half_at = [](const uint8_t* q) { uint16_t h; memcpy(&h, q, 2); return h; };
    const int64_t b = k / 32, i = k % 32;
    const uint8_t* m = p + codes;
    if (layout == kF32) {
      float f;
      memcpy(&f, p + (k * 16 + lane) * 4, 4);
      value = f;
    } else if (layout == kF16) value = half_value(half_at(p + (k * 16 + lane) * 2));
    else if (layout == kBF16) value = bf16_value(half_at(p + (k / 2 * 32 + lane * 2 + k % 2) * 2));
    size = std::fabs(value);
    if (layout <= kBF16) return;
    int code;
    if (layout == kQ8 || layout == kQ8A) code = p[b * 512 + i / 4 * 64 + lane * 4 + i % 4];
    else {
      const uint8_t* block = p + b * (layout == kQ6K ? 384 : 256);
      const int byte = block[i / 8 * 64 + lane * 4 + i % 4];
      code = i % 8 < 4 ? byte & 15 : byte >> 4;
      if (layout == kQ6K) code |= (block[256 + i / 16 * 64 + lane * 4 + i % 4] >> (2 * (i % 16 / 4)) & 3) << 4;
    }
    const auto typed = [&](int64_t at) {
      float f;
      if (meta != dF32) return meta == dF16 ? half_value(half_at(m + at * 2)) : bf16_value(half_at(m + at * 2));
      memcpy(&f, m + at * 4, 4);
      return double(f);
    };
    double s, minimum = 0;
    if (layout == kQ4 || layout == kQ8) s = half_value(half_at(m + b * 32 + lane * 2)), code -= layout == kQ4 ? 8 : 128;
    else if (layout == kQ4A || layout == kQ8A) s = typed(k / group * 32 + lane), minimum = typed(k / group * 32 + 16 + lane);
    else if (layout == kQ4K) {
      const uint8_t* q = m + k / 256 * 320;
      s = half_value(half_at(q + lane * 2)) * q[64 + k % 256 / 32 * 16 + lane];
      minimum = -half_value(half_at(q + 32 + lane * 2)) * q[192 + k % 256 / 32 * 16 + lane];
    } else {
      const uint8_t* q = m + k / 256 * 288;
      s = half_value(half_at(q + lane * 2)) * int8_t(q[32 + k % 256 / 16 * 16 + lane]);
      code -= 32;
    }
    value = s * code + minimum;
    // Integer kernels may multiply uncentred codes: 8-bit ones with a minimum are shifted by 128 on some levels.
    size = std::fabs(s) * (std::abs(code) + (layout == kQ8A ? 128 : 0)) + std::fabs(minimum);
  }
};

enum class Rounding { none, int8, bf16 };

/** x as the kernel sees it: quantised per 32 with the same f32 operations, or rounded to bf16. */
inline std::vector<double> rounded(const float* x, int64_t n, Rounding how) {
  std::vector<double> y(x, x + n);
  if (how == Rounding::bf16)
    for (auto& v : y) v = bf16_value(to_bf16(float(v)));
  if (how != Rounding::int8) return y;
  for (int64_t b = 0; b < n; b += 32) {
    float amax = 0;
    for (int i = 0; i < 32; i++) amax = std::fmax(amax, std::fabs(x[b + i]));
    const float inverse = amax > 0 ? 127.0f / amax : 0.0f, scale = amax / 127.0f;
    for (int i = 0; i < 32; i++) y[b + i] = double(scale) * std::nearbyintf(x[b + i] * inverse);
  }
  return y;
}

struct Expected {
  double value, bound;
};

/** Row n of the matrix times x; bound = terms · eps · sum of magnitudes. */
inline Expected expected_dot(const PackedMatrix& w, int64_t n, const double* x, Rounding how) {
  Expected e{0, 0};
  for (int64_t k = 0; k < w.K; k++) {
    double v = w.values[n * w.K + k];
    if (how == Rounding::bf16) v = bf16_value(to_bf16(float(v)));
    e.value += v * x[k];
    e.bound += (how == Rounding::int8 ? w.parts[n * w.K + k] : std::fabs(v)) * std::fabs(x[k]);
  }
  const double terms = how == Rounding::int8 ? w.K / 16.0 + 16 : w.K + 16.0;
  // Weights that lie between two bf16 values may round either way (they are computed in f32 first).
  e.bound *= terms * 0x1p-23 + (how == Rounding::bf16 ? 0x1p-12 : 0);
  e.bound += 1e-30;
  return e;
}

inline double activated(double x, int glu) {
  if (glu == 1) return x / (1 + std::exp(-x));
  if (glu == 2) return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

}  // namespace ingot::tests
