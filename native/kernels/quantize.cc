// The search for scales in f32, vectorised by the compiler: every loop runs over one group of values. Values
// of a super-block are divided by its largest magnitude first, so that products of four of them stay in
// range.
#include "quantize.h"

#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define INGOT_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define INGOT_CLONES
#endif
#define INGOT_ALWAYS static inline __attribute__((always_inline))

namespace ingot {

namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr float kTiniest = 1e-30f;

INGOT_ALWAYS float clamp(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// The f16 nearest to a number, ties to even; too large numbers become the largest.
uint16_t to_half(double value) {
  uint16_t sign = 0;
  if (std::signbit(value)) sign = 0x8000, value = -value;
  if (!(value < 65504)) return uint16_t(sign | 0x7bff);
  int exponent;
  const double fraction = std::frexp(value, &exponent);  // 0.5 to 1
  if (value == 0) return sign;
  if (exponent < -13) return uint16_t(sign | int(std::nearbyint(value * 0x1p24)));
  const int mantissa = int(std::nearbyint(fraction * 2048));  // 1024 to 2048
  return uint16_t(sign | (((exponent + 14) << 10) + mantissa - 1024));
}
double of_half(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double v = exponent == 0 ? mantissa * 0x1p-24 : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -v : v;
}

// How much the error of a value counts.
enum Weighting { kSquare, kRaised, kLevel, kEven };

template <int N>
INGOT_ALWAYS void weigh(Weighting how, const float* x, float* w) {
  float squares = 0;
  for (int i = 0; i < N; i++) squares += x[i] * x[i];
  const float mean = squares / N, level = how == kLevel ? std::sqrt(mean) : 0;
  for (int i = 0; i < N; i++)
    w[i] = squares == 0 || how == kEven ? 1
           : how == kLevel              ? level + std::fabs(x[i])
                                        : x[i] * x[i] + (how == kRaised ? mean : 0);
}

struct Fit {
  double scale = 0, minimum = 0, error = 0;
};

template <int N>
struct Sums {
  double w = 0, x = 0, xx = 0;
};

template <int N>
INGOT_ALWAYS Sums<N> sums(const float* x, const float* w) {
  double a = 0, b = 0, c = 0;
  for (int i = 0; i < N; i++) {
    const double v = x[i], weight = w[i];
    a += weight, b += weight * v, c += weight * v * v;
  }
  return {a, b, c};
}

// The best scale and minimum for the codes that an inverse scale and an offset give. T is what sums are in.
template <int N, class T>
INGOT_ALWAYS Fit solve(const float* x, const float* w, const Sums<N>& all, float highest, float inverse,
                       float offset) {
  T fq = 0, fqq = 0, fxq = 0;
  for (int i = 0; i < N; i++) {
    const T code = T(clamp(__builtin_nearbyintf((x[i] - offset) * inverse), 0, highest)), wc = T(w[i]) * code;
    fq += wc, fqq += wc * code, fxq += wc * T(x[i]);
  }
  const double q = fq, qq = fqq, xq = fxq, determinant = all.w * qq - q * q;
  double scale = determinant > 0 ? (all.w * xq - all.x * q) / determinant : 0;
  double low = determinant > 0 ? (qq * all.x - q * xq) / determinant : all.x / all.w;
  if (low > 0 || !(determinant > 0)) {
    low = low < 0 ? low : 0;
    scale = qq > 0 ? (xq - low * q) / qq : 0;
  }
  const double error = all.xx - 2 * scale * xq - 2 * low * all.x + scale * scale * qq + 2 * scale * low * q +
                       low * low * all.w;
  return {scale, -low, scale >= 0 ? error : kNone};
}

template <int N, class T>
INGOT_ALWAYS Fit search_affine(const float* x, const float* w, const Sums<N>& all, float highest, float low,
                               float high) {
  // Less by what is not the rounding of sums: of equal ones the first, whose scale is the one in the middle.
  const double noise = (sizeof(T) == 4 ? 1e-7 : 1e-13) * all.xx;
  Fit best = solve<N, T>(x, w, all, highest, highest / (high - low), low);
  for (int s = -18; s <= 18; s++) {
    const Fit found = solve<N, T>(x, w, all, highest, (highest + 0.1f * float(s)) / (high - low), low);
    if (found.error < best.error - noise) best = found;
  }
  for (int i = 0; i < 4 && best.scale > 0; i++) {
    const Fit next = solve<N, T>(x, w, all, highest, float(1 / best.scale), float(-best.minimum));
    if (!(next.error < best.error - noise)) break;
    best = next;
  }
  return best;
}

template <int N>
INGOT_ALWAYS Fit fit_affine(const float* x, const float* w, float highest) {
  float low = 0, high = x[0];
  for (int i = 0; i < N; i++) low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
  if (!(high - low > kTiniest)) return {0, -low, 0};
  const Sums<N> all = sums<N>(x, w);
  const Fit best = search_affine<N, float>(x, w, all, highest, low, high);
  // Where one value outweighs the others, errors are what is left of numbers that are nearly the same.
  return best.error > 1e-4 * all.xx ? best : search_affine<N, double>(x, w, all, highest, low, high);
}

// Scale, and as `error` what it gains against zeros.
template <int N>
INGOT_ALWAYS Fit least_squares(const float* x, const float* w, float low, float high, float inverse) {
  float cross = 0, square = 0;
  for (int i = 0; i < N; i++) {
    const float number = clamp(__builtin_nearbyintf(x[i] * inverse), low, high), wn = w[i] * number;
    cross += wn * x[i], square += wn * number;
  }
  if (!(square > 0)) return {};
  return {double(cross) / square, 0, double(cross) * cross / square};
}

template <int N>
INGOT_ALWAYS double fit_scale(const float* x, const float* w, float low, float high) {
  float peak = 0;
  for (int i = 0; i < N; i++) peak = std::fabs(x[i]) > std::fabs(peak) ? x[i] : peak;
  if (!(std::fabs(peak) > kTiniest)) return 0;
  Fit best;
  for (const float end : {low, high})
    for (int s = -9; s <= 9; s++) {
      const Fit found = least_squares<N>(x, w, low, high, (end + (end < 0 ? -0.1f : 0.1f) * float(s)) / peak);
      // Where one value outweighs all others several codes give it exactly: the largest is taken, whose scale
      // leaves the others most.
      const double noise = 1e-6 * best.error;
      if (found.error > best.error + noise ||
          (found.error > best.error - noise && std::fabs(found.scale) < std::fabs(best.scale)))
        best = found;
    }
  for (int i = 0; i < 4 && best.scale != 0; i++) {
    const Fit next = least_squares<N>(x, w, low, high, float(1 / best.scale));
    if (!(next.error > best.error)) break;
    best = next;
  }
  return best.scale;
}

// Weighted error of a group with this scale and minimum.
template <int N>
INGOT_ALWAYS double code_error(const float* x, const float* w, float low, float high, float scale,
                               float minimum) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  float error = 0;
  for (int i = 0; i < N; i++) {
    const float number = clamp(__builtin_nearbyintf((x[i] + minimum) * inverse), low, high),
                off = x[i] - (scale * number - minimum);
    error += w[i] * off * off;
  }
  return error;
}

struct Range {
  float low, high;  // numbers of codes
  int least, most;  // steps
};

struct Choice {
  uint16_t d = 0, dmin = 0;
  double unit = 0, minimum_unit = 0;  // of the values as they are here
  int steps[16] = {}, minimums[16] = {};
  double error = kNone;
};

// Whole numbers next to a value within [low, high]; only 0 where there is no unit.
struct Near {
  int count = 0, step[3] = {};
  Near(double value, int low, int high) {
    if (!std::isfinite(value)) {
      count = 1;
      return;
    }
    const double middle = std::nearbyint(value < low ? low : value > high ? high : value);
    for (const int s : {0, -1, 1})
      if (middle + s >= low && middle + s <= high) step[count++] = int(middle) + s;
  }
};

template <int N, bool Minimum>
INGOT_ALWAYS Choice choose(const float* x, const float* w, const Range& r, const Fit* fits, double unit,
                           double minimum_unit, double peak) {
  Choice c;
  c.d = to_half(unit * peak), c.unit = of_half(c.d) / peak;
  if (Minimum) c.dmin = to_half(minimum_unit * peak), c.minimum_unit = of_half(c.dmin) / peak;
  c.error = 0;
  for (int g = 0; g < 256 / N; g++) {
    double best = kNone;
    const Near mins(Minimum ? fits[g].minimum / c.minimum_unit : kNone, 0, r.most),
        near(fits[g].scale / c.unit, r.least, r.most);
    for (int m = 0; m < mins.count; m++)
      for (int s = 0; s < near.count; s++) {
        const double error = code_error<N>(x + g * N, w + g * N, r.low, r.high, float(c.unit * near.step[s]),
                                           float(c.minimum_unit * mins.step[m]));
        if (error < best) best = error, c.steps[g] = near.step[s], c.minimums[g] = mins.step[m];
      }
    c.error += best;
  }
  return c;
}

// Both units by least squares over the block, for the codes of a choice.
template <int N, bool Minimum>
INGOT_ALWAYS void better_units(const float* x, const float* w, const Range& r, const Choice& c, double& unit,
                               double& minimum_unit) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int g = 0; g < 256 / N; g++) {
    const float step = float(c.steps[g]), minimum = float(c.minimums[g]);
    const float scale = float(c.unit * step), offset = float(c.minimum_unit * minimum),
                inverse = scale == 0 ? 0 : 1 / scale;
    // In f64: where one value outweighs all others the determinant is what is left of numbers that are nearly
    // the same.
    double saa = 0, sa = 0, sw = 0, sax = 0, sx = 0;
    for (int i = g * N; i < (g + 1) * N; i++) {
      const double v = x[i], weight = w[i],
                   a = double(step * clamp(__builtin_nearbyintf((x[i] + offset) * inverse), r.low, r.high)),
                   wa = weight * a;
      saa += wa * a, sa += wa, sw += weight, sax += wa * v, sx += weight * v;
    }
    aa += saa, ab -= sa * minimum, bb += sw * minimum * minimum, ax += sax, bx -= sx * minimum;
  }
  const double determinant = aa * bb - ab * ab;
  if (bb == 0 || !(determinant > 0)) {
    unit = aa > 0 ? ax / aa : 0, minimum_unit = c.minimum_unit;
    return;
  }
  unit = (ax * bb - bx * ab) / determinant;
  const double m = (bx * aa - ax * ab) / determinant;
  minimum_unit = m > 0 ? m : 0;
}

