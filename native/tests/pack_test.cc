// Packing: rows of each file format, dequantised straight from their blocks, against the packed panels' values.
#include "kernels/pack.h"
#include "linear_suite.h"

namespace ingot::tests {

namespace {

double half_at(const uint8_t* p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return half_value(h);
}

struct Format {
  int code;
  const char* name;
  int64_t columns, bytes;
  int layout;
};
constexpr Format kFormats[] = {{0, "F32", 1, 4, kF32},    {1, "F16", 1, 2, kF16},     {2, "BF16", 1, 2, kBF16},     {3, "Q4_0", 32, 18, kQ4},  {4, "Q4_1", 32, 20, kQ4A},
                               {5, "Q8_0", 32, 34, kQ8}, {7, "Q4_K", 256, 144, kQ4K}, {8, "Q6_K", 256, 210, kQ6K}};

// Column k of a row of blocks, as the format defines it.
double source_value(const Format& f, const uint8_t* row, int64_t k) {
  const uint8_t* b = row + k / f.columns * f.bytes;
  const int i = int(k % f.columns);
  if (f.code == 0) {
    float v;
    memcpy(&v, b, 4);
    return v;
  }
  if (f.code == 1) return half_at(b);
  if (f.code == 2) {
    uint16_t h;
    memcpy(&h, b, 2);
    return bf16_value(h);
  }
  if (f.code == 5) return half_at(b) * int8_t(b[2 + i]);
  if (f.code == 3 || f.code == 4) {
    const uint8_t byte = b[(f.code == 3 ? 2 : 4) + i % 16];
    const int q = i < 16 ? byte & 15 : byte >> 4;
    return f.code == 3 ? half_at(b) * (q - 8) : half_at(b) * q + half_at(b + 2);
  }
  if (f.code == 7) {
    const int j = i / 32;
    const uint8_t* s = b + 4;
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] & 0xC0) >> 2), minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] & 0xC0) >> 2);
    const uint8_t byte = b[16 + i / 64 * 32 + i % 32];
    return half_at(b) * scale * (i % 64 < 32 ? byte & 15 : byte >> 4) - half_at(b + 2) * minimum;
  }
  const int part = i % 128 / 32, l = i % 32, base = i / 128;
  const uint8_t low = b[base * 64 + (part & 1) * 32 + l], high = b[128 + base * 32 + l];
  const int q = ((part < 2 ? low & 15 : low >> 4) | ((high >> (2 * part)) & 3) << 4) - 32;
  return half_at(b + 208) * int8_t(b[192 + i / 16]) * q;
}

int compare(const char* name, const std::vector<uint8_t>& whole, const PackedMatrix& form, const std::vector<double>& want) {
  PackedMatrix w = form;
  w.bytes = whole;
  w.decode_all();
  for (size_t i = 0; i < want.size(); i++)
    if (std::fabs(w.values[i] - want[i]) > 1e-12 * (1 + std::fabs(want[i]))) {
      printf("  FAILED pack %s: element %d is %g, expected %g\n", name, int(i), w.values[i], want[i]);
      return 1;
    }
  return 0;
}

// Panels one at a time in reverse order, into dirty memory, must equal the whole matrix at once.
int pack_both_ways(const char* name, int code, const uint8_t* const* parts, int64_t N, int64_t K, int group, int meta, const int32_t* map, std::vector<uint8_t>& out) {
  auto pieces = out;
  std::fill(out.begin(), out.end(), 0xAA);
  std::fill(pieces.begin(), pieces.end(), 0x55);
  bool ok = pack_rows(code, parts, K, group, meta, map, 0, (N + 15) / 16, N, out.data());
  for (int64_t p = (N + 15) / 16; p-- > 0;) ok &= pack_rows(code, parts, K, group, meta, map, p, p + 1, N, pieces.data());
  if (ok && pieces == out) return 0;
  printf("  FAILED pack %s: %s\n", name, ok ? "panels depend on the range packed" : "refused");
  return 1;
}

