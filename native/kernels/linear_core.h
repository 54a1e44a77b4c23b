// What `linear` and the expert kernels share: products of a panel pair with any number of rows.
#pragma once
#include "linear_act.h"
#include "linear_gemm.h"
#include "linear_gemm_amx.h"
#include "linear_prepare.h"

namespace ingot::INGOT_NS {

// C [count][32] = rows of acts times a panel pair of one matrix (or of gate and up in the same layout).
inline void gemm_pair(const PanelPair& pair, const Acts& acts, const int32_t* index, int64_t count,
                      bool exact, uint8_t* scratch, float* C) {
  with_layout(pair.w->layout, [&]<int L>() {
    if constexpr (has_integers(L)) {
      if (!exact) return gemm_int8<L>(pair, acts, index, count, scratch, C);
    }
    if constexpr (pairs_many(L)) {
      if (!exact && acts.pairs) return gemm_pairs<L>(pair, acts, index, count, scratch, C);
    }
    gemm_f32<L>(pair, acts, index, count, scratch, C);
  });
}

// Few rows: panels are shared out as one fixed range per worker, so that it knows early what it will read,
// and the last quarter in small pieces for whoever is free.
inline int64_t fixed_share(int64_t panels, int nthreads) { return panels * 3 / 4 / nthreads; }

// Contiguous piece `i` of `pieces` of n items.
inline void piece_of(int64_t n, int64_t pieces, int64_t i, int64_t& begin, int64_t& end) {
  begin = n * i / pieces;
  end = n * (i + 1) / pieces;
}

// f(begin, end) for every range of panels that falls to this worker. Each piece starts without prefetch: for
// one row, which waits for memory, they are few.
template <class F> void share_panels(int64_t panels, int64_t rows, Ctx& c, F&& f) {
  const int64_t fixed = fixed_share(panels, c.nthreads), base = fixed * c.nthreads, rest = panels - base;
  if (fixed) f(fixed * c.tid, fixed * (c.tid + 1));
  const int64_t pieces = min64(rest, int64_t(c.nthreads) * (rows <= 2 ? 4 : 32));
  for (int64_t i; (i = c.next(pieces)) >= 0;) {
    int64_t begin, end;
    piece_of(rest, pieces, i, begin, end);
    f(base + begin, base + end);
  }
}

// First bytes of a stream of panels that are asked for between two dispatches, when memory would be idle.
constexpr int64_t kHeadBytes = 32768;

}  // namespace ingot::INGOT_NS
