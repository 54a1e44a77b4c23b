// Packing: rows of each file format, dequantised straight from their blocks, against the packed panels'
// values.
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
constexpr Format kFormats[] = {{0, "F32", 1, 4, kF32},      {1, "F16", 1, 2, kF16},
                               {2, "BF16", 1, 2, kBF16},    {3, "Q4_0", 32, 18, kQ4},
                               {4, "Q4_1", 32, 20, kQ4A},   {5, "Q8_0", 32, 34, kQ8},
                               {7, "Q4_K", 256, 144, kQ4K}, {8, "Q6_K", 256, 210, kQ6K}};

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
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] & 0xC0) >> 2),
              minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] & 0xC0) >> 2);
    const uint8_t byte = b[16 + i / 64 * 32 + i % 32];
    return half_at(b) * scale * (i % 64 < 32 ? byte & 15 : byte >> 4) - half_at(b + 2) * minimum;
  }
  const int part = i % 128 / 32, l = i % 32, base = i / 128;
  const uint8_t low = b[base * 64 + (part & 1) * 32 + l], high = b[128 + base * 32 + l];
  const int q = ((part < 2 ? low & 15 : low >> 4) | ((high >> (2 * part)) & 3) << 4) - 32;
  return half_at(b + 208) * int8_t(b[192 + i / 16]) * q;
}

int compare(const char* name, const std::vector<uint8_t>& whole, const PackedMatrix& form,
            const std::vector<double>& want) {
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
int pack_both_ways(const char* name, const PackForm& form, const uint8_t* const* parts,
                   const std::vector<size_t>& sizes, const int32_t* map, std::vector<uint8_t>& out) {
  auto pieces = out;
  std::fill(out.begin(), out.end(), 0xAA);
  std::fill(pieces.begin(), pieces.end(), 0x55);
  const int64_t panels = (form.N + 15) / 16;
  const char* problem = pack_problem(form, sizes.data(), int(sizes.size()), out.size());
  if (!problem) {
    pack_rows(form, parts, map, 0, panels, out.data());
    for (int64_t p = panels; p-- > 0;) pack_rows(form, parts, map, p, p + 1, pieces.data());
    if (pieces == out) return 0;
  }
  printf("  FAILED pack %s: %s\n", name, problem ? problem : "panels depend on the range packed");
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
    failures += pack_both_ways(f.name, {f.code, form.form, N, K}, parts, {in.size()}, m, out);
    std::vector<double> want;
    for (int64_t n = 0; n < N; n++)
      for (int64_t k = 0; k < K; k++)
        want.push_back(source_value(f, in.data() + (m ? m[n] : n) * (K / f.columns * f.bytes), k));
    failures += compare(f.name, out, form, want);
  }
  return failures;
}

// A stream of bits, with scales and minimums in matrices of their own.
int words(int layout, int group, int meta, Random& random) {
  const int64_t N = 21, K = 384, groups = K / group;
  const int bits = traits(layout).bits, size = scale_bytes(meta);
  std::vector<uint8_t> codes(N * K * bits / 8), scales(N * groups * size), minimums(scales.size());
  for (auto& b : codes) b = uint8_t(random.bits());
  for (auto* v : {&scales, &minimums})
    for (int64_t i = 0; i < N * groups; i++) put_scale(v->data(), i, meta, random.uniform(0.01f, 1), random);
  const PackedMatrix form(layout, N, K, group, meta, random);
  std::vector<uint8_t> out(form.bytes.size());
  const uint8_t* parts[] = {codes.data(), scales.data(), minimums.data()};
  int failures = pack_both_ways("words", {9, form.form, N, K}, parts,
                                {codes.size(), scales.size(), minimums.size()}, nullptr, out);
  std::vector<double> want;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) {
      int q = 0;
      for (int64_t i = 0, at = (n * K + k) * bits; i < bits; i++, at++)
        q |= (codes[at / 8] >> (at % 8) & 1) << i;
      want.push_back(scale_value(scales.data(), n * groups + k / group, meta) * q +
                     scale_value(minimums.data(), n * groups + k / group, meta));
    }
  return failures + compare("words", out, form, want);
}

int refused(const char* what, const PackForm& form, std::vector<size_t> sizes, size_t bytes) {
  if (pack_problem(form, sizes.data(), int(sizes.size()), bytes)) return 0;
  printf("  FAILED pack: %s was accepted\n", what);
  return 1;
}

}  // namespace

int run_pack_tests() {
  Random random(5);
  int failures = 0;
  for (const Format& f : kFormats) failures += block_format(f, random);
  for (int layout : {kQ2A, kQ3A, kQ4A, kQ5A, kQ6A, kQ8A})
    for (int group : {32, 64, 128})
      for (int meta : {dF32, dF16, dBF16}) failures += words(layout, group, meta, random);
  LayoutForm q4{}, q4a{}, q4k{};
  read_layout(q4, kQ4, 32, dF16), read_layout(q4a, kQ4A, 64, dF16), read_layout(q4k, kQ4K, 32, dF16);
  failures += refused("an unknown source", {6, q4, 16, 32}, {16 * 18}, 320);
  failures += refused("K that is no multiple", {3, q4, 16, 33}, {16 * 18}, 320);
  failures += refused("another layout", {3, q4a, 16, 64}, {16 * 36}, 640);
  failures += refused("a short part", {3, q4, 16, 32}, {16 * 18 - 1}, 320);
  failures += refused("a missing part", {9, q4a, 16, 64}, {16 * 32, 32}, 576);
  failures += refused("words with steps", {9, q4k, 16, 256}, {16 * 128, 32}, 2368);
  printf("pack   %d failures\n", failures);
  return failures;
}

}  // namespace ingot::tests
