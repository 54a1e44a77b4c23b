// reduce: over the middle axis of [outer, D, inner]. Float sums are kept in short f32 runs that are added in
// double; a long single axis is split into fixed chunks, so the result does not depend on the number of
// workers.
#include <cmath>
#include <limits>

#include "norm.h"
#include "signatures/reduce.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kChunk = 8192;

int64_t element_bytes(int64_t dtype) {
  switch (dtype) {
    case dF32: case dI32: case dU32: return 4;
    case dF16: case dBF16: return 2;
    case dI8: case dU8: case dBool: return 1;
    default: return 0;
  }
}
bool is_float(int64_t dtype) { return dtype == dF32 || dtype == dF16 || dtype == dBF16; }

// Elements as double: exact for every dtype.
double element(const uint8_t* p, int64_t dtype) {
  switch (dtype) {
    case dF32: { float v; std::memcpy(&v, p, 4); return v; }
    case dI32: { int32_t v; std::memcpy(&v, p, 4); return v; }
    case dU32: { uint32_t v; std::memcpy(&v, p, 4); return v; }
    case dI8: return int8_t(*p);
    case dU8: return *p;
    case dBool: return *p != 0;
    case dF16: case dBF16: {
      vh h{};
      uint16_t bits;
      std::memcpy(&bits, p, 2);
      h[0] = bits;
      return dtype == dF16 ? f16_to_f32(h)[0] : bf16_to_f32(h)[0];
    }
    default: return std::numeric_limits<double>::quiet_NaN();  // element_bytes has refused it
  }
}

struct Accumulator {
  double value;
  int64_t at;
};
Accumulator start(int64_t kind) {
  const double inf = std::numeric_limits<double>::infinity();
  switch (kind) {
    case kMax: case kArgmax: return {-inf, -1};
    case kMin: case kArgmin: return {inf, -1};
    case kProd: case kAll: return {1, -1};
    case kSum: case kMean: case kAny: return {0, -1};
    default: return {std::numeric_limits<double>::quiet_NaN(), -1};
  }
}
// NaN wins for max and min; equal values keep the lower index; products of integers wrap.
void add(int64_t kind, bool integers, Accumulator& acc, double x, int64_t at) {
  switch (kind) {
    case kSum: case kMean: acc.value += x; break;
    case kProd:
      acc.value =
          integers ? double(int32_t(uint32_t(int64_t(acc.value)) * uint32_t(int64_t(x)))) : acc.value * x;
      break;
    case kAny: acc.value = acc.value != 0 || x != 0; break;
    case kAll: acc.value = acc.value != 0 && x != 0; break;
    case kMax: case kArgmax:
      if (acc.at < 0 || x > acc.value || (x != x && acc.value == acc.value)) acc = {x, at};
      break;
    case kMin: case kArgmin:
      if (acc.at < 0 || x < acc.value || (x != x && acc.value == acc.value)) acc = {x, at};
      break;
    default: acc.value = std::numeric_limits<double>::quiet_NaN();
  }
}

void finish(const ReduceArgs& a, int64_t kind, int64_t dtype, int64_t D, const Accumulator& acc, int64_t at) {
  uint8_t* y = a.y();
  if (kind == kArgmax || kind == kArgmin) reinterpret_cast<int32_t*>(y)[at] = int32_t(acc.at);
  else if (kind == kAny || kind == kAll) y[at] = acc.value != 0;
  else if (is_float(dtype)) {
    const float v = float(kind == kMean ? acc.value / double(D) : acc.value);
    vf wide{};
    wide[0] = v;
    if (dtype == dF32) reinterpret_cast<float*>(y)[at] = v;
    else reinterpret_cast<uint16_t*>(y)[at] = dtype == dF16 ? f32_to_f16(wide)[0] : f32_to_bf16(wide)[0];
  } else {  // sums wrap here: 2^53 covers every sum of integers that fit in memory
    reinterpret_cast<uint32_t*>(y)[at] = uint32_t(int64_t(acc.value));
  }
}

Accumulator reduce_line(int64_t kind, int64_t dtype, const uint8_t* x, int64_t stride, int64_t begin,
                        int64_t end) {
  Accumulator acc = start(kind);
  const int64_t bytes = element_bytes(dtype);
  if (dtype == dF32 && stride == 1 && (kind == kSum || kind == kMean)) {
    for (int64_t d = begin; d < end; d += kChunk)
      acc.value +=
          row_sum(reinterpret_cast<const float*>(x) + d, min64(kChunk, end - d), [](vf v) { return v; });
    return acc;
  }
  for (int64_t d = begin; d < end; d++)
    add(kind, !is_float(dtype), acc, element(x + d * stride * bytes, dtype), d);
  return acc;
}

