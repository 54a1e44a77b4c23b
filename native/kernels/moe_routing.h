// Which rows each expert works on: the (row, slot) pairs of a chunk sorted by expert, in row order within an
// expert.
#pragma once
#include "linear_prepare.h"

namespace ingot::INGOT_NS {

constexpr int64_t kMaxExperts = 4096;

struct Routing {
  int32_t* begin;  // [E + 1] first entry of each expert
  int32_t* pair;   // [rows * topk] row * topk + slot, by expert
  int32_t* row;    // [rows * topk] row of that entry
  int64_t E, pairs;
  int64_t count(int64_t e) const { return begin[e + 1] - begin[e]; }
};

inline int64_t routing_bytes(int64_t pairs, int64_t E) {
  return round_up((E + 1) * 4, 64) + 2 * round_up(pairs * 4, 64);
}

// Every worker does this for itself: it is short, needs no barrier, and all come to the same lists. Returns
// the first id outside [0, E) as -1 - entry, or 0.
inline int64_t sort_by_expert(const int32_t* ids, int64_t rows, int64_t topk, int64_t E, Arena& arena,
                              Routing& r) {
  r = {arena.take<int32_t>((E + 1) * 4), arena.take<int32_t>(rows * topk * 4),
       arena.take<int32_t>(rows * topk * 4), E, rows * topk};
  memset(r.begin, 0, size_t(E + 1) * 4);
  for (int64_t i = 0; i < r.pairs; i++) {
    if (ids[i] < 0 || ids[i] >= E) return -1 - i;
    r.begin[ids[i] + 1]++;
  }
  for (int64_t e = 0; e < E; e++) r.begin[e + 1] += r.begin[e];
  for (int64_t i = 0; i < r.pairs; i++) {  // begin[e] walks to the end of its list …
    const int32_t at = r.begin[ids[i]]++;
    r.pair[at] = int32_t(i);
    r.row[at] = int32_t(i / topk);
  }
  for (int64_t e = E; e > 0; e--) r.begin[e] = r.begin[e - 1];  // … and is moved back
  r.begin[0] = 0;
  return 0;
}

// The lists with every expert that uses tiles padded to whole groups of 16 rows: the order of the A tiles.
struct TileOrder {
  int32_t* source;  // row of the input, -1 for padding
  int64_t* first;   // [E] first row in the tiles
  int64_t rows;
};

inline int64_t padded_rows(int64_t pairs, int64_t E) { return pairs + 15 * min64(pairs, E); }
inline int64_t tile_order_bytes(int64_t pairs, int64_t E) {
  return round_up(E * 8, 64) + round_up(padded_rows(pairs, E) * 4, 64);
}

inline TileOrder order_tiles(const Routing& r, const int32_t* list, Arena& arena) {
  TileOrder o{arena.take<int32_t>(padded_rows(r.pairs, r.E) * 4), arena.take<int64_t>(r.E * 8), 0};
  for (int64_t e = 0; e < r.E; e++) {
    o.first[e] = o.rows;
    const int64_t n = r.count(e);
    if (n <= kFewRowsMax) continue;
    for (int64_t i = 0; i < round_up(n, 16); i++) o.source[o.rows + i] = i < n ? list[r.begin[e] + i] : -1;
    o.rows += round_up(n, 16);
  }
  return o;
}

}  // namespace ingot::INGOT_NS