// Units, steps and codes of 256 values. Codes are numbers from the lowest.
template <int N, bool Minimum>
INGOT_ALWAYS Choice super_block(const float* values, Weighting how, const Range& r, uint8_t* codes) {
  alignas(64) float x[256], w[256];
  float peak = 0;
  for (int i = 0; i < 256; i++) peak = std::fabs(values[i]) > peak ? std::fabs(values[i]) : peak;
  const float scale = peak > kTiniest ? peak : 1, inverse = 1 / scale;
  for (int i = 0; i < 256; i++) x[i] = values[i] * inverse;
  for (int g = 0; g < 256; g += N) weigh<N>(how, x + g, w + g);
  Fit fits[16];
  double unit = 0, minimum_unit = 0;
  for (int g = 0; g < 256 / N; g++) {
    if (Minimum) fits[g] = fit_affine<N>(x + g * N, w + g * N, r.high);
    else fits[g].scale = fit_scale<N>(x + g * N, w + g * N, r.low, r.high);
    if (std::fabs(fits[g].scale) > std::fabs(unit)) unit = fits[g].scale;
    if (fits[g].minimum > minimum_unit) minimum_unit = fits[g].minimum;
  }
  // The largest scale is the end of the steps with more room: -32 of -32 … 31; or, with minimums, two steps
  // below it, which is better where that scale is no better than others.
  const double end = -r.least > r.most ? r.least : r.most, peak_scale = unit;
  Choice choice;
  for (const double steps : {end, end - 1, end - 2}) {
    if (!Minimum && steps != end) break;
    double u = peak_scale / steps, m = minimum_unit / r.most;
    Choice found = choose<N, Minimum>(x, w, r, fits, u, m, scale);
    for (int i = 0; i < 3; i++) {
      better_units<N, Minimum>(x, w, r, found, u, m);
      const Choice next = choose<N, Minimum>(x, w, r, fits, u, m, scale);
      if (!(next.error < found.error)) break;
      found = next;
    }
    if (found.error < choice.error) choice = found;
  }
  for (int g = 0; g < 256 / N; g++) {
    const float s = float(choice.unit * choice.steps[g]), m = float(choice.minimum_unit * choice.minimums[g]),
                by = s == 0 ? 0 : 1 / s;
    for (int i = g * N; i < (g + 1) * N; i++)
      codes[i] = uint8_t(clamp(__builtin_nearbyintf((x[i] + m) * by), r.low, r.high) - r.low);
  }
  return choice;
}

