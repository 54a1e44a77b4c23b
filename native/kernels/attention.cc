// Causal attention over an f32 or f16 cache with online softmax. Few rows, or the only row of a sequence: the keys are
// split over the workers and the partial results merged in a fixed order. Many rows: blocks of queries against tiles of
// keys, in f32 registers. One dispatch may hold rows of both kinds.
#include <algorithm>

#include "matmul_f32.h"
#include "pages.h"
#include "vec_math.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxRows = 16384;      // what the plan of a dispatch has room for in scratch
constexpr int64_t kFewRows = 4;          // up to here the split-key path is used
constexpr int64_t kSplitItems = 64;      // wanted number of (kv head, key range) items; fixed, so results do not depend on threads
constexpr int64_t kMinSplit = 64;        // keys
constexpr int64_t kScoreKeys = 256;      // keys whose scores are held at once in the split-key path
constexpr int64_t kScoreStride = kScoreKeys + kW;  // dot_keys writes up to a vector beyond the last key
constexpr int64_t kBlockQueries = 96;    // queries (row, head) of one block; a multiple of kTileVecs * kW at every level
constexpr int64_t kBlockKeys = 128;
constexpr float kNoScore = -1e30f;       // below every score; finite, so that differences stay defined

struct Attention {
  const float* q;
  const uint8_t *k, *v;
  const int32_t* positions;
  const float* sinks;  // may be null
  float* y;
  const int32_t *sequences, *page_table;  // null: one sequence, slot = position or ring
  const int32_t* pages;                   // of the sequence that is looked at
  int64_t rows, H, Hkv, Dh, cap, window, ring, G, S, max_pages;
  bool half;
  float scale, softcap;

  explicit Attention(const Args& a)
      : q(a.bufs[0].as<float>()), k(a.bufs[1].data), v(a.bufs[2].data), positions(a.bufs[3].as<int32_t>()),
        sinks(a.bufs[4].bytes ? a.bufs[4].as<float>() : nullptr), y(a.bufs[5].as<float>()),
        sequences(a.bufs[6].bytes ? a.bufs[6].as<int32_t>() : nullptr), page_table(a.bufs[7].as<int32_t>()), pages(nullptr),
        rows(a.i(0)), H(a.i(1)), Hkv(a.i(2)), Dh(a.i(3)), cap(a.i(4)), window(a.i(7)), ring(a.i(9)), G(H / Hkv), S(a.i(10)), max_pages(a.i(11)),
        half(a.i(5) == 1), scale(a.f(6)), softcap(a.f(8)) {}

