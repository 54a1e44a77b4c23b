// Repacking source rows into panels. Blocks are taken a few at a time so that the lines written stay in the
// first-level cache.
#include "pack.h"

#include <type_traits>

#include "pack_formats.h"

namespace ingot {

namespace {

constexpr int kLanes = 16;

// Source codes that are no block format: floats have those of their dtype.
enum SourceCode { kWords = 9, kCodes = 10 };

// Calls f.operator()<F>() for the block format of a source code; false when there is none.
template <class Fn>
bool with_block_format(int source, const Fn& f) {
  switch (source) {
    case 3: return f.template operator()<Q4_0>(), true;
    case 4: return f.template operator()<Q4_1>(), true;
    case 5: return f.template operator()<Q8_0>(), true;
    case 7: return f.template operator()<Q4_K>(), true;
    case 8: return f.template operator()<Q6_K>(), true;
    case 11: return f.template operator()<Q5_0>(), true;
    case 12: return f.template operator()<Q5_1>(), true;
    case 13: return f.template operator()<Q2_K>(), true;
    case 14: return f.template operator()<Q3_K>(), true;
    case 15: return f.template operator()<Q5_K>(), true;
    case 16: return f.template operator()<IQ4_NL>(), true;
    case 17: return f.template operator()<IQ4_XS>(), true;
    case 18: return f.template operator()<MXFP4>(), true;
    case 19: return f.template operator()<NVFP4>(), true;
  }
  return false;
}

// Calls f.operator()<Bits>() for the width of a quantised layout's codes.
template <class Fn>
void with_bits(int bits, const Fn& f) {
  switch (bits) {
    case 2: return f.template operator()<2>();
    case 3: return f.template operator()<3>();
    case 4: return f.template operator()<4>();
    case 5: return f.template operator()<5>();
    case 6: return f.template operator()<6>();
    case 8: return f.template operator()<8>();
  }
  __builtin_trap();  // the table of layouts has another width
}

struct Rows {
  const PackForm& form;
  const uint8_t* const* parts;
  const int32_t* map;
  int64_t operator()(int64_t i) const { return map ? map[i] : i; }
};

// One panel being written: its regions, and the source rows of its lanes.
struct Panel {
  uint8_t *codes, *meta;
  int lanes;
  int64_t row[kLanes];
};

// Calls fill(panel) for each; what no lane writes is zero.
template <class Fill>
void each_panel(const Rows& rows, int64_t begin, int64_t end, uint8_t* out, const Fill& fill) {
  const auto& [source, layout, N, K] = rows.form;
  const int64_t bytes = layout.panel_bytes(K), codes = layout.codes_bytes(K),
                used = codes + layout.meta_bytes(K);
  for (int64_t p = begin; p < end; p++) {
    uint8_t* at = out + p * bytes;
    Panel panel{at, at + codes, N - p * kLanes < kLanes ? int(N - p * kLanes) : kLanes, {}};
    for (int r = 0; r < panel.lanes; r++) panel.row[r] = rows(p * kLanes + r);
    if (panel.lanes < kLanes) memset(at, 0, size_t(bytes));
    else memset(at + used, 0, size_t(bytes - used));
    fill(panel);
  }
}

template <class F>
void pack_blocks(const Rows& rows, int64_t begin, int64_t end, uint8_t* out) {
  const LayoutForm& layout = rows.form.layout;
  const int64_t blocks = rows.form.K / F::columns, step = F::columns == 256 ? 1 : 8;
  const int64_t codes = F::columns / 32 * F::block, meta = layout.meta_bytes(F::columns);
  each_panel(rows, begin, end, out, [&](const Panel& p) {
    for (int64_t b0 = 0; b0 < blocks; b0 += step)
      for (int r = 0; r < p.lanes; r++) {
        const uint8_t* row = rows.parts[0] + p.row[r] * blocks * F::bytes;
        for (int64_t b = b0; b < b0 + step && b < blocks; b++)
          F::read(row + b * F::bytes, r, p.codes + b * codes, p.meta + b * meta);
      }
  });
}

// 32 codes of a stream of bits, lowest first, as words of four.
template <int Bits>
void read_words(const uint8_t* s, uint32_t (&n)[8]) {
  for (int i = 0; i < 4; i++, s += Bits) {
    uint64_t x = 0;  // eight codes are as many bytes as a code has bits
    memcpy(&x, s, Bits);
    for (int h = 0; h < 2; h++) {
      uint32_t w = 0;
      for (int j = 0; j < 4; j++) w |= uint32_t(x >> ((4 * h + j) * Bits) & ((1 << Bits) - 1)) << (8 * j);
      n[2 * i + h] = w;
    }
  }
}

// Streams of bits; scales and minimums come as matrices of their own.
template <int Bits>
void pack_words(const Rows& rows, int64_t begin, int64_t end, uint8_t* out) {
  const LayoutForm& layout = rows.form.layout;
  const int64_t blocks = rows.form.K / 32, groups = rows.form.K / layout.group;
  const int fields = layout.fields(), size = scale_bytes(layout.scale);
  each_panel(rows, begin, end, out, [&](const Panel& p) {
    for (int64_t b0 = 0; b0 < blocks; b0 += 8)
      for (int r = 0; r < p.lanes; r++) {
        const uint8_t* row = rows.parts[0] + p.row[r] * blocks * (4 * Bits);
        for (int64_t b = b0; b < b0 + 8 && b < blocks; b++) {
          uint32_t n[8];
          read_words<Bits>(row + b * (4 * Bits), n);
          put_codes<Bits>(n, r, p.codes + b * (64 * Bits));
        }
      }
    for (int r = 0; r < p.lanes; r++)
      for (int f = 0; f < fields; f++) {
        const uint8_t* row = rows.parts[1 + f] + p.row[r] * groups * size;
        for (int64_t g = 0; g < groups; g++)
          memcpy(p.meta + (g * fields + f) * (16 * size) + r * size, row + g * size, size_t(size));
      }
  });
}

// Codes a byte each, and meta records of one lane each: what JavaScript makes of formats that have no reader
// here.
template <int Bits>
void pack_codes(const Rows& rows, int64_t begin, int64_t end, uint8_t* out) {
  const LayoutForm& layout = rows.form.layout;
  const int64_t K = rows.form.K, records = K / layout.record_columns(), lane = layout.lane_bytes();
  const int fields = layout.fields(), size = scale_bytes(layout.scale);
  each_panel(rows, begin, end, out, [&](const Panel& p) {
    for (int r = 0; r < p.lanes; r++) {
      const uint8_t* row = rows.parts[0] + p.row[r] * K;
      for (int64_t b = 0; b < K / 32; b++) {
        uint32_t n[8];
        for (int i = 0; i < 8; i++) n[i] = word(row + 32 * b + 4 * i);
        put_codes<Bits>(n, r, p.codes + b * (64 * Bits));
      }
      const uint8_t* meta = rows.parts[1] + p.row[r] * records * lane;
      for (int64_t i = 0; i < records; i++, meta += lane) {
        uint8_t* record = p.meta + i * 16 * lane;
        for (int f = 0; f < fields; f++)
          memcpy(record + 16 * f * size + r * size, meta + f * size, size_t(size));
        for (int64_t s = fields * size; s < lane; s++) record[16 * s + r] = meta[s];
      }
    }
  });
}

// Element k of lane r goes to slot(k, r); T is f32 or 16 bits.
template <class T, bool Pairs>
void pack_floats(const Rows& rows, int64_t begin, int64_t end, uint8_t* out) {
  const int64_t K = rows.form.K;
  each_panel(rows, begin, end, out, [&](const Panel& p) {
    T* panel = reinterpret_cast<T*>(p.codes);
    if (Pairs && K % 2) memset(panel + (K - 1) * kLanes, 0, 2 * kLanes * sizeof(T));
    for (int64_t k0 = 0; k0 < K; k0 += 64)
      for (int r = 0; r < p.lanes; r++) {
        const uint8_t* row = rows.parts[0] + p.row[r] * K * int64_t(sizeof(T));
        for (int64_t k = k0; k < k0 + 64 && k < K; k++)
          memcpy(panel + (Pairs ? k / 2 * 32 + r * 2 + (k & 1) : k * kLanes + r), row + k * sizeof(T),
                 sizeof(T));
      }
  });
}

// Parts of a source and bytes of a row of each; what is wrong when the source cannot become the layout.
struct Parts {
  int count = 1;
  int64_t row_bytes[3] = {0, 0, 0};
};

const char* read_parts(const PackForm& form, Parts& parts) {
  const LayoutForm& layout = form.layout;
  const LayoutTraits& t = layout.t();
  if (form.source >= dF32 && form.source <= dBF16) {
    parts.row_bytes[0] = form.K * scale_bytes(form.source);
    return layout.code == form.source ? nullptr : "floats are packed as they are";
  }
  if (form.source == kWords || form.source == kCodes) {
    if (t.bits == 0) return "the layout has no codes";
    if (form.source == kWords) {
      if (t.steps) return "words have no steps";
      parts.count = 1 + layout.fields();
      parts.row_bytes[0] = form.K * t.bits / 8;
      parts.row_bytes[1] = parts.row_bytes[2] = form.K / layout.group * scale_bytes(layout.scale);
    } else {
      parts = {2, {form.K, form.K / layout.record_columns() * layout.lane_bytes(), 0}};
    }
    return nullptr;
  }
  const char* problem = "unknown source format";
  with_block_format(form.source, [&]<class F>() {
    problem = !F::fits(layout)      ? "the source is packed into another layout"
              : form.K % F::columns ? "K is not a multiple of the block"
                                    : nullptr;
    parts.row_bytes[0] = form.K / F::columns * F::bytes;
  });
  return problem;
}

}  // namespace

const char* pack_problem(const PackForm& form, const size_t* sizes, int parts, size_t out_bytes) {
  const auto& [source, layout, N, K] = form;
  if (N <= 0 || K <= 0 || N > (int64_t(1) << 32) || K > (int64_t(1) << 32)) return "bad matrix size";
  if (K % layout.column_multiple()) return "K is not a multiple of the layout's group";
  Parts expected;
  if (const char* problem = read_parts(form, expected)) return problem;
  if (parts != expected.count) return "the source has another number of parts";
  for (int i = 0; i < parts; i++)
    if (int64_t(sizes[i]) != N * expected.row_bytes[i]) return "a source part has the wrong size";
  return int64_t(out_bytes) == (N + kLanes - 1) / kLanes * layout.panel_bytes(K)
             ? nullptr
             : "the packed size does not fit the matrix";
}

void pack_rows(const PackForm& form, const uint8_t* const* parts, const int32_t* rowMap, int64_t begin,
               int64_t end, uint8_t* out) {
  const Rows rows{form, parts, rowMap};
  if (form.source == dF32) return pack_floats<uint32_t, false>(rows, begin, end, out);
  if (form.source == dF16) return pack_floats<uint16_t, false>(rows, begin, end, out);
  if (form.source == dBF16) return pack_floats<uint16_t, true>(rows, begin, end, out);
  if (form.source == kWords)
    return with_bits(form.layout.t().bits, [&]<int Bits>() { pack_words<Bits>(rows, begin, end, out); });
  if (form.source == kCodes)
    return with_bits(form.layout.t().bits, [&]<int Bits>() { pack_codes<Bits>(rows, begin, end, out); });
  with_block_format(form.source, [&]<class F>() { pack_blocks<F>(rows, begin, end, out); });
}

}  // namespace ingot
