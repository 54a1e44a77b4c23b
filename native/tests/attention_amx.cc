// The AMX level of kernels/attention.cc over emulated tiles, so that its layouts are tested on CPUs without
// AMX.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#include "../kernels/attention.cc"
#endif

namespace ingot::tests {

const KernelDef* emulated_attention(const char* name) {
#if INGOT_AMX_EMULATE
  if (!features().avx2 || __builtin_strcmp(name, "attention")) return nullptr;
  return &amx_emulated::attention_table.defs[0];
#endif
  return nullptr;
}

}  // namespace ingot::tests
