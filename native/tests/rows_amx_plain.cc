// kernels/rows.cc for the emulated level of linear_amx_plain.cc.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#undef INGOT_NS
#define INGOT_NS amx_plain
#include "../kernels/rows.cc"
#endif
