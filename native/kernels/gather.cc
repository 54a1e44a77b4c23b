// gather (rows by index along one axis) and scatter_add (its gradient, accumulated in index order).
#include "vec.h"

namespace ingot::INGOT_NS {
namespace {

void run_gather(const Args& a, Ctx& ctx) {
  const int64_t outer = a.i(0), D = a.i(1), inner = a.i(2), n = a.i(3), bytes = a.i(4);
  const int32_t* indices = a.bufs[1].as<int32_t>();
  const int64_t row = inner * bytes;
  int64_t begin, end;
  ctx.range(outer * n, begin, end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t o = item / n, index = indices[item % n], d = index < 0 ? index + D : index;
    if (d < 0 || d >= D) {
      ctx.fail("gather: index %lld at place %lld is outside an axis of %lld", (long long)index, (long long)(item % n), (long long)D);
      return;
    }
    const uint8_t* from = a.bufs[0].data + (o * D + d) * row;
    uint8_t* to = a.bufs[2].data + item * row;
    if (row == 4) std::memcpy(to, from, 4);
    else std::memcpy(to, from, size_t(row));
  }
}
const char* check_gather(const Args& a) {
  if (a.nbufs != 3 || a.nparams != 5) return "gather: expected 3 buffers and 5 parameters";
  const int64_t outer = a.i(0), D = a.i(1), inner = a.i(2), n = a.i(3), bytes = a.i(4);
  if (outer < 0 || D < 0 || inner < 0 || n < 0) return "gather: negative size";
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return "gather: elements are not 1, 2, 4 or 8 bytes";
  if (double(outer) * double(D) * double(inner) * double(bytes) > double(a.bufs[0].bytes)) return "gather: x smaller than [outer, D, inner]";
  if (a.bufs[1].bytes < n * 4) return "gather: fewer indices than n";
  if (double(outer) * double(n) * double(inner) * double(bytes) > double(a.bufs[2].bytes)) return "gather: y smaller than [outer, n, inner]";
  return nullptr;
}

template <class T> void add_rows(T* y, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
// Wide rows are split between the workers by column, narrow ones by target row: either way each element of y has one
// owner, who adds in index order.
template <class T> void scatter(const Args& a, Ctx& ctx) {
  const int64_t n = a.i(0), inner = a.i(1), D = a.i(2);
  const T* updates = a.bufs[0].as<T>();
  const int32_t* indices = a.bufs[1].as<int32_t>();
  T* y = a.bufs[2].as<T>();
  const bool by_column = inner >= 64 * ctx.nthreads;
  int64_t begin, end;
  ctx.range(by_column ? inner : D, begin, end);
  // y may be memory that held something else.
  if (by_column)
    for (int64_t d = 0; d < D; d++) std::memset(y + d * inner + begin, 0, size_t(end - begin) * sizeof(T));
  else std::memset(y + begin * inner, 0, size_t(end - begin) * size_t(inner) * sizeof(T));
  for (int64_t j = 0; j < n; j++) {
    const int64_t index = indices[j] < 0 ? indices[j] + D : indices[j];
    if (index < 0 || index >= D) {
      ctx.fail("scatter_add: index %lld at place %lld is outside a table of %lld", (long long)indices[j], (long long)j, (long long)D);
      return;
    }
    if (by_column) add_rows(y + index * inner + begin, updates + j * inner + begin, end - begin);
    else if (index >= begin && index < end) add_rows(y + index * inner, updates + j * inner, inner);
  }
}
void run_scatter(const Args& a, Ctx& ctx) {
  if (a.i(3) == dF32) scatter<float>(a, ctx);
  else scatter<uint32_t>(a, ctx);
}
const char* check_scatter(const Args& a) {
  if (a.nbufs != 3 || a.nparams != 4) return "scatter_add: expected 3 buffers and 4 parameters";
  const int64_t n = a.i(0), inner = a.i(1), D = a.i(2), dtype = a.i(3);
  if (n < 0 || inner < 0 || D < 0) return "scatter_add: negative size";
  if (dtype != dF32 && dtype != dI32 && dtype != dU32) return "scatter_add: the element type is not f32, i32 or u32";
  if (double(n) * double(inner) * 4 > double(a.bufs[0].bytes)) return "scatter_add: updates smaller than [n, inner]";
  if (a.bufs[1].bytes < n * 4) return "scatter_add: fewer indices than n";
  if (double(D) * double(inner) * 4 > double(a.bufs[2].bytes)) return "scatter_add: y smaller than [D, inner]";
  return nullptr;
}

const KernelDef defs[] = {
    {"gather", run_gather, nullptr, check_gather},
    {"scatter_add", run_scatter, nullptr, check_scatter},
};

}  // namespace
extern const Table gather_table;
const Table gather_table = {defs, 2};
}  // namespace ingot::INGOT_NS
