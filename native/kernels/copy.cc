// copy: from one strided N-d view to another, with runs copied whole and transposes by transpose.h.
#include "transpose.h"
#include "signatures/copy.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int kMaxRank = 16;
constexpr int64_t kBlock = 32;  // side of a transposed block: 32 lines of either side fit the L1 cache

struct Axis {
  int64_t size, src, dst;  // strides in elements
};
struct Plan {
  int64_t rank, bytes, src_offset, dst_offset;
  Axis axes[kMaxRank];
};

bool read(const CopyArgs& a, Plan& p) {
  p.rank = a.rank();
  p.bytes = a.bytes();
  if (p.rank > kMaxRank) return false;
  for (int64_t d = 0; d < p.rank; d++) p.axes[d] = {a.sizes(d), a.from_strides(d), a.to_strides(d)};
  p.src_offset = a.from_offset();
  p.dst_offset = a.to_offset();
  return true;
}

// Axes ordered by destination stride, those of size 1 dropped, neighbours that are one run on both sides
// merged.
void collapse(Plan& p) {
  int64_t rank = 0;
  for (int64_t d = 0; d < p.rank; d++) {
    if (p.axes[d].size == 1) continue;
    const Axis x = p.axes[d];
    if (rank > 0 && p.axes[rank - 1].src == x.src * x.size && p.axes[rank - 1].dst == x.dst * x.size)
      p.axes[rank - 1] = {p.axes[rank - 1].size * x.size, x.src, x.dst};
    else
      p.axes[rank++] = x;
  }
  if (rank == 0) p.axes[rank++] = {1, 1, 1};
  p.rank = rank;
}

template <class T> void copy_line(T* to, int64_t dst, const T* from, int64_t src, int64_t n) {
  if (dst == 1 && src == 0) {
    const T value = *from;
    for (int64_t i = 0; i < n; i++) to[i] = value;
  } else if (dst == 1) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i * src];
  } else {
    for (int64_t i = 0; i < n; i++) to[i * dst] = from[i * src];
  }
}

// Two axes of which the outer is dense in the source and the inner in the destination.
template <class T> void copy_plane(T* to, const T* from, const Axis& outer, const Axis& inner) {
  for (int64_t i0 = 0; i0 < outer.size; i0 += kBlock)
    for (int64_t j0 = 0; j0 < inner.size; j0 += kBlock)
      for (int64_t i = i0; i < min64(i0 + kBlock, outer.size); i++)
        copy_line(to + i * outer.dst + j0 * inner.dst, inner.dst, from + i * outer.src + j0 * inner.src,
                  inner.src, min64(kBlock, inner.size - j0));
}

struct Offsets {
  int64_t src, dst;
};
// Offsets of the item-th combination of axes 0 ... n-1.
Offsets locate(const Plan& p, int64_t n, int64_t item) {
  Offsets o{p.src_offset, p.dst_offset};
  for (int64_t d = n - 1; d >= 0; d--) {
    const int64_t i = item % p.axes[d].size;
    item /= p.axes[d].size;
    o.src += i * p.axes[d].src;
    o.dst += i * p.axes[d].dst;
  }
  return o;
}
int64_t product(const Plan& p, int64_t n) {
  int64_t items = 1;
  for (int64_t d = 0; d < n; d++) items *= p.axes[d].size;
  return items;
}

constexpr int64_t kPiece = 4096;  // of the inner axis of a transpose: an item of work

