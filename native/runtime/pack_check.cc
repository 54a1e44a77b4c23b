#include "pack_check.h"

namespace ingot {

const char* pack_check(int source, const size_t* sizes, int parts, int64_t n, int64_t k, int group, int meta_dtype, size_t out_bytes) {
  struct Form {
    int code;
    int64_t block, source_bytes;        // source bytes per block of one row
    int64_t code_bytes, meta_per, meta;  // packed: code bytes per block of a panel; meta bytes per `meta_per` columns
  };
  static constexpr Form forms[] = {
      {0, 1, 4, 64, 0, 0},        {1, 1, 2, 32, 0, 0},         {2, 1, 2, 32, 0, 0},          {3, 32, 18, 256, 32, 32},
      {4, 32, 20, 256, 32, 64},   {5, 32, 34, 512, 32, 32},    {7, 256, 144, 2048, 256, 320}, {8, 256, 210, 3072, 256, 288},
  };
  if (n <= 0 || k <= 0 || n > (int64_t(1) << 32) || k > (int64_t(1) << 32)) return "bad matrix size";
  const int64_t panels = (n + 15) / 16;
  int64_t panel = 0;
  if (source == 9 || source == 10) {
    if (parts != 3) return "expected codes, scales and biases";
    if (group != 32 && group != 64 && group != 128) return "the group must be 32, 64 or 128";
    if (meta_dtype < 0 || meta_dtype > 2) return "bad type of scales";
    if (k % group) return "K is not a multiple of the group";
    const int64_t width = meta_dtype == 0 ? 4 : 2, meta = k / group * width;
    if (int64_t(sizes[0]) != n * (source == 9 ? k / 2 : k) || int64_t(sizes[1]) != n * meta || int64_t(sizes[2]) != n * meta)
      return "a source part has the wrong size";
    panel = k / 32 * (source == 9 ? 256 : 512) + (2 * 16 * meta + 63) / 64 * 64;
  } else {
    const Form* form = nullptr;
    for (const Form& f : forms)
      if (f.code == source) form = &f;
    if (!form) return "unknown source format";
    if (parts != 1) return "expected one source part";
    if (k % form->block) return "K is not a multiple of the block";
    if (int64_t(sizes[0]) != n * (k / form->block) * form->source_bytes) return "the source has the wrong size";
    panel = (source == 2 ? (k + 1) / 2 * 2 : k) / form->block * form->code_bytes;
    if (form->meta) panel += (k / form->meta_per * form->meta + 63) / 64 * 64;
    else panel = (panel + 63) / 64 * 64;
  }
  if (int64_t(out_bytes) != panels * panel) return "the packed size does not fit the matrix";
  return nullptr;
}

}  // namespace ingot
