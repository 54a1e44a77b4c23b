// Compiles a kernel file's AMX level with emulated tile instructions: with AVX-512 and its bf16 the vector
// code is the real one, on other x86-64 CPUs compiler vectors of 16 lanes take its place.
#pragma once
#if defined(__x86_64__) && !defined(__AMX_BF16__)
#define INGOT_AMX_EMULATE 1
#define INGOT_NS amx_emulated
#define INGOT_LEVEL kAmx
#endif
#include "runtime/kernel.h"

namespace ingot::tests {
const KernelDef* emulated_linear(const char* name);
const KernelDef* emulated_moe(const char* name);
const KernelDef* emulated_attention(const char* name);
const KernelDef* emulated_linear_plain(const char* name);
}  // namespace ingot::tests