template <class T> void copy_typed(Plan& p, const Buf& x, const Buf& y, Ctx& ctx) {
  const T* from = x.as<T>();
  T* to = y.as<T>();
  const Axis inner = p.axes[p.rank - 1];
  int64_t begin, end;
  if (p.rank == 1) {
    ctx.range(inner.size, begin, end);
    if (inner.src == 1 && inner.dst == 1) {
      if (begin < end)
        std::memcpy(to + p.dst_offset + begin, from + p.src_offset + begin, size_t(end - begin) * sizeof(T));
    } else {
      copy_line(to + p.dst_offset + begin * inner.dst, inner.dst, from + p.src_offset + begin * inner.src,
                inner.src, end - begin);
    }
    return;
  }
  // The axis that is dense in the source, when it is not the inner one, goes next to the inner one.
  int64_t dense = -1;
  for (int64_t d = 0; d < p.rank - 1; d++)
    if (p.axes[d].src == 1) dense = d;
  if (inner.src != 1 && dense >= 0) {
    const Axis outer = p.axes[dense];
    for (int64_t d = dense; d < p.rank - 2; d++) p.axes[d] = p.axes[d + 1];
    const bool turned = inner.dst == 1;
    const int64_t strip = turned ? kTileColumns<T> : kBlock, strips = ceil_div(outer.size, strip);
    const int64_t pieces = turned ? ceil_div(inner.size, kPiece) : 1;
    ctx.range(product(p, p.rank - 2) * strips * pieces, begin, end);
    for (int64_t item = begin; item < end; item++) {
      const Offsets o = locate(p, p.rank - 2, item / pieces / strips);
      const int64_t i0 = item / pieces % strips * strip, j0 = item % pieces * kPiece;
      const int64_t columns = min64(strip, outer.size - i0);
      T* to_strip = to + o.dst + i0 * outer.dst + j0;
      const T* from_strip = from + o.src + i0 + j0 * inner.src;
      if (turned)
        transpose_strip<T>({from_strip, inner.src, to_strip, outer.dst, min64(kPiece, inner.size - j0),
                            columns, streams(to_strip, outer.dst * int64_t(sizeof(T)), y.bytes)});
      else
        copy_plane(to_strip, from_strip, {columns, outer.src, outer.dst}, inner);
    }
    return;
  }
  ctx.range(product(p, p.rank - 1), begin, end);
  const Axis near = p.axes[p.rank - 2];
  for (int64_t item = begin; item < end;) {
    const Offsets o = locate(p, p.rank - 1, item);
    const int64_t n = min64(end - item, near.size - item % near.size);
    for (int64_t i = 0; i < n; i++) {
      T* line = to + o.dst + i * near.dst;
      const T* source = from + o.src + i * near.src;
      if (inner.src == 1 && inner.dst == 1)
        std::memcpy(line, source, size_t(inner.size) * sizeof(T));
      else
        copy_line(line, inner.dst, source, inner.src, inner.size);
    }
    item += n;
  }
}

void run(const Args& args, Ctx& ctx) {
  const CopyArgs a(args);
  Plan p;
  if (!read(a, p)) return;
  for (int64_t d = 0; d < p.rank; d++)
    if (p.axes[d].size == 0) return;
  collapse(p);
  switch (p.bytes) {
    case 1:
      copy_typed<uint8_t>(p, a.x_buf(), a.y_buf(), ctx);
      break;
    case 2:
      copy_typed<uint16_t>(p, a.x_buf(), a.y_buf(), ctx);
      break;
    case 4:
      copy_typed<uint32_t>(p, a.x_buf(), a.y_buf(), ctx);
      break;
    case 8:
      copy_typed<uint64_t>(p, a.x_buf(), a.y_buf(), ctx);
      break;
  }
  stream_end();
}

const char* check(const Args& args) {
  if (const char* problem = CopyArgs::mismatch(args)) return problem;
  const CopyArgs a(args);
  Plan p;
  if (!read(a, p)) return "copy: rank above 16";
  if (p.bytes != 1 && p.bytes != 2 && p.bytes != 4 && p.bytes != 8)
    return "copy: elements are not 1, 2, 4 or 8 bytes";
  double src_low = double(p.src_offset), src_high = src_low, dst_low = double(p.dst_offset),
         dst_high = dst_low;
  for (int64_t d = 0; d < p.rank; d++) {
    const Axis& x = p.axes[d];
    if (x.size < 0) return "copy: negative size";
    if (x.size == 0) return nullptr;
    const double src = double(x.size - 1) * double(x.src), dst = double(x.size - 1) * double(x.dst);
    (src < 0 ? src_low : src_high) += src;
    (dst < 0 ? dst_low : dst_high) += dst;
  }
  if (src_low < 0 || (src_high + 1) * double(p.bytes) > double(a.x_buf().bytes))
    return "copy: the source view reaches outside its buffer";
  if (dst_low < 0 || (dst_high + 1) * double(p.bytes) > double(a.y_buf().bytes))
    return "copy: the destination view reaches outside its buffer";
  return nullptr;
}

const KernelDef defs[] = {{"copy", run, nullptr, check}};

}  // namespace
extern const Table copy_table;
const Table copy_table = {defs, 1};
}  // namespace ingot::INGOT_NS
