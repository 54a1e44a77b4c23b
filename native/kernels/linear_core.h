// What `linear` and the expert kernels share: products of a panel pair with any number of rows.
#pragma once
#include "linear_act.h"
#include "linear_gemm.h"
#include "linear_gemm_amx.h"
#include "linear_prepare.h"

namespace ingot::INGOT_NS {

// C [count][32] = rows of acts times a panel pair of one matrix (or of gate and up in the same layout).
inline void gemm_pair(const PanelPair& pair, const Acts& acts, const int32_t* index, int64_t count, bool exact, uint8_t* scratch, float* C) {
  with_layout(pair.w->layout, [&]<int L>() {
    if constexpr (!is_float_layout(L)) {
      if (!exact) return gemm_int8<L>(pair, acts, index, count, scratch, C);
    }
    gemm_f32<L>(pair, acts, index, count, scratch, C);
  });
}

// Contiguous piece `i` of `pieces` of n items.
inline void piece_of(int64_t n, int64_t pieces, int64_t i, int64_t& begin, int64_t& end) {
  begin = n * i / pieces;
  end = n * (i + 1) / pieces;
}

}  // namespace ingot::INGOT_NS