  int64_t element() const { return half ? 2 : 4; }
  int64_t last_key(int64_t row) const { return positions[row] + 1; }  // exclusive
  int64_t first_key(int64_t row) const {
    int64_t lo = 0;
    if (window > 0) lo = max64(lo, positions[row] - window + 1);
    if (ring > 0) lo = max64(lo, positions[row] - ring + 1);
    return lo;
  }
  // The same, looking at the keys of this row's sequence.
  Attention at_row(int64_t row) const {
    Attention a = *this;
    if (sequences) a.pages = page_table + sequences[row] * max_pages;
    return a;
  }
  // Address of the slot of key j of a kv head, and how many keys from j on (at most n) follow it in memory.
  const uint8_t* at(const uint8_t* cache, int64_t head, int64_t j) const {
    const int64_t slot = pages ? pages[j / kPage] * kPage + j % kPage : ring > 0 ? j % ring : j;
    return cache + (head * cap + slot) * Dh * element();
  }
  int64_t run(int64_t j, int64_t n) const {
    if (!pages) return ring > 0 ? min64(n, ring - j % ring) : n;
    int64_t count = kPage - j % kPage;
    for (int64_t page = j / kPage; count < n && pages[page + 1] == pages[page] + 1; page++) count += kPage;
    return min64(n, count);
  }
  bool paged_row_ok(Ctx& ctx, int64_t r) const {
    if (sequences[r] < 0 || sequences[r] >= S) {
      if (ctx.tid == 0) ctx.fail("attention: sequence %d of row %lld is outside 0 ... %lld", sequences[r], (long long)r, (long long)(S - 1));
      return false;
    }
    if (positions[r] < 0 || positions[r] >= max_pages * kPage) {
      if (ctx.tid == 0) ctx.fail("attention: position %d of row %lld is outside %lld pages", positions[r], (long long)r, (long long)max_pages);
      return false;
    }
    const int32_t* table = page_table + sequences[r] * max_pages;
    for (int64_t page = first_key(r) / kPage; page <= positions[r] / kPage; page++) {
      if (table[page] >= 0 && table[page] < cap / kPage) continue;
      if (ctx.tid == 0) ctx.fail("attention: page %lld of sequence %d, which row %lld sees, is %d of %lld", (long long)page, sequences[r], (long long)r, table[page], (long long)(cap / kPage));
      return false;
    }
    return true;
  }
  bool positions_ok(Ctx& ctx) const {
    for (int64_t r = 0; r < rows; r++) {
      if (sequences) {
        // The pages that a run of rows sees are those of its first and last row.
        const bool inside = r > 0 && r + 1 < rows && sequences[r] == sequences[r - 1] && sequences[r] == sequences[r + 1] &&
                            positions[r - 1] < positions[r] && positions[r] < positions[r + 1];
        if (!inside && !paged_row_ok(ctx, r)) return false;
        continue;
      }
      if (positions[r] >= 0 && (ring > 0 || positions[r] < cap)) continue;
      if (ctx.tid == 0) ctx.fail("attention: position %d of row %lld is outside the cache of %lld slots", positions[r], (long long)r, (long long)cap);
      return false;
    }
    return true;
  }
};

template <bool Half> INGOT_INLINE vf load_kv(const uint8_t* p, int64_t i) {
  if constexpr (Half) return load_f16(reinterpret_cast<const uint16_t*>(p) + i);
  return load(reinterpret_cast<const float*>(p) + i);
}
template <bool Half> INGOT_INLINE vf load_kv_n(const uint8_t* p, int64_t i, int n) {
  if constexpr (Half) return load_f16_n(reinterpret_cast<const uint16_t*>(p) + i, n);
  return load_n(reinterpret_cast<const float*>(p) + i, n);
}

// ---- few rows -------------------------------------------------------------------------------------------------

constexpr int lanes_for(int group) { return group == 3 ? 4 : group; }
#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int kValueVecs = 2;
#else
constexpr int kValueVecs = 4;
#endif

// scores[g * kScoreStride + j] = q[g] . k[j] for n keys that follow each other in memory. q is padded with zeros to ldq.
template <bool Half, int GQ>
void dot_keys(const float* q, int64_t ldq, const uint8_t* k, int64_t Dh, int64_t n, float* scores) {
  constexpr int kKeys = kW / lanes_for(GQ);
  const int64_t row = Dh * (Half ? 2 : 4), full = Dh / kW * kW;
  const int tail = int(Dh - full);
  for (int64_t j = 0; j < n; j += kKeys) {
    const int live = int(min64(kKeys, n - j));
    const uint8_t* key[kKeys];
    for (int i = 0; i < kKeys; i++) key[i] = k + (j + min64(i, live - 1)) * row;
    vf acc[kW] = {};
    for (int64_t d = 0; d < full; d += kW) {
      vf qv[GQ];
      for (int g = 0; g < GQ; g++) qv[g] = load(q + g * ldq + d);
      for (int i = 0; i < kKeys; i++) {
        const vf kv = load_kv<Half>(key[i], d);
        for (int g = 0; g < GQ; g++) acc[g * kKeys + i] += qv[g] * kv;
      }
    }
    if (tail) {
      for (int i = 0; i < kKeys; i++) {
        const vf kv = load_kv_n<Half>(key[i], full, tail);
        for (int g = 0; g < GQ; g++) acc[g * kKeys + i] += load(q + g * ldq + full) * kv;
      }
    }
    float sums[kW];
    store(sums, sum_each(acc));
    for (int g = 0; g < GQ; g++)
      for (int i = 0; i < kKeys; i++) scores[g * kScoreStride + j + i] = sums[g * kKeys + i];
  }
}

