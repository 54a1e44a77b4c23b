// The designs of tile_designs.h over emulated tiles: each passes the suite of `linear`.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#undef INGOT_NS
#define INGOT_NS amx_designs
#include "../kernels/linear.cc"
#include "tile_designs.h"
#endif

namespace ingot::tests {

const KernelDef* tile_design(int i) {
#if INGOT_AMX_EMULATE
  using namespace ingot::amx_designs;
  if (!features().avx2) return nullptr;
  constexpr int64_t block = 32768, columns = 512;  // small, so that tests have several of both
  static constexpr KernelDef designs[] = {{"in use", run, shared_bytes, check},
                                          {"resident", run_design<block, columns, false>, design_shared_bytes, check},
                                          {"shadow", run_design<block, columns, true>, design_shared_bytes, check}};
  if (i < int(sizeof designs / sizeof *designs)) return &designs[i];
#endif
  return nullptr;
}

}  // namespace ingot::tests
