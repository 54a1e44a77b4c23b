// scan: running sums, products, maxima, minima and logarithms of sums of exponentials along the middle axis
// of [outer, D, inner]. Results are the same at every level and for any number of workers: rows go by blocks
// of 16 elements, whose tree is one of fixed shape, and chunks of a fixed length; everything else element
// after element.
#include "scan.h"
#include "signatures/scan.h"

namespace ingot::INGOT_NS {
namespace {

struct Shape {
  int64_t outer, D, inner;
  bool reverse, exclusive, stream;
};

// Rows of one element after the other, by a fold that joins in blocks. A long row is cut into chunks, so that
// several workers can have a part of it; the first pass is for what comes before each.
template <class E, class Fold> void scan_rows(const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  const int64_t parts = scan_parts(s.outer, s.D), row = s.D * E::bytes;
  int64_t begin, end;
  if (parts == 1 || ctx.nthreads == 1) {
    ctx.range(s.outer, begin, end);
    for (int64_t r = begin; r < end; r++) {
      Fold fold;
      for (int64_t d = 0; d < s.D; d += kScanChunk) {
        scan_piece<E>(fold, {x + r * row, y + r * row, s.D, d, min64(kScanChunk, s.D - d)}, s.reverse,
                      s.exclusive, s.stream);
        fold.next_chunk();
      }
    }
    return;
  }
  auto* totals = reinterpret_cast<double*>(ctx.team->shared);
  const auto piece = [&](int64_t item) {
    const int64_t r = item / parts, d = item % parts * kScanChunk;
    return Piece{x + r * row, y + r * row, s.D, d, min64(kScanChunk, s.D - d)};
  };
  ctx.range(s.outer * parts, begin, end);
  for (int64_t item = begin; item < end; item++) {
    Fold fold;
    totals[item] = scan_total<E>(fold, piece(item), s.reverse);
  }
  ctx.barrier();
  for (int64_t item = begin; item < end; item++) {
    Fold fold;
    for (int64_t before = item - item % parts; before < item; before++) {
      fold.take(totals[before]);
      fold.next_chunk();
    }
    scan_piece<E>(fold, piece(item), s.reverse, s.exclusive, s.stream);
  }
}

// inner > 1: vectors of columns go along the axis, several beside each other.
template <class E, class Steps> void scan_columns(const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  constexpr int kVectors = 8;
  constexpr int64_t kWidth = kVectors * kW;
  const int64_t strips = ceil_div(s.inner, kWidth);
  int64_t begin, end;
  ctx.range(s.outer * strips, begin, end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t o = item / strips, i0 = item % strips * kWidth;
    const int64_t width = min64(kWidth, s.inner - i0);
    Steps state[kVectors];
    typename E::V last[kVectors];
    for (auto& v : last) v = Steps::identity();
    for (int64_t d = 0; d < s.D; d++) {
      const int64_t at = ((o * s.D + (s.reverse ? s.D - 1 - d : d)) * s.inner + i0) * E::bytes;
      for (int v = 0; v * kW < width; v++) {
        const int lanes = int(min64(kW, width - v * kW));
        const auto r = state[v].step(E::load(x + at + v * kW * E::bytes, lanes));
        E::store(y + at + v * kW * E::bytes, s.exclusive ? last[v] : r, lanes, s.stream);
        last[v] = r;
      }
    }
  }
}

// Rows for which a block has no join: kW rows at a time, turned so that a vector is an element of each.
template <class E, class Steps> void scan_turned(const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  int64_t begin, end;
  ctx.range(ceil_div(s.outer, kW), begin, end);
  for (int64_t group = begin; group < end; group++) {
    const int64_t r0 = group * kW, rows = min64(kW, s.outer - r0);
    const auto at = [&](int64_t r, int64_t d) { return ((r0 + min64(r, rows - 1)) * s.D + d) * E::bytes; };
    Steps state;
    vf last = Steps::identity();
    for (int64_t d = 0; d < s.D; d += kW) {
      const int n = int(min64(kW, s.D - d));
      const int64_t from = s.reverse ? s.D - d - n : d;
      vf v[kW];
      for (int64_t r = 0; r < kW; r++) v[r] = E::load(x + at(r, from), n);
      transpose(v);
      for (int k = 0; k < n; k++) {
        vf& element = v[s.reverse ? n - 1 - k : k];
        const vf r = state.step(element);
        element = s.exclusive ? last : r;
        last = r;
      }
      transpose(v);
      for (int64_t r = 0; r < rows; r++) E::store(y + at(r, from), v[r], n, false);
    }
  }
}

template <class E, class Fold> void scan_exact(const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  if (s.inner == 1)
    scan_rows<E, Fold>(s, x, y, ctx);
  else
    scan_columns<E, Fold>(s, x, y, ctx);
}
template <class E> void scan_floats(int kind, const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  switch (kind) {
    case kCumsum:
      return s.inner == 1 ? scan_rows<E, RunningSum>(s, x, y, ctx) : scan_columns<E, SumSteps>(s, x, y, ctx);
    case kCumprod:
      return s.inner == 1 ? scan_turned<E, ProductSteps>(s, x, y, ctx)
                          : scan_columns<E, ProductSteps>(s, x, y, ctx);
    case kCummax:
      return scan_exact<E, Fold<vf, Largest>>(s, x, y, ctx);
    case kCummin:
      return scan_exact<E, Fold<vf, Smallest>>(s, x, y, ctx);
    case kLogcumsumexp:
      return s.inner == 1 ? scan_turned<E, LogSumSteps>(s, x, y, ctx)
                          : scan_columns<E, LogSumSteps>(s, x, y, ctx);
  }
}
template <class E> void scan_integers(int kind, const Shape& s, const uint8_t* x, uint8_t* y, Ctx& ctx) {
  using V = typename E::V;
  switch (kind) {
    case kCumsum:
      return scan_exact<E, Fold<V, Sum>>(s, x, y, ctx);
    case kCumprod:
      return scan_exact<E, Fold<V, Product>>(s, x, y, ctx);
    case kCummax:
      return scan_exact<E, Fold<V, Largest>>(s, x, y, ctx);
    case kCummin:
      return scan_exact<E, Fold<V, Smallest>>(s, x, y, ctx);
  }
}

void run(const Args& args, Ctx& ctx) {
  const ScanArgs a(args);
  const int64_t line = (a.inner() == 1 ? a.D() : a.inner()) * 4;
  const Shape s{a.outer(),   a.D(),         a.inner(),
                a.reverse(), a.exclusive(), streams(a.y(), line, a.outer() * a.D() * a.inner() * 4)};
  switch (a.dtype()) {
    case dF32:
      scan_floats<F32>(a.kind(), s, a.x(), a.y(), ctx);
      break;
    case dF16:
      scan_floats<F16>(a.kind(), s, a.x(), a.y(), ctx);
      break;
    case dBF16:
      scan_floats<BF16>(a.kind(), s, a.x(), a.y(), ctx);
      break;
    case dI32:
      scan_integers<Whole<vi>>(a.kind(), s, a.x(), a.y(), ctx);
      break;
    case dU32:
      scan_integers<Whole<vu>>(a.kind(), s, a.x(), a.y(), ctx);
      break;
  }
  stream_end();
}

size_t shared_bytes(const Args& args, int) {
  const ScanArgs a(args);
  const int64_t parts = scan_parts(a.outer(), a.D());
  return a.inner() > 1 || parts == 1 ? 0 : size_t(a.outer() * parts) * sizeof(double);
}

const char* check(const Args& args) {
  if (const char* problem = ScanArgs::mismatch(args)) return problem;
  const ScanArgs a(args);
  const int64_t outer = a.outer(), D = a.D(), inner = a.inner();
  const int dtype = a.dtype();
  if (outer < 0 || D < 0 || inner < 0) return "scan: negative size";
  if (a.kind() < 0 || a.kind() >= kRunnings) return "scan: unknown kind";
  const bool half = dtype == dF16 || dtype == dBF16, integers = dtype == dI32 || dtype == dU32;
  if (dtype != dF32 && !half && !integers) return "scan: the element type is not f32, f16, bf16, i32 or u32";
  if (integers && a.kind() == kLogcumsumexp) return "scan: logarithms of integers: cast them first";
  const double bytes = double(outer) * double(D) * double(inner) * (half ? 2 : 4);
  if (bytes > double(a.x_buf().bytes) || bytes > double(a.y_buf().bytes))
    return "scan: x or y smaller than [outer, D, inner]";
  return nullptr;
}

const KernelDef defs[] = {{"scan", run, shared_bytes, check}};

}  // namespace
extern const Table scan_table;
const Table scan_table = {defs, 1};
}  // namespace ingot::INGOT_NS