// out[g * ldo + d] += sum over j of p[g * kScoreStride + j] * v[j][d].
template <bool Half, int GQ>
void add_values(const float* p, const uint8_t* v, int64_t Dh, int64_t n, float* out, int64_t ldo) {
  const int64_t row = Dh * (Half ? 2 : 4);
  int64_t d = 0;
  for (; d + kValueVecs * kW <= Dh; d += kValueVecs * kW) {
    vf acc[GQ][kValueVecs];
    for (int g = 0; g < GQ; g++)
      for (int i = 0; i < kValueVecs; i++) acc[g][i] = load(out + g * ldo + d + i * kW);
    for (int64_t j = 0; j < n; j++) {
      vf x[kValueVecs];
      for (int i = 0; i < kValueVecs; i++) x[i] = load_kv<Half>(v + j * row, d + i * kW);
      for (int g = 0; g < GQ; g++) {
        const vf w = set1(p[g * kScoreStride + j]);
        for (int i = 0; i < kValueVecs; i++) acc[g][i] += w * x[i];
      }
    }
    for (int g = 0; g < GQ; g++)
      for (int i = 0; i < kValueVecs; i++) store(out + g * ldo + d + i * kW, acc[g][i]);
  }
  for (; d < Dh; d += kW) {
    const int lanes = int(min64(kW, Dh - d));
    vf acc[GQ];
    for (int g = 0; g < GQ; g++) acc[g] = load(out + g * ldo + d);
    for (int64_t j = 0; j < n; j++) {
      const vf x = lanes == kW ? load_kv<Half>(v + j * row, d) : load_kv_n<Half>(v + j * row, d, lanes);
      for (int g = 0; g < GQ; g++) acc[g] += set1(p[g * kScoreStride + j]) * x;
    }
    for (int g = 0; g < GQ; g++) store(out + g * ldo + d, acc[g]);
  }
}

// Scores to weights in place, n of them; updates the running maximum and sum, returns the factor for what came before.
float softmax_step(float* s, int64_t n, float softcap, float& m, float& l) {
  for (int64_t j = n; j % kW != 0; j++) s[j] = kNoScore;
  vf top = set1(m);
  for (int64_t j = 0; j < n; j += kW) {
    vf x = load(s + j);
    if (softcap > 0) {
      x = vtanh(x / softcap) * softcap;
      if (j + kW > n) x = pick(first_lanes(int(n - j)), x, set1(kNoScore));
      store(s + j, x);
    }
    top = vmax(top, x);
  }
  const float next = hmax(top);
  vf sum{};
  for (int64_t j = 0; j < n; j += kW) {
    const vf e = vexp_nonpositive(load(s + j) - next);
    store(s + j, e);
    sum += e;
  }
  const float factor = m <= kNoScore ? 0.f : std::exp(m - next);
  m = next;
  l = l * factor + hsum(sum);
  return factor;
}

// One head group over keys [lo, hi): m[g], l[g], out[g * ldo].
template <bool Half, int GQ>
void attend_range(const Attention& a, const float* q, int64_t ldq, int64_t head, int64_t lo, int64_t hi, float* scores,
                  float* m, float* l, float* out, int64_t ldo) {
  for (int64_t j = lo; j < hi; j += kScoreKeys) {
    const int64_t n = min64(kScoreKeys, hi - j);
    for (int64_t i = 0, c; i < n; i += c) dot_keys<Half, GQ>(q, ldq, a.at(a.k, head, j + i), a.Dh, c = a.run(j + i, n - i), scores + i);
    for (int g = 0; g < GQ; g++) {
      const float factor = softmax_step(scores + g * kScoreStride, n, a.softcap, m[g], l[g]);
      if (factor != 1.f)
        for (int64_t d = 0; d < ldo; d += kW) store(out + g * ldo + d, load(out + g * ldo + d) * factor);
    }
    for (int64_t i = 0, c; i < n; i += c) add_values<Half, GQ>(scores + i, a.at(a.v, head, j + i), a.Dh, c = a.run(j + i, n - i), out, ldo);
  }
}

