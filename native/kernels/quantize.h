// Quantises rows of f32: the search of src/quant/{search,super-block,group}.ts. Compiled once, without a
// level.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace ingot {

// What is to be quantised: N rows of K columns into the source form `source` (the "Sources" table of
// docs/layouts.md), which is that of `layout`.
struct QuantizeForm {
  int source;
  LayoutForm layout;
  int64_t N, K;
};

// Null when the form can be made here and `sizes` (bytes of each part) are exactly what it takes; else what
// is wrong.
const char* quantize_problem(const QuantizeForm& form, size_t values, const size_t* sizes, int parts);

// Quantises rows [begin, end) of `values`, which must be finite. The form must have passed quantize_problem.
void quantize_rows(const QuantizeForm& form, const float* values, int64_t begin, int64_t end,
                   uint8_t* const* parts);

}  // namespace ingot
