// The page table of a key-value cache that many sequences share: docs/cpu-kernels.md, "Paged cache".
#pragma once
#include "vec.h"

namespace ingot::INGOT_NS {

constexpr int64_t kPage = 32;  // slots of a page

// Null when the optional buffers `sequences` and `pageTable` of a kernel fit each other and the cache, else
// what is wrong. Slots are of blocks of `ratio` positions.
template <class View>
const char* check_pages(const View& a, const Buf& table, int64_t cap, int64_t ring, int64_t ratio = 1) {
  const Buf& sequences = a.sequences_buf();
  const int64_t S = a.S(), max_pages = a.max_pages();
  if (sequences.bytes == 0 && table.bytes == 0) return nullptr;
  if (sequences.bytes == 0 || table.bytes == 0) return "paged cache: sequences and pageTable go together";
  if (ring != 0) return "paged cache: it has no ring";
  if (cap % (ratio < kPage ? kPage / ratio : 1) != 0)
    return "paged cache: the capacity is not a multiple of 32";
  if (S < 0 || max_pages <= 0) return "paged cache: the page table has no pages";
  if (sequences.bytes < a.rows() * 4) return "paged cache: fewer sequences than rows";
  if (table.bytes / 4 / max_pages < S) return "paged cache: page table smaller than [S, maxPages]";
  return nullptr;
}
template <class View> const char* check_pages(const View& a, int64_t cap, int64_t ring, int64_t ratio = 1) {
  return check_pages(a, a.page_table_buf(), cap, ring, ratio);
}

}  // namespace ingot::INGOT_NS