template <bool Half>
void attend_group(const Attention& a, int group, const float* q, int64_t ldq, int64_t head, int64_t lo, int64_t hi,
                  float* scores, float* m, float* l, float* out, int64_t ldo) {
  switch (group) {
    case 1: return attend_range<Half, 1>(a, q, ldq, head, lo, hi, scores, m, l, out, ldo);
    case 2: return attend_range<Half, 2>(a, q, ldq, head, lo, hi, scores, m, l, out, ldo);
    case 3: return attend_range<Half, 3>(a, q, ldq, head, lo, hi, scores, m, l, out, ldo);
    default: return attend_range<Half, 4>(a, q, ldq, head, lo, hi, scores, m, l, out, ldo);
  }
}

int64_t padded(int64_t n) { return ceil_div(n, kW) * kW; }
int64_t max_splits(int64_t Hkv) { return max64(1, ceil_div(kSplitItems, Hkv)); }

// A group of rows that are attended to by splits of their keys: rows of one sequence that few, or one row of a paged one.
// Its partial results, {m, l} and a padded vector per (kv head, split, row, group member), start at `partials`.
struct Group {
  int64_t row, rows, lo, hi, length, splits, items, partials;

  Group(const Attention& a, int64_t row, int64_t rows, int64_t partials) : row(row), rows(rows), lo(INT64_MAX), hi(0), partials(partials) {
    for (int64_t r = row; r < row + rows; r++) {
      lo = min64(lo, a.first_key(r));
      hi = max64(hi, a.last_key(r));
    }
    length = max64(kMinSplit, ceil_div(ceil_div(hi - lo, max_splits(a.Hkv)), 16) * 16);
    splits = ceil_div(hi - lo, length);
    items = a.Hkv * splits;
  }
  int64_t results(const Attention& a) const { return items * rows * a.G; }
  int64_t result(const Attention& a, int64_t head, int64_t split, int64_t r, int64_t g) const {
    return partials + ((head * splits + split) * rows + r) * a.G + g;
  }
};

struct Partials {
  float* base;
  int64_t ld;
  float* stats(int64_t result) const { return base + result * (ld + kW); }
  float* values(int64_t result) const { return stats(result) + kW; }
};

void merge(const Attention& a, const Partials& parts, const Group& group, int64_t r, int64_t h) {
  const int64_t head = h / a.G, g = h % a.G;
  const auto result = [&](int64_t s) { return group.result(a, head, s, r, g); };
  float top = a.sinks ? a.sinks[h] : kNoScore;
  for (int64_t s = 0; s < group.splits; s++) top = std::max(top, parts.stats(result(s))[0]);
  float total = a.sinks ? std::exp(a.sinks[h] - top) : 0.f;
  float weight[kSplitItems];
  for (int64_t s = 0; s < group.splits; s++) {
    const float* st = parts.stats(result(s));
    weight[s] = st[1] > 0 ? std::exp(st[0] - top) : 0.f;
    total += weight[s] * st[1];
  }
  const float inverse = total > 0 ? 1.f / total : 0.f;
  float* y = a.y + ((group.row + r) * a.H + h) * a.Dh;
  for (int64_t d = 0; d < a.Dh; d += kW) {
    vf sum{};
    for (int64_t s = 0; s < group.splits; s++) sum += load(parts.values(result(s)) + d) * weight[s];
    const int lanes = int(min64(kW, a.Dh - d));
    store_some(y + d, sum * inverse, lanes);
  }
}

// Asks for an item's keys or values: items are too short for the hardware to find their streams in time.
void fetch_item(const Attention& a, const uint8_t* cache, const Group& group, int64_t item) {
  const int64_t head = item / group.splits, first = group.lo + item % group.splits * group.length;
  if (head >= a.Hkv || first >= group.hi) return;
  const int64_t n = a.run(first, min64(group.length, group.hi - first)) * a.Dh * a.element();
  const uint8_t* p = a.at(cache, head, first);
  for (int64_t i = 0; i < min64(n, 16384); i += 64) __builtin_prefetch(p + i, 0, 2);
}