void put16(uint8_t* at, uint16_t v) { memcpy(at, &v, 2); }

// 6-bit steps and minimums of eight groups in 12 bytes.
void put_sixes(uint8_t* at, const Choice& c) {
  memset(at, 0, 12);
  for (int j = 0; j < 8; j++) {
    const int s = c.steps[j], m = c.minimums[j];
    if (j < 4) at[j] |= uint8_t(s), at[j + 4] |= uint8_t(m);
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
  const Choice c = super_block<16, true>(x, kEven, {0, 3, 0, 15}, codes);
  for (int j = 0; j < 16; j++) at[j] = uint8_t(c.steps[j] | c.minimums[j] << 4);
  put_pairs(at + 16, codes);
  put16(at + 80, c.d), put16(at + 82, c.dmin);
}
INGOT_CLONES void q3_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const Choice c = super_block<16, false>(x, kRaised, {-4, 3, -32, 31}, codes);
  put_bits(at, codes, 2);
  put_pairs(at + 32, codes);
  memset(at + 96, 0, 12);
  for (int j = 0; j < 16; j++) {
    const int stored = c.steps[j] + 32;
    at[96 + (j & 7)] |= uint8_t((stored & 15) << (j < 8 ? 0 : 4)),
        at[104 + (j & 3)] |= uint8_t(stored >> 4 << 2 * (j >> 2));
  }
  put16(at + 108, c.d);
}
INGOT_CLONES void q4_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const Choice c = super_block<32, true>(x, kLevel, {0, 15, 0, 63}, codes);
  put16(at, c.d), put16(at + 2, c.dmin);
  put_sixes(at + 4, c);
  put_nibbles(at + 16, codes);
}
INGOT_CLONES void q5_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const Choice c = super_block<32, true>(x, kLevel, {0, 31, 0, 63}, codes);
  put16(at, c.d), put16(at + 2, c.dmin);
  put_sixes(at + 4, c);
  put_bits(at + 16, codes, 4);
  put_nibbles(at + 48, codes);
}
INGOT_CLONES void q6_k(const float* x, uint8_t* at) {
  uint8_t codes[256];
  const Choice c = super_block<16, false>(x, kSquare, {-32, 31, -128, 127}, codes);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 32; i++) {
      const uint8_t* q = codes + h * 128 + i;
      at[h * 64 + i] = uint8_t((q[0] & 15) | (q[64] & 15) << 4),
                  at[h * 64 + 32 + i] = uint8_t((q[32] & 15) | (q[96] & 15) << 4);
      at[128 + h * 32 + i] = uint8_t(q[0] >> 4 | q[32] >> 4 << 2 | q[64] >> 4 << 4 | q[96] >> 4 << 6);
    }
  for (int j = 0; j < 16; j++) at[192 + j] = uint8_t(c.steps[j]);
  put16(at + 208, c.d);
}

