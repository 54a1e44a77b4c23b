// A dispatch of attention: its operands, which keys a row sees and where they are.
#pragma once
#include "kv_rows.h"
#include "pages.h"
#include "signatures/attention.h"

namespace ingot::INGOT_NS {
namespace {

constexpr float kNoScore = -1e30f;  // below every score; finite, so that differences stay defined

struct Attention {
  const float* q;
  const uint8_t *k, *v;
  const int32_t* positions;
  const float* sinks;  // may be null
  float* y;
  const int32_t *sequences, *page_table;  // null: one sequence, slot = position or ring
  const int32_t* pages;                   // of the sequence that is looked at
  int64_t rows, H, Hkv, Dh, cap, window, ring, G, S, max_pages;
  int form;  // of rows
  KvRow row;
  bool fast;
  float scale, softcap;

  explicit Attention(const AttentionArgs& a)
      : q(a.q()),
        k(a.k_cache()),
        v(a.v_cache()),
        positions(a.positions()),
        sinks(a.sinks()),
        y(a.y()),
        sequences(a.sequences()),
        page_table(a.page_table()),
        pages(nullptr),
        rows(a.rows()),
        H(a.H()),
        Hkv(a.Hkv()),
        Dh(a.Dh()),
        cap(a.cap()),
        window(a.window()),
        ring(a.ring()),
        G(H / Hkv),
        S(a.S()),
        max_pages(a.max_pages()),
        form(a.kv_rows()),
        row(form, Dh),
        fast(form != rF32 && a.precision() == kFast),
        scale(a.scale()),
        softcap(a.softcap()) {}

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
    return cache + (head * cap + slot) * row.bytes;
  }
  int64_t run(int64_t j, int64_t n) const {
    if (!pages) return ring > 0 ? min64(n, ring - j % ring) : n;
    int64_t count = kPage - j % kPage;
    for (int64_t page = j / kPage; count < n && pages[page + 1] == pages[page] + 1; page++) count += kPage;
    return min64(n, count);
  }
  bool paged_row_ok(Ctx& ctx, int64_t r) const {
    if (sequences[r] < 0 || sequences[r] >= S) {
      if (ctx.tid == 0)
        ctx.fail("attention: sequence %d of row %lld is outside 0 ... %lld", sequences[r], (long long)r,
                 (long long)(S - 1));
      return false;
    }
    if (positions[r] < 0 || positions[r] >= max_pages * kPage) {
      if (ctx.tid == 0)
        ctx.fail("attention: position %d of row %lld is outside %lld pages", positions[r], (long long)r,
                 (long long)max_pages);
      return false;
    }
    const int32_t* table = page_table + sequences[r] * max_pages;
    for (int64_t page = first_key(r) / kPage; page <= positions[r] / kPage; page++) {
      if (table[page] >= 0 && table[page] < cap / kPage) continue;
      if (ctx.tid == 0)
        ctx.fail("attention: page %lld of sequence %d, which row %lld sees, is %d of %lld", (long long)page,
                 sequences[r], (long long)r, table[page], (long long)(cap / kPage));
      return false;
    }
    return true;
  }
  bool positions_ok(Ctx& ctx) const {
    for (int64_t r = 0; r < rows; r++) {
      if (sequences) {
        // The pages that a run of rows sees are those of its first and last row.
        const bool inside = r > 0 && r + 1 < rows && sequences[r] == sequences[r - 1] &&
                            sequences[r] == sequences[r + 1] && positions[r - 1] < positions[r] &&
                            positions[r] < positions[r + 1];
        if (!inside && !paged_row_ok(ctx, r)) return false;
        continue;
      }
      if (positions[r] >= 0 && (ring > 0 || positions[r] < cap)) continue;
      if (ctx.tid == 0)
        ctx.fail("attention: position %d of row %lld is outside the cache of %lld slots", positions[r],
                 (long long)r, (long long)cap);
      return false;
    }
    return true;
  }
};

inline int64_t padded(int64_t n) { return ceil_div(n, kW) * kW; }

}  // namespace
}  // namespace ingot::INGOT_NS