// One split of one kv head, for all rows of the group.
void run_split(const Attention& a, const Group& group, int64_t item, const Partials& parts, uint8_t* scratch) {
  const int64_t head = item / group.splits, split = item % group.splits, ld = parts.ld;
  float* scores = reinterpret_cast<float*>(scratch);
  float* q = scores + 4 * kScoreStride;
  float* out = q + 4 * ld;
  for (int64_t r = 0; r < group.rows; r++) {
    const int64_t row = group.row + r;
    const int64_t first = max64(group.lo + split * group.length, a.first_key(row));
    const int64_t last = min64(min64(group.lo + (split + 1) * group.length, group.hi), a.last_key(row));
    for (int64_t g0 = 0; g0 < a.G; g0 += 4) {
      const int members = int(min64(4, a.G - g0));
      float m[4] = {kNoScore, kNoScore, kNoScore, kNoScore}, l[4] = {};
      std::memset(q, 0, size_t(8 * ld) * 4);
      for (int g = 0; g < members; g++)
        for (int64_t d = 0; d < a.Dh; d++) q[g * ld + d] = a.q[(row * a.H + head * a.G + g0 + g) * a.Dh + d] * a.scale;
      if (a.half) attend_group<true>(a, members, q, ld, head, first, last, scores, m, l, out, ld);
      else attend_group<false>(a, members, q, ld, head, first, last, scores, m, l, out, ld);
      for (int g = 0; g < members; g++) {
        float* st = parts.stats(group.result(a, head, split, r, g0 + g));
        st[0] = m[g];
        st[1] = l[g];
        std::memcpy(st + kW, out + g * ld, size_t(ld) * 4);
      }
    }
  }
}

// ---- many rows ------------------------------------------------------------------------------------------------

// Everything of one block is kept with the queries along the vector lanes: q^T, scores^T and out^T.
struct Block {
  float *qt, *ot, *scores, *keys, *values;
  float m[kBlockQueries], l[kBlockQueries];
  int32_t lo[kBlockQueries], hi[kBlockQueries];  // visible keys of each query
};

void load_tile(const Attention& a, const uint8_t* cache, int64_t head, int64_t j, int64_t n, float* out) {
  for (int64_t i = 0; i < n;) {
    const int64_t count = a.run(j + i, n - i), elements = count * a.Dh;
    const uint8_t* from = a.at(cache, head, j + i);
    float* to = out + i * a.Dh;
    if (!a.half) {
      std::memcpy(to, from, size_t(elements) * 4);
    } else {
      const auto* h = reinterpret_cast<const uint16_t*>(from);
      int64_t e = 0;
      for (; e + kW <= elements; e += kW) store(to + e, load_f16(h + e));
      if (e < elements) store_n(to + e, load_f16_n(h + e, int(elements - e)), int(elements - e));
    }
    i += count;
  }
}

const float* query_row(const Attention& a, const float* base, int64_t head, int64_t query) {
  return base + ((query / a.G) * a.H + head * a.G + query % a.G) * a.Dh;
}

void load_queries(const Attention& a, int64_t head, int64_t q0, int64_t n, Block& b) {
  for (int64_t i0 = 0; i0 < kBlockQueries; i0 += kW) {
    for (int64_t d0 = 0; d0 < a.Dh; d0 += kW) {
      const int lanes = int(min64(kW, a.Dh - d0));
      vf v[kW];
      for (int i = 0; i < kW; i++) {
        const float* from = i0 + i < n ? query_row(a, a.q, head, q0 + i0 + i) + d0 : nullptr;
        v[i] = from == nullptr ? vf{} : load_some(from, lanes) * a.scale;
      }
      transpose(v);
      for (int d = 0; d < lanes; d++) store(b.qt + (d0 + d) * kBlockQueries + i0, v[d]);
    }
  }
}

