// The kernel tables of every level of this build.
#include <cstring>

#include "tests.h"

namespace ingot {
#include "tables.inc"
}

namespace ingot::tests {

std::vector<Level> built_levels() {
  std::vector<Level> levels;
  for (const auto& t : kTables) {
    bool seen = false;
    for (Level l : levels) seen |= l == t.level;
    if (!seen) levels.push_back(t.level);
  }
  return levels;
}

const KernelDef* find_kernel(Level level, const char* name) {
  for (const auto& t : kTables) {
    if (t.level != level) continue;
    for (int i = 0; i < t.table->count; i++)
      if (!strcmp(t.table->defs[i].name, name)) return &t.table->defs[i];
  }
  return nullptr;
}

}  // namespace ingot::tests
