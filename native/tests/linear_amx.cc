// The AMX level of kernels/linear.cc over emulated tiles, so that its layouts are tested on CPUs without AMX.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#include "../kernels/linear.cc"
#endif

namespace ingot::tests {

const KernelDef* emulated_linear(const char* name) {
#if INGOT_AMX_EMULATE
  if (!features().avx512 || !features().avx512bf16) return nullptr;
  const Table& t = amx_emulated::linear_table;
  for (int i = 0; i < t.count; i++)
    if (!__builtin_strcmp(t.defs[i].name, name)) return &t.defs[i];
#endif
  return nullptr;
}

}  // namespace ingot::tests