void store_outputs(const Attention& a, int64_t head, int64_t q0, int64_t n, Block& b) {
  for (int64_t i = 0; i < n; i++) {
    if (a.sinks == nullptr) continue;
    const float sink = a.sinks[head * a.G + (q0 + i) % a.G];
    const float top = std::max(sink, b.m[i]);
    const float factor = b.m[i] <= kNoScore ? 0.f : std::exp(b.m[i] - top);
    // out / (l + e^(sink - m)), written without overflow when the sink is far above the scores
    b.l[i] = factor > 0 ? b.l[i] + std::exp(sink - top) / factor : __builtin_inff();
  }
  for (int64_t i0 = 0; i0 < n; i0 += kW) {
    const vf l = load(b.l + i0);
    const vf inverse = pick(l > set1(0), 1.f / l, set1(0));
    for (int64_t d0 = 0; d0 < a.Dh; d0 += kW) {
      const int lanes = int(min64(kW, a.Dh - d0));
      vf v[kW] = {};
      for (int d = 0; d < lanes; d++) v[d] = load(b.ot + (d0 + d) * kBlockQueries + i0) * inverse;
      transpose(v);
      for (int i = 0; i < int(min64(kW, n - i0)); i++) {
        float* to = const_cast<float*>(query_row(a, a.y, head, q0 + i0 + i)) + d0;
        store_some(to, v[i], lanes);
      }
    }
  }
}

// Scores of one tile to weights for one vector of queries; rescales what has been accumulated for them.
template <bool Masked>
INGOT_INLINE void softmax_tile(const Attention& a, Block& b, int64_t i0, int64_t j0, int64_t n) {
  float* s = b.scores + i0;
  const vi lo = loadi(b.lo + i0), hi = loadi(b.hi + i0);
  const vf before = load(b.m + i0);
  vf top = before;
  for (int64_t j = 0; j < n; j++) {
    vf x = load(s + j * kBlockQueries);
    if (a.softcap > 0) x = vtanh(x / a.softcap) * a.softcap;
    if constexpr (Masked) {
      const vi key = set1i(int32_t(j0 + j));
      x = pick((key >= lo) & (key < hi), x, set1(2 * kNoScore));
    }
    if (Masked || a.softcap > 0) store(s + j * kBlockQueries, x);
    top = vmax(top, x);
  }
  vf sum{};
  for (int64_t j = 0; j < n; j++) {
    const vf e = vexp_nonpositive(load(s + j * kBlockQueries) - top);
    store(s + j * kBlockQueries, e);
    sum += e;
  }
  vf l = load(b.l + i0);
  if (any(top > before)) {
    const vf factor = vexp_nonpositive(before - top);
    l *= factor;
    for (int64_t d = 0; d < a.Dh; d++) {
      float* o = b.ot + d * kBlockQueries + i0;
      store(o, load(o) * factor);
    }
    store(b.m + i0, top);
  }
  store(b.l + i0, l + sum);
}

void run_block(const Attention& a, int64_t head, int64_t q0, int64_t n, Block& b) {
  const int64_t vecs = ceil_div(n, kW);
  int64_t lo = INT64_MAX, hi = 0, all_lo = 0, all_hi = INT64_MAX;  // keys seen by any, keys seen by all
  for (int64_t i = 0; i < vecs * kW; i++) {
    const int64_t row = (q0 + min64(i, n - 1)) / a.G;
    b.lo[i] = int32_t(a.first_key(row));
    b.hi[i] = int32_t(a.last_key(row));
    b.m[i] = kNoScore;
    b.l[i] = 0;
    lo = min64(lo, b.lo[i]);
    hi = max64(hi, b.hi[i]);
    all_lo = max64(all_lo, b.lo[i]);
    all_hi = min64(all_hi, b.hi[i]);
  }
  load_queries(a, head, q0, n, b);
  std::memset(b.ot, 0, size_t(a.Dh * kBlockQueries) * 4);
  for (int64_t j = lo / kBlockKeys * kBlockKeys; j < hi; j += kBlockKeys) {
    const int64_t start = max64(j, lo), keys = min64(j + kBlockKeys, hi) - start;
    load_tile(a, a.k, head, start, keys, b.keys);
    gemm_block(b.keys, a.Dh, 1, b.qt, kBlockQueries, b.scores, kBlockQueries, keys, vecs, a.Dh, false);
    const bool masked = start < all_lo || start + keys > all_hi;
    for (int64_t v = 0; v < vecs; v++) {
      if (masked) softmax_tile<true>(a, b, v * kW, start, keys);
      else softmax_tile<false>(a, b, v * kW, start, keys);
    }
    load_tile(a, a.v, head, start, keys, b.values);
    gemm_block(b.values, 1, a.Dh, b.scores, kBlockQueries, b.ot, kBlockQueries, a.Dh, vecs, keys, true);
  }
  store_outputs(a, head, q0, n, b);
}

