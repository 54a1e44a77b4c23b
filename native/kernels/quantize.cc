#include "quantize.h"

#include "quantize_search.h"

namespace ingot {

namespace {

using namespace quantizing;

void put16(uint8_t* at, uint32_t v) { at[0] = uint8_t(v), at[1] = uint8_t(v >> 8); }

// Step and minimum of group j.
template <int V>
int step_of(const Choice<V>& c, int j) {
  return int(c.steps[j / kLanes][j % kLanes]);
}
template <int V>
int minimum_of(const Choice<V>& c, int j) {
  return int(c.minimums[j / kLanes][j % kLanes]);
}

// 6-bit steps and minimums of eight groups in 12 bytes.
void put_sixes(uint8_t* at, const Choice<1>& c) {
  memset(at, 0, 12);
  for (int j = 0; j < 8; j++) {
    const int s = step_of(c, j), m = minimum_of(c, j);
    if (j < 4)
      at[j] |= uint8_t(s), at[j + 4] |= uint8_t(m);
    else
      at[j + 4] |= uint8_t((s & 15) | (m & 15) << 4), at[j - 4] |= uint8_t(s >> 4 << 6),
          at[j] |= uint8_t(m >> 4 << 6);
  }
}

void put_nibbles(uint8_t* at, const uint8_t* codes) {
  for (int b = 0; b < 4; b++)
    for (int i = 0; i < 32; i++)
      at[b * 32 + i] = uint8_t((codes[b * 64 + i] & 15) | (codes[b * 64 + 32 + i] & 15) << 4);
}
// Pairs of bits: 128 columns share 32 bytes, in four runs of 32.
void put_pairs(uint8_t* at, const uint8_t* codes) {
  for (int b = 0; b < 2; b++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* c = codes + b * 128 + i;
      at[b * 32 + i] = uint8_t((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}
// One bit of each column: byte i has those of columns i, i + 32, …
void put_bits(uint8_t* at, const uint8_t* codes, int bit) {
  for (int i = 0; i < 32; i++) {
    int v = 0;
    for (int r = 0; r < 8; r++) v |= (codes[r * 32 + i] >> bit & 1) << r;
    at[i] = uint8_t(v);
  }
}

INGOT_CLONES void q2_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const auto c = super_block<16, true>(x, kEven, {0, 3, 0, 15}, codes);
  for (int j = 0; j < 16; j++) at[j] = uint8_t(step_of(c, j) | minimum_of(c, j) << 4);
  put_pairs(at + 16, codes);
  put16(at + 80, c.d), put16(at + 82, c.dmin);
}
INGOT_CLONES void q3_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const auto c = super_block<16, false>(x, kRaised, {-4, 3, -32, 31}, codes);
  put_bits(at, codes, 2);
  put_pairs(at + 32, codes);
  memset(at + 96, 0, 12);
  for (int j = 0; j < 16; j++) {
    const int stored = step_of(c, j) + 32;
    at[96 + (j & 7)] |= uint8_t((stored & 15) << (j < 8 ? 0 : 4)),
        at[104 + (j & 3)] |= uint8_t(stored >> 4 << 2 * (j >> 2));
  }
  put16(at + 108, c.d);
}
INGOT_CLONES void q4_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const auto c = super_block<32, true>(x, kLevel, {0, 15, 0, 63}, codes);
  put16(at, c.d), put16(at + 2, c.dmin);
  put_sixes(at + 4, c);
  put_nibbles(at + 16, codes);
}
INGOT_CLONES void q5_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const auto c = super_block<32, true>(x, kLevel, {0, 31, 0, 63}, codes);
  put16(at, c.d), put16(at + 2, c.dmin);
  put_sixes(at + 4, c);
  put_bits(at + 16, codes, 4);
  put_nibbles(at + 48, codes);
}
INGOT_CLONES void q6_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const auto c = super_block<16, false>(x, kSquare, {-32, 31, -128, 127}, codes);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* q = codes + h * 128 + i;
      at[h * 64 + i] = uint8_t((q[0] & 15) | (q[64] & 15) << 4),
                  at[h * 64 + 32 + i] = uint8_t((q[32] & 15) | (q[96] & 15) << 4);
      at[128 + h * 32 + i] = uint8_t(q[0] >> 4 | q[32] >> 4 << 2 | q[64] >> 4 << 4 | q[96] >> 4 << 6);
    }
  for (int j = 0; j < 16; j++) at[192 + j] = uint8_t(step_of(c, j));
  put16(at + 208, c.d);
}