int block_format(const Format& f, Random& random) {
  const int64_t N = 37, K = f.columns == 256 ? 512 : f.columns == 32 ? 352 : 75;
  std::vector<uint8_t> in(N * K / f.columns * f.bytes);
  for (auto& b : in) b = uint8_t(random.bits());
  for (int64_t i = 0; i + f.bytes <= int64_t(in.size()); i += f.bytes) {  // scales must be finite
    const float v = random.uniform(0.01f, 1);
    const uint16_t h = f.code == 2 ? to_bf16(v) : to_half(v);
    if (f.code == 0) memcpy(&in[i], &v, 4);
    else memcpy(&in[i + (f.code == 8 ? 208 : 0)], &h, 2);
    if (f.code == 4 || f.code == 7) memcpy(&in[i + 2], &h, 2);
  }
  std::vector<int32_t> map(N);
  for (int64_t i = 0; i < N; i++) map[i] = int32_t(i * 5 % N);
  int failures = 0;
  for (const int32_t* m : {static_cast<const int32_t*>(nullptr), static_cast<const int32_t*>(map.data())}) {
    const PackedMatrix form(f.layout, N, K, 32, dF16, random);
    std::vector<uint8_t> out(form.bytes.size());
    const uint8_t* parts[] = {in.data()};
    failures += pack_both_ways(f.name, f.code, parts, N, K, 32, dF16, m, out);
    std::vector<double> want;
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++) want.push_back(source_value(f, in.data() + (m ? m[n] : n) * (K / f.columns * f.bytes), k));
    failures += compare(f.name, out, form, want);
  }
  return failures;
}

int affine_format(int code, int group, int meta, Random& random) {
  const int64_t N = 21, K = 384, groups = K / group;
  const int bits = code == 9 ? 4 : 8, size = meta == dF32 ? 4 : 2;
  std::vector<uint8_t> codes(N * K * bits / 8), scales(N * groups * size), biases(scales.size());
  for (auto& b : codes) b = uint8_t(random.bits());
  std::vector<double> s, m;
  for (auto* v : {&scales, &biases})
    for (int64_t i = 0; i < N * groups; i++) {
      const float x = random.uniform(0.01f, 1);
      const uint16_t h = meta == dF16 ? to_half(x) : to_bf16(x);
      memcpy(v->data() + i * size, meta == dF32 ? static_cast<const void*>(&x) : &h, size);
      (v == &scales ? s : m).push_back(meta == dF32 ? x : meta == dF16 ? half_value(h) : bf16_value(h));
    }
  const PackedMatrix form(code == 9 ? kQ4A : kQ8A, N, K, group, meta, random);
  std::vector<uint8_t> out(form.bytes.size());
  const uint8_t* parts[] = {codes.data(), scales.data(), biases.data()};
  int failures = pack_both_ways("MLX", code, parts, N, K, group, meta, nullptr, out);
  std::vector<double> want;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) {
      const int64_t at = n * K + k;
      const int q = bits == 8 ? codes[at] : codes[at / 2] >> (4 * (at & 1)) & 15;
      want.push_back(s[n * groups + k / group] * q + m[n * groups + k / group]);
    }
  return failures + compare("MLX", out, form, want);
}

}  // namespace

int run_pack_tests() {
  Random random(5);
  int failures = 0;
  for (const Format& f : kFormats) failures += block_format(f, random);
  for (int code : {9, 10})
    for (int group : {32, 64, 128})
      for (int meta : {dF32, dF16, dBF16}) failures += affine_format(code, group, meta, random);
  uint8_t byte = 0;
  const uint8_t* parts[] = {&byte};
  if (pack_rows(6, parts, 32, 32, dF16, nullptr, 0, 1, 16, &byte) || pack_rows(3, parts, 33, 32, dF16, nullptr, 0, 1, 16, &byte)) failures++, printf("  FAILED pack: a bad format or K was accepted\n");
  printf("pack   %d failures\n", failures);
  return failures;
}

}  // namespace ingot::tests
