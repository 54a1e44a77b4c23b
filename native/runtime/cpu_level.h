// What the present CPU can run, and which instruction-set level the kernels are taken from.
#pragma once
#include <string>
#include <vector>

#include "kernel.h"

namespace ingot {

const char* level_name(Level level);
bool level_from_name(const std::string& name, Level& out);
bool level_built(Level level);      // this binary holds kernels of the level
bool level_supported(Level level);  // the CPU and the kernel can run it
Level best_level();

// Kernel of `name` at `level`, or of the nearest lower level that has it; null when unknown.
const KernelDef* find_kernel(const char* name, Level level);

int default_threads();  // physical cores this process may use, within its cgroup quota
std::string cpu_name();

}  // namespace ingot
