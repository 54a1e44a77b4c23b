// Rows that all heads share, of many sequences in pages, or of one: a slot for each position, or for each
// block of some.
#pragma once
#include "attention_core.h"
#include "pages.h"

namespace ingot::INGOT_NS {

struct SharedRows {
  const uint8_t* data;
  int64_t W, cap, S, max_pages;
  bool half;
  const int32_t *sequences, *page_table;  // may be null
  int64_t ratio = 1, ring = 0;

  // The slot of a position or block; -1 where there is none. Blocks longer than a page have a slot in their
  // last one.
  int64_t slot(int64_t row, int64_t number) const {
    int64_t slot = ring > 0 ? number % ring : number;
    if (sequences) {
      const int64_t per_page = ratio < kPage ? kPage / ratio : 1, last = (number + 1) * ratio - 1;
      const int32_t page = page_table[sequences[row] * max_pages + last / kPage];
      slot = page < 0 ? -1 : page * per_page + last % kPage / ratio;
    }
    return slot < 0 || slot >= cap ? -1 : slot;
  }
  const uint8_t* at(int64_t row, int64_t number) const {
    const int64_t place = slot(row, number);
    return place < 0 ? nullptr : data + place * W * (half ? 2 : 4);
  }
  // Whether the first `count` positions or blocks of a row's sequence can be looked up.
  bool row_ok(int64_t row, int64_t count) const {
    if (!sequences) return ring > 0 || count <= cap;
    return sequences[row] >= 0 && sequences[row] < S && count * ratio <= max_pages * kPage;
  }
  float value(const uint8_t* row, int64_t d) const {
    return half ? load_floats_n<true>(row, d, 1)[0] : load_floats_n<false>(row, d, 1)[0];
  }
};

template <bool Half> float dot(const float* a, const uint8_t* b, int64_t n) {
  vf sum{};
  int64_t d = 0;
  for (; d + kW <= n; d += kW) sum += load(a + d) * load_floats<Half>(b, d);
  if (d < n) sum += load_n(a + d, int(n - d)) * load_floats_n<Half>(b, d, int(n - d));
  float total = 0;
  for (int i = 0; i < kW; i++) total += sum[i];
  return total;
}
inline float dot(const SharedRows& rows, const float* a, const uint8_t* b) {
  return rows.half ? dot<true>(a, b, rows.W) : dot<false>(a, b, rows.W);
}

template <bool Half> void add_row(float* sum, float weight, const uint8_t* row, int64_t n) {
  int64_t d = 0;
  for (; d + kW <= n; d += kW) store(sum + d, load(sum + d) + weight * load_floats<Half>(row, d));
  for (; d < n; d++) sum[d] += weight * load_floats_n<Half>(row, d, 1)[0];
}
inline void add_row(const SharedRows& rows, float* sum, float weight, const uint8_t* row) {
  if (rows.half) add_row<true>(sum, weight, row, rows.W);
  else add_row<false>(sum, weight, row, rows.W);
}

}  // namespace ingot::INGOT_NS
