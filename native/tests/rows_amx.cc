// kernels/rows.cc for the emulated level of linear_amx.cc.
#include "linear_amx.h"

#if INGOT_AMX_EMULATE
#include "../kernels/rows.cc"
#endif