using BlockFn = void (*)(const float*, uint8_t*);
struct Block {
  BlockFn fn;
  int bytes;
};
Block block_of(int source) {
  switch (source) {
    case 7:
      return {q4_k, 144};
    case 8:
      return {q6_k, 210};
    case 13:
      return {q2_k, 84};
    case 14:
      return {q3_k, 110};
    case 15:
      return {q5_k, 176};
  }
  return {nullptr, 0};
}

// Scales and biases of eight groups as they are stored, what they are worth, and the squared error.
struct Attempt {
  uint32_t scale[kLanes], bias[kLanes];
  vd s, b, error;
};

INGOT_ALWAYS vd affine_code(const Attempt& a, vd x, double highest) {
  return code_near((x - a.b) * one_over(a.s), 0, highest);
}

INGOT_ALWAYS Attempt attempt(int type, double highest, const vd* x, int n, vd scale, vd bias) {
  Attempt a;
  for (int lane = 0; lane < kLanes; lane++) {
    double s, b;
    a.scale[lane] = scale_near(type, scale[lane], s), a.bias[lane] = scale_near(type, bias[lane], b);
    a.s[lane] = s, a.b[lane] = b;
  }
  a.error = vd{};
  for (int i = 0; i < n; i++) {
    const vd off = x[i] - (a.s * affine_code(a, x[i], highest) + a.b);
    a.error += off * off;
  }
  return a;
}

// The better one for each lane, of equal ones the first.
INGOT_ALWAYS void take(Attempt& best, const Attempt& next, vm allowed) {
  const vm better = (next.error < best.error) & allowed;
  for (int lane = 0; lane < kLanes; lane++)
    if (better[lane]) best.scale[lane] = next.scale[lane], best.bias[lane] = next.bias[lane];
  best.s = better ? next.s : best.s;
  best.b = better ? next.b : best.b;
  best.error = better ? next.error : best.error;
}

// The best of MLX's own choice, a grid from end to end, and the least squares for the codes of the better
// one: src/quant/group.ts.
INGOT_ALWAYS Attempt affine_groups(int type, double highest, const vd* x, int n) {
  vd low = x[0], high = x[0];
  for (int i = 0; i < n; i++) low = lower(low, x[i]), high = higher(high, x[i]);
  const vm below = magnitude(low) > magnitude(high);
  const vd edge = below ? low : high, least = (high - low) / highest;
  const vd step = (below ? all(1) : all(-1)) * higher(least, all(1e-7));
  vd steps = edge / step;
  for (int lane = 0; lane < kLanes; lane++) steps[lane] = std::nearbyint(steps[lane]);
  const vm none = steps == 0;
  Attempt best = attempt(type, highest, x, n, none ? step : edge / steps, none ? vd{} : edge);
  take(best, attempt(type, highest, x, n, least, low), vm{} == 0);
  vd q{}, qq{}, sum{}, xq{};
  for (int i = 0; i < n; i++) {
    const vd code = affine_code(best, x[i], highest);
    q += code, qq += code * code, sum += x[i], xq += x[i] * code;
  }
  const vd determinant = double(n) * qq - q * q;
  const vm some = determinant != 0;
  take(best,
       attempt(type, highest, x, n, some ? (double(n) * xq - sum * q) / determinant : vd{},
               some ? (qq * sum - q * xq) / determinant : vd{}),
       some);
  return best;
}

