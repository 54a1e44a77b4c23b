// Repacks rows of a file format into panels of 16 rows (docs/layouts.md). Compiled once, without a level.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace ingot {

// What is to be packed: N rows of K columns in the source form `source` (the "Sources" table of
// docs/layouts.md) into a layout.
struct PackForm {
  int source;
  LayoutForm layout;
  int64_t N, K;
};

// Null when the source can be packed into the layout and `sizes` (bytes of each part) and `out_bytes` are
// exactly what that needs; else what is wrong.
const char* pack_problem(const PackForm& form, const size_t* sizes, int parts, size_t out_bytes);

/**
 * Packs panels [panelBegin, panelEnd); any partition of the panels gives the same bytes. rowMap: source row
 * of each packed row, or null. out: where panel 0 goes. The form, and sizes of parts and out, must have
 * passed pack_problem; the range of rowMap is the caller's to check.
 */
void pack_rows(const PackForm& form, const uint8_t* const* parts, const int32_t* rowMap, int64_t panelBegin,
               int64_t panelEnd, uint8_t* out);

}  // namespace ingot