Block& block_in(const Attention& a, uint8_t* scratch) {
  Block& b = *reinterpret_cast<Block*>(scratch);
  float* p = reinterpret_cast<float*>(scratch + (sizeof(Block) + 63) / 64 * 64);
  const int64_t dim = padded(a.Dh);
  b.qt = p;
  b.ot = b.qt + dim * kBlockQueries;
  b.scores = b.ot + dim * kBlockQueries;
  b.keys = b.scores + kBlockKeys * kBlockQueries;
  b.values = b.keys + kBlockKeys * dim;
  return b;
}

// ---- the rows of a dispatch -------------------------------------------------------------------------------------

// Rows [row, row + rows) of one sequence, and where the work items of what follows them begin.
struct Span {
  int64_t row, rows, items;
};

// How the rows are shared out. Every worker makes the same plan in its own memory.
struct Plan {
  Span* many;        // spans done in blocks of `block` queries
  Group* groups;     // the others, whose first items are in `starts`
  int64_t* starts;
  int64_t many_count = 0, group_count = 0, many_items = 0, group_items = 0, block = kBlockQueries;

  static size_t bytes(int64_t rows) { return size_t(rows + 1) * (sizeof(Span) + sizeof(Group) + 8); }
  Plan(const Attention& a, uint8_t* memory)
      : many(reinterpret_cast<Span*>(memory)), groups(reinterpret_cast<Group*>(many + a.rows + 1)),
        starts(reinterpret_cast<int64_t*>(groups + a.rows + 1)) {
    int64_t queries = 0, partials = 0;
    for (int64_t r = 0, n; r < a.rows; r += n) {
      n = a.sequences ? 1 : a.rows;
      while (a.sequences && r + n < a.rows && a.sequences[r + n] == a.sequences[r]) n++;
      if (n <= (a.sequences ? 1 : kFewRows)) {
        const Group group(a, r, n, partials);
        partials += group.results(a);
        starts[group_count] = group_items;
        group_items += group.items;
        groups[group_count++] = group;
      } else {
        many[many_count++] = {r, n, 0};
        queries += n * a.G;
      }
    }
    // Small problems get smaller blocks, so that there is work for every core.
    while (block > 16 && ceil_div(queries, block) * a.Hkv < 8) block -= 16;
    for (int64_t i = 0; i < many_count; i++) many[i].items = many_items += ceil_div(many[i].rows * a.G, block) * a.Hkv;
  }
  int64_t group_of(int64_t item) const { return std::upper_bound(starts, starts + group_count, item, Less{}) - starts - 1; }
  struct Less {  // of this level's namespace
    bool operator()(int64_t a, int64_t b) const { return a < b; }
  };
};

void run_block_item(const Attention& all, const Plan& plan, int64_t item, uint8_t* scratch) {
  int64_t s = 0;
  while (item >= plan.many[s].items) s++;
  const Span& span = plan.many[s];
  const Attention a = all.at_row(span.row);
  const int64_t left = span.items - 1 - item;  // of its span, longest first
  const int64_t head = left % a.Hkv, q0 = left / a.Hkv * plan.block;
  run_block(a, head, span.row * a.G + q0, min64(plan.block, span.rows * a.G - q0), block_in(a, scratch));
}