// A row as a stream of codes, lowest bits first, with scales and biases beside it.
INGOT_CLONES void affine_row(const LayoutForm& layout, const float* x, int64_t K, uint8_t* codes,
                             uint8_t* scales, uint8_t* biases) {
  const int bits = layout.t().bits, size = scale_bytes(layout.scale), n = layout.group;
  const double highest = (1 << bits) - 1;
  const int64_t groups = K / n;
  vd values[128];
  alignas(64) uint8_t found[kLanes][128];
  for (int64_t g = 0; g < groups; g += kLanes) {
    const int lanes = int(groups - g < kLanes ? groups - g : kLanes);
    for (int i = 0; i < n; i++)
      for (int lane = 0; lane < kLanes; lane++) values[i][lane] = x[(g + (lane < lanes ? lane : 0)) * n + i];
    const Attempt a = affine_groups(layout.scale, highest, values, n);
    for (int i = 0; i < n; i++) {
      const vc code = bytes_of(affine_code(a, values[i], highest));
      for (int lane = 0; lane < kLanes; lane++) found[lane][i] = code[lane];
    }
    for (int lane = 0; lane < lanes; lane++) {
      memcpy(scales + (g + lane) * size, &a.scale[lane], size_t(size));
      memcpy(biases + (g + lane) * size, &a.bias[lane], size_t(size));
      for (int i = 0; i < n; i += 8, codes += bits) {
        uint64_t word = 0;  // eight codes are as many bytes as a code has bits
        for (int j = 0; j < 8; j++) word |= uint64_t(found[lane][i + j]) << (j * bits);
        memcpy(codes, &word, size_t(bits));
      }
    }
  }
}

constexpr int kWords = 9;

}  // namespace

const char* quantize_problem(const QuantizeForm& form, size_t values, const size_t* sizes, int parts) {
  const auto& [source, layout, N, K] = form;
  if (N <= 0 || K <= 0 || K > (int64_t(1) << 31) || N > (int64_t(1) << 40) / K)
    return "the matrix has an impossible size";
  if (values != size_t(N) * size_t(K)) return "the values are not those of the matrix";
  if (source == kWords) {
    if (is_float_layout(layout.code) || !layout.t().minimum || layout.t().steps)
      return "only affine layouts are quantised as words";
    if (K % layout.column_multiple() != 0) return "groups do not fill the rows";
    const size_t meta = size_t(N) * size_t(K / layout.group) * size_t(scale_bytes(layout.scale));
    if (parts != 3 || sizes[0] != size_t(N) * size_t(K / 8 * layout.t().bits) || sizes[1] != meta ||
        sizes[2] != meta)
      return "the parts have other sizes";
    return nullptr;
  }
  const Block block = block_of(source);
  if (!block.fn) return "there is no quantiser for this source";
  if (K % 256 != 0) return "super-blocks do not fill the rows";
  return parts == 1 && sizes[0] == size_t(N) * size_t(K / 256) * size_t(block.bytes)
             ? nullptr
             : "the parts have other sizes";
}

void quantize_rows(const QuantizeForm& form, const float* values, int64_t begin, int64_t end,
                   uint8_t* const* parts) {
  const auto& [source, layout, N, K] = form;
  const Block block = block_of(source);
  const Subnormals kept;
  for (int64_t row = begin; row < end; row++) {
    const float* x = values + row * K;
    if (block.fn) {
      uint8_t* out = parts[0] + row * (K / 256) * block.bytes;
      for (int64_t b = 0; b < K / 256; b++) block.fn(x + b * 256, out + b * block.bytes);
    } else {
      const int64_t meta = K / layout.group * scale_bytes(layout.scale);
      affine_row(layout, x, K, parts[0] + row * (K / 8 * layout.t().bits), parts[1] + row * meta,
                 parts[2] + row * meta);
    }
  }
}

}  // namespace ingot