// inner > 1, f32 sums, maxima and minima: kW columns at a time.
void reduce_columns(const float* x, int64_t D, int64_t inner, int64_t kind, int lanes, float* y) {
  vf acc = load_some(x, lanes), total{};
  const bool sum = kind == kSum || kind == kMean;
  for (int64_t d = 1; d < D; d++) {
    const vf v = load_some(x + d * inner, lanes);
    if (sum) acc += v;
    else if (kind == kMax) acc = pick((acc > v) | (acc != acc), acc, v);
    else acc = pick((acc < v) | (acc != acc), acc, v);
    if (sum && d % 512 == 511) {
      total += acc;
      acc = vf{};
    }
  }
  if (sum) acc += total;
  store_some(y, kind == kMean ? acc / float(D) : acc, lanes);
}

int64_t chunks(int64_t outer, int64_t D, int64_t inner) {
  return outer * inner < 64 && D >= 8 * kChunk ? ceil_div(D, 8 * kChunk) : 1;
}

void run(const Args& args, Ctx& ctx) {
  const ReduceArgs a(args);
  const int64_t outer = a.outer(), D = a.D(), inner = a.inner(), kind = a.kind(), dtype = a.dtype();
  const int64_t bytes = element_bytes(dtype), parts = chunks(outer, D, inner);
  int64_t begin, end;
  const bool by_column = kind == kSum || kind == kMean || kind == kMax || kind == kMin;
  if (inner > 1 && parts == 1 && D > 0 && dtype == dF32 && by_column) {
    const int64_t strips = ceil_div(inner, kW);
    const auto* x = reinterpret_cast<const float*>(a.x());
    auto* y = reinterpret_cast<float*>(a.y());
    ctx.range(outer * strips, begin, end);
    for (int64_t item = begin; item < end; item++) {
      const int64_t o = item / strips, i = item % strips * kW;
      reduce_columns(x + o * D * inner + i, D, inner, kind, int(min64(kW, inner - i)), y + o * inner + i);
    }
    return;
  }
  const auto line = [&](int64_t item) { return a.x() + (item / inner * D * inner + item % inner) * bytes; };
  if (parts == 1) {
    ctx.range(outer * inner, begin, end);
    for (int64_t item = begin; item < end; item++)
      finish(a, kind, dtype, D, reduce_line(kind, dtype, line(item), inner, 0, D), item);
    return;
  }
  auto* partial = reinterpret_cast<Accumulator*>(ctx.team->shared);
  ctx.range(outer * inner * parts, begin, end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t d = item % parts * 8 * kChunk;
    partial[item] = reduce_line(kind, dtype, line(item / parts), inner, d, min64(d + 8 * kChunk, D));
  }
  ctx.barrier();
  ctx.range(outer * inner, begin, end);
  for (int64_t item = begin; item < end; item++) {
    Accumulator acc = start(kind);
    for (int64_t p = 0; p < parts; p++) {
      const Accumulator& part = partial[item * parts + p];
      add(kind, !is_float(dtype), acc, part.value, part.at);
    }
    finish(a, kind, dtype, D, acc, item);
  }
}
size_t shared_bytes(const Args& args, int) {
  const ReduceArgs a(args);
  const int64_t parts = chunks(a.outer(), a.D(), a.inner());
  return parts == 1 ? 0 : size_t(a.outer() * a.inner() * parts) * sizeof(Accumulator);
}
const char* check(const Args& args) {
  if (const char* problem = ReduceArgs::mismatch(args)) return problem;
  const ReduceArgs a(args);
  const int64_t outer = a.outer(), D = a.D(), inner = a.inner(), kind = a.kind(), dtype = a.dtype();
  const int64_t bytes = element_bytes(dtype);
  if (outer < 0 || D < 0 || inner < 0) return "reduce: negative size";
  if (kind < 0 || kind >= kReductions) return "reduce: unknown kind";
  if (bytes == 0) return "reduce: unknown element type";
  const bool picks = kind == kMax || kind == kMin || kind == kArgmax || kind == kArgmin;
  if (D == 0 && picks && outer * inner > 0) return "reduce: maximum or minimum of an empty axis";
  const bool index = kind == kArgmax || kind == kArgmin, truth = kind == kAny || kind == kAll;
  if (!index && !truth && bytes == 1)
    return "reduce: 8-bit elements can only be tested or searched: cast them first";
  if (kind == kMean && !is_float(dtype)) return "reduce: mean of integers: cast them first";
  if (double(outer) * double(D) * double(inner) * double(bytes) > double(a.x_buf().bytes))
    return "reduce: x smaller than [outer, D, inner]";
  if (outer * inner * (index ? 4 : truth ? 1 : bytes) > a.y_buf().bytes)
    return "reduce: y smaller than [outer, inner]";
  return nullptr;
}

const KernelDef defs[] = {{"reduce", run, shared_bytes, check}};

}  // namespace
extern const Table reduce_table;
const Table reduce_table = {defs, 1};
}  // namespace ingot::INGOT_NS