using BlockFn = void (*)(const float*, uint8_t*);
struct Block {
  BlockFn fn;
  int bytes;
};
Block block_of(int source) {
  switch (source) {
    case 7: return {q4_k, 144};
    case 8: return {q6_k, 210};
    case 13: return {q2_k, 84};
    case 14: return {q3_k, 110};
    case 15: return {q5_k, 176};
  }
  return {nullptr, 0};
}

// A float stored as a type of scales, and read again.
uint32_t store(int type, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (type == dF32) return bits;
  return type == dF16 ? to_half(value) : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float stored(int type, uint32_t bits) {
  if (type == dF16) return float(of_half(uint16_t(bits)));
  const uint32_t word = type == dF32 ? bits : bits << 16;
  float value;
  memcpy(&value, &word, 4);
  return value;
}

struct Attempt {
  uint32_t scale, bias;
  double error;
};

INGOT_ALWAYS Attempt attempt(int type, float highest, const float* x, int n, double scale, double bias,
                             float* codes) {
  Attempt a{store(type, float(scale)), store(type, float(bias)), 0};
  const float s = stored(type, a.scale), b = stored(type, a.bias), inverse = s == 0 ? 0 : 1 / s;
  float error = 0;
  for (int i = 0; i < n; i++) {
    const float code = clamp(__builtin_nearbyintf((x[i] - b) * inverse), 0, highest),
                off = x[i] - (s * code + b);
    codes[i] = code, error += off * off;
  }
  a.error = error;
  return a;
}

// The best of MLX's own choice, a grid from end to end, and the least squares for the codes of the better
// one. Codes into `best`.
INGOT_CLONES Attempt affine_group(int type, int bits, const float* x, int n, float* best) {
  const float highest = float((1 << bits) - 1);
  float low = x[0], high = x[0];
  for (int i = 0; i < n; i++) low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
  const bool below = std::fabs(low) > std::fabs(high);
  const double edge = below ? low : high, least = (double(high) - low) / highest;
  const double step = (below ? 1 : -1) * (least > 1e-7 ? least : 1e-7), steps = std::nearbyint(edge / step);
  float other[128];
  Attempt found = steps == 0 ? attempt(type, highest, x, n, step, 0, best)
                             : attempt(type, highest, x, n, edge / steps, edge, best);
  const Attempt whole = attempt(type, highest, x, n, least, low, other);
  if (whole.error < found.error) found = whole, memcpy(best, other, size_t(n) * 4);
  float fq = 0, fqq = 0, fx = 0, fxq = 0;
  for (int i = 0; i < n; i++) fq += best[i], fqq += best[i] * best[i], fx += x[i], fxq += x[i] * best[i];
  const double q = fq, qq = fqq, sum = fx, xq = fxq, determinant = n * qq - q * q;
  if (determinant == 0) return found;
  const Attempt last = attempt(type, highest, x, n, (n * xq - sum * q) / determinant,
                               (qq * sum - q * xq) / determinant, other);
  if (last.error < found.error) found = last, memcpy(best, other, size_t(n) * 4);
  return found;
}

// A row as a stream of codes, lowest bits first, with scales and biases beside it.
void affine_row(const LayoutForm& layout, const float* x, int64_t K, uint8_t* codes, uint8_t* scales,
                uint8_t* biases) {
  const int bits = layout.t().bits, size = scale_bytes(layout.scale);
  for (int64_t g = 0; g < K / layout.group; g++) {
    float found[128];
    const Attempt a = affine_group(layout.scale, bits, x + g * layout.group, layout.group, found);
    memcpy(scales + g * size, &a.scale, size_t(size)), memcpy(biases + g * size, &a.bias, size_t(size));
    for (int i = 0; i < layout.group; i += 8, codes += bits) {
      uint64_t word = 0;  // eight codes are as many bytes as a code has bits
      for (int j = 0; j < 8; j++) word |= uint64_t(found[i + j]) << (j * bits);
      memcpy(codes, &word, size_t(bits));
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
