// The same as linear_amx.cc with compiler vectors of 16 lanes, for CPUs without AVX-512.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#undef INGOT_NS
#define INGOT_NS amx_plain
#include "../kernels/linear.cc"
#endif

namespace ingot::tests {

const KernelDef* emulated_linear_plain(const char* name) {
#if INGOT_AMX_EMULATE
  const KernelDef& def = amx_plain::linear_table.defs[0];
  if (features().avx2 && !__builtin_strcmp(def.name, name)) return &def;
#endif
  return nullptr;
}

}  // namespace ingot::tests
