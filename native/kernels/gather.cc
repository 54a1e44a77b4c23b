// gather (rows by index along one axis) and scatter_add (its gradient, accumulated in index order).
#include "vec.h"
#include "signatures/gather.h"
#include "signatures/scatter_add.h"

namespace ingot::INGOT_NS {
namespace {

void run_gather(const Args& args, Ctx& ctx) {
  const GatherArgs a(args);
  const int64_t D = a.D(), n = a.n(), row = a.inner() * a.bytes();
  const int32_t* indices = a.indices();
  int64_t begin, end;
  ctx.range(a.outer() * n, begin, end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t o = item / n, index = indices[item % n], d = index < 0 ? index + D : index;
    if (d < 0 || d >= D) {
      ctx.fail("gather: index %lld at place %lld is outside an axis of %lld", (long long)index,
               (long long)(item % n), (long long)D);
      return;
    }
    const uint8_t* from = a.x() + (o * D + d) * row;
    uint8_t* to = a.y() + item * row;
    if (row == 4) std::memcpy(to, from, 4);
    else std::memcpy(to, from, size_t(row));
  }
}
const char* check_gather(const Args& args) {
  if (const char* problem = GatherArgs::mismatch(args)) return problem;
  const GatherArgs a(args);
  const int64_t outer = a.outer(), D = a.D(), inner = a.inner(), n = a.n(), bytes = a.bytes();
  if (outer < 0 || D < 0 || inner < 0 || n < 0) return "gather: negative size";
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
    return "gather: elements are not 1, 2, 4 or 8 bytes";
  const double line = double(outer) * double(inner) * double(bytes);
  if (line * double(D) > double(a.x_buf().bytes)) return "gather: x smaller than [outer, D, inner]";
  if (a.indices_buf().bytes < n * 4) return "gather: fewer indices than n";
  if (line * double(n) > double(a.y_buf().bytes)) return "gather: y smaller than [outer, n, inner]";
  return nullptr;
}

template <class T> void add_rows(T* y, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] += x[i];
}
// Wide rows are split between the workers by column, narrow ones by target row: either way each element of y
// has one owner, who adds in index order.
template <class T> void scatter(const ScatterAddArgs& a, Ctx& ctx) {
  const int64_t n = a.n(), inner = a.inner(), D = a.D();
  const T* updates = a.updates_buf().as<T>();
  const int32_t* indices = a.indices();
  T* y = a.y_buf().as<T>();
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
      ctx.fail("scatter_add: index %lld at place %lld is outside a table of %lld", (long long)indices[j],
               (long long)j, (long long)D);
      return;
    }
    if (by_column) add_rows(y + index * inner + begin, updates + j * inner + begin, end - begin);
    else if (index >= begin && index < end) add_rows(y + index * inner, updates + j * inner, inner);
  }
}
void run_scatter(const Args& args, Ctx& ctx) {
  const ScatterAddArgs a(args);
  if (a.dtype() == dF32) scatter<float>(a, ctx);
  else scatter<uint32_t>(a, ctx);
}
const char* check_scatter(const Args& args) {
  if (const char* problem = ScatterAddArgs::mismatch(args)) return problem;
  const ScatterAddArgs a(args);
  const int64_t n = a.n(), inner = a.inner(), D = a.D();
  const int dtype = a.dtype();
  if (n < 0 || inner < 0 || D < 0) return "scatter_add: negative size";
  if (dtype != dF32 && dtype != dI32 && dtype != dU32)
    return "scatter_add: the element type is not f32, i32 or u32";
  if (double(n) * double(inner) * 4 > double(a.updates_buf().bytes))
    return "scatter_add: updates smaller than [n, inner]";
  if (a.indices_buf().bytes < n * 4) return "scatter_add: fewer indices than n";
  if (double(D) * double(inner) * 4 > double(a.y_buf().bytes))
    return "scatter_add: y smaller than [D, inner]";
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
