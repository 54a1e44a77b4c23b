// Compiles a kernel file's AMX level with emulated tile instructions. Without AVX-512 and its bf16, nothing.
#pragma once
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
#define INGOT_AMX_EMULATE 1
#define INGOT_NS amx_emulated
#define INGOT_LEVEL kAmx
#endif
#include "runtime/kernel.h"

namespace ingot::tests {
const KernelDef* emulated_linear(const char* name);
const KernelDef* emulated_moe(const char* name);
}  // namespace ingot::tests
