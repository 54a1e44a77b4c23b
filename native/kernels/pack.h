// Repacks rows of a file format into panels of 16 rows (docs/layouts.md). Compiled once, without a level.
#pragma once
#include <cstdint>

namespace ingot {

/**
 * Packs panels [panelBegin, panelEnd) of a matrix of N rows and K columns; any partition of the panels gives the same bytes.
 * source_code: the "Sources" table of docs/layouts.md. parts: the rows, or for 9 and 10 codes, scales, biases.
 * group and meta_dtype (dtype code): of 9 and 10 only. rowMap: source row of each packed row, or null.
 * out: where panel 0 goes. Returns false, writing nothing, when the source code is unknown or K does not fit it.
 * Sizes of parts and out, and the range of rowMap, are the caller's to check.
 */
bool pack_rows(int source_code, const uint8_t* const* parts, int64_t K, int group, int meta_dtype, const int32_t* rowMap,
               int64_t panelBegin, int64_t panelEnd, int64_t N, uint8_t* out);

}  // namespace ingot