void run_rows(const Attention& all, Ctx& ctx) {
  const Plan plan(all, ctx.scratch);
  if (all.sequences && plan.group_count > all.S) {
    if (ctx.tid == 0) ctx.fail("attention: rows of one sequence do not follow each other");
    return;
  }
  uint8_t* scratch = ctx.scratch + (Plan::bytes(all.rows) + 63) / 64 * 64;
  const Partials parts{reinterpret_cast<float*>(ctx.team->shared), padded(all.Dh)};
  for (int64_t item; (item = ctx.next(plan.many_items + plan.group_items)) >= 0;) {
    if (item < plan.many_items) {
      run_block_item(all, plan, item, scratch);
      continue;
    }
    item -= plan.many_items;
    const int64_t g = plan.group_of(item), within = item - plan.starts[g];
    const Group& group = plan.groups[g];
    const Attention a = all.at_row(group.row);
    fetch_item(a, a.v, group, within);
    fetch_item(a, a.k, group, within + ctx.nthreads);
    run_split(a, group, within, parts, scratch);
  }
  if (plan.group_count == 0) return;
  ctx.barrier();
  const int64_t rows = plan.groups[0].rows;  // groups of several rows are alone
  int64_t begin, end;
  ctx.range(plan.group_count * rows * all.H, begin, end);
  for (int64_t i = begin; i < end; i++) merge(all, parts, plan.groups[i / all.H / rows], i / all.H % rows, i % all.H);
}

void run(const Args& args, Ctx& ctx) {
  const Attention a(args);
  if (a.rows > 0 && a.positions_ok(ctx)) run_rows(a, ctx);
}

// Positions are not known yet: room for the splits of as many single rows as there can be.
size_t shared_bytes(const Args& args, int) {
  const Attention a(args);
  const int64_t rows = a.sequences ? min64(a.rows, a.S) : a.rows <= kFewRows ? a.rows : 0;
  return size_t(a.Hkv * max_splits(a.Hkv) * rows * a.G * (padded(a.Dh) + kW)) * 4;
}

const char* check(const Args& args) {
  if (args.nbufs != 8 || args.nparams != 12) return "attention: expected 8 buffers and 12 parameters";
  const int64_t rows = args.i(0), H = args.i(1), Hkv = args.i(2), Dh = args.i(3), cap = args.i(4), ring = args.i(9);
  if (rows < 0 || H <= 0 || Hkv <= 0 || Dh <= 0 || cap <= 0) return "attention: a dimension is not positive";
  if (H % Hkv != 0) return "attention: the number of heads is not a multiple of the number of kv heads";
  if (Dh > kMaxHeadDim) return "attention: head dimension above 1024";
  if (args.i(5) != 0 && args.i(5) != 1) return "attention: cache type is neither f32 (0) nor f16 (1)";
  if (ring < 0 || ring > cap) return "attention: ring is longer than the cache";
  if (const char* problem = check_pages(args.bufs[6], args.bufs[7], rows, cap, ring, args.i(10), args.i(11))) return problem;
  if (rows > kMaxRows) return "attention: more than 16,384 rows";
  const int64_t cache = Hkv * cap * Dh * (args.i(5) == 1 ? 2 : 4);
  if (args.bufs[1].bytes < cache || args.bufs[2].bytes < cache) return "attention: cache buffer smaller than [Hkv, cap, Dh]";
  if (args.bufs[0].bytes < rows * H * Dh * 4 || args.bufs[5].bytes < rows * H * Dh * 4) return "attention: q or y smaller than [rows, H, Dh]";
  if (args.bufs[3].bytes < rows * 4) return "attention: fewer positions than rows";
  if (args.bufs[4].bytes != 0 && args.bufs[4].bytes < H * 4) return "attention: fewer sinks than heads";
  return nullptr;
}

const KernelDef defs[] = {{"attention", run, shared_bytes, check}};

}  // namespace
extern const Table attention_table;
const Table attention_table = {defs, 1};
}  // namespace ingot::INGOT_NS
