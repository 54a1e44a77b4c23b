// Sizes of source rows and packed matrices (docs/layouts.md), checked before pack_rows touches memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ingot {
// Null when `sizes` (bytes of each source part) and `out_bytes` are exactly what an [n, k] matrix needs; else what is wrong.
const char* pack_check(int source, const size_t* sizes, int parts, int64_t n, int64_t k, int group, int meta_dtype, size_t out_bytes);
}  // namespace ingot
