// The instructions of tile programs as vector loops over one tile of n elements (n a multiple of kW).
// Semantics are stated in src/kernel/tile-opcodes.ts.
#pragma once
#include <cmath>

#include "tile_opcodes.h"
#include "vec_math.h"

namespace ingot::INGOT_NS {

template <class R, class A, class F> INGOT_INLINE void tile_map(void* d, const void* a, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += kW) {
    A x;
    std::memcpy(&x, static_cast<const uint8_t*>(a) + i * 4, sizeof x);
    storeb(static_cast<uint8_t*>(d) + i * 4, R(f(x)));
  }
}
template <class R, class A, class F>
INGOT_INLINE void tile_map(void* d, const void* a, const void* b, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += kW) {
    A x, y;
    std::memcpy(&x, static_cast<const uint8_t*>(a) + i * 4, sizeof x);
    std::memcpy(&y, static_cast<const uint8_t*>(b) + i * 4, sizeof y);
    storeb(static_cast<uint8_t*>(d) + i * 4, R(f(x, y)));
  }
}
// For what has no vector form: f on single values.
template <class A, class F>
INGOT_INLINE void tile_each(void* d, const void* a, const void* b, int64_t n, F f) {
  for (int64_t i = 0; i < n; i++)
    static_cast<A*>(d)[i] = f(static_cast<const A*>(a)[i], static_cast<const A*>(b)[i]);
}

INGOT_INLINE vf sign(vf x) {
  const vf zero{};
  return pick(x > zero, set1(1), pick(x < zero, set1(-1), x));
}
INGOT_INLINE vf tangent(vf x) {
  vf s, c;
  vsincos(x, s, c);
  return s / c;
}
INGOT_INLINE vf sine(vf x) {
  vf s, c;
  vsincos(x, s, c);
  return s;
}
INGOT_INLINE vf cosine(vf x) {
  vf s, c;
  vsincos(x, s, c);
  return c;
}
INGOT_INLINE vi f32_to_i32(vf x) {
  const vi inside = (x >= set1(-0x1p31f)) & (x < set1(0x1p31f));
  const vi limit = x > vf{} ? set1i(INT32_MAX) : set1i(INT32_MIN);
  const vi r = inside ? to_i(pick(inside, x, vf{})) : limit;
  return (x == x) ? r : vi{};
}
INGOT_INLINE vi f32_to_u32(vf x) {
  const vi high = x >= set1(0x1p31f);
  const vf low = pick(high, x - 0x1p31f, x);
  const vi r = to_i(pick((low > vf{}) & (low < set1(0x1p31f)), low, vf{})) ^ (high & INT32_MIN);
  return x >= set1(0x1p32f) ? set1i(-1) : r;
}
inline float mod_f32(float a, float b) {
  const float r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.f, b);
  return (r < 0) != (b < 0) ? r + b : r;
}
inline int32_t div_i32(int32_t a, int32_t b) {
  if (b == 0) return 0;
  if (b == -1) return int32_t(0u - uint32_t(a));
  const int32_t q = a / b;
  return q - (a % b != 0 && (a < 0) != (b < 0));
}
inline int32_t mod_i32(int32_t a, int32_t b) {
  if (b == 0 || b == -1) return 0;
  const int32_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

inline uint32_t pow_u32(uint32_t a, uint32_t b) {
  uint32_t r = 1;
  for (; b != 0; b >>= 1, a *= a)
    if (b & 1) r *= a;
  return r;
}
inline int32_t pow_i32(int32_t a, int32_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? ((b & 1) ? -1 : 1) : 0;
  return int32_t(pow_u32(uint32_t(a), uint32_t(b)));
}

inline void tile_execute(int op, void* d, const void* a, const void* b, const void* c, int64_t n) {
#define UNARY(name, R, A, expr) \
  case op_##name: return tile_map<R, A>(d, a, n, [](A x) { return expr; })
#define BINARY(name, R, A, expr) \
  case op_##name: return tile_map<R, A>(d, a, b, n, [](A x, A y) { return expr; })
#define EACH(name, A, expr) \
  case op_##name: return tile_each<A>(d, a, b, n, [](A x, A y) { return expr; })
#define COMPARE(kind, A) \
  BINARY(eq_##kind, vi, A, (x == y) & 1); \
  BINARY(ne_##kind, vi, A, (x != y) & 1); \
  BINARY(lt_##kind, vi, A, (x < y) & 1); \
  BINARY(le_##kind, vi, A, (x <= y) & 1); \
  BINARY(gt_##kind, vi, A, (x > y) & 1); \
  BINARY(ge_##kind, vi, A, (x >= y) & 1)
#define BITS(kind, A) \
  BINARY(and_##kind, A, A, x & y); \
  BINARY(or_##kind, A, A, x | y); \
  BINARY(xor_##kind, A, A, x ^ y)
  switch (op) {
    BINARY(add_f32, vf, vf, x + y);
    BINARY(sub_f32, vf, vf, x - y);
    BINARY(mul_f32, vf, vf, x * y);
    BINARY(div_f32, vf, vf, x / y);
    EACH(mod_f32, float, mod_f32(x, y));
    EACH(pow_f32, float, std::pow(x, y));
    BINARY(min_f32, vf, vf, nan_min(x, y));
    BINARY(max_f32, vf, vf, nan_max(x, y));
    UNARY(neg_f32, vf, vf, -x);
    UNARY(abs_f32, vf, vf, vabs(x));
    UNARY(sign_f32, vf, vf, sign(x));
    UNARY(square_f32, vf, vf, x * x);
    UNARY(sqrt_f32, vf, vf, vsqrt(x));
    UNARY(rsqrt_f32, vf, vf, 1.f / vsqrt(x));
    UNARY(reciprocal_f32, vf, vf, 1.f / x);
    UNARY(exp_f32, vf, vf, vexp(x));
    UNARY(expm1_f32, vf, vf, vexpm1(x));
    UNARY(log_f32, vf, vf, vlog(x));
    UNARY(log1p_f32, vf, vf, vlog1p(x));
    UNARY(sin_f32, vf, vf, sine(x));
    UNARY(cos_f32, vf, vf, cosine(x));
    UNARY(tan_f32, vf, vf, tangent(x));
    UNARY(tanh_f32, vf, vf, vtanh(x));
    UNARY(sigmoid_f32, vf, vf, vsigmoid(x));
    UNARY(erf_f32, vf, vf, verf(x));
    UNARY(floor_f32, vf, vf, vfloor(x));
    UNARY(ceil_f32, vf, vf, vceil(x));
    UNARY(round_f32, vf, vf, vround(x));
    UNARY(trunc_f32, vf, vf, vtrunc(x));
    UNARY(silu_f32, vf, vf, vsilu(x));
    UNARY(gelu_tanh_f32, vf, vf, vgelu_tanh(x));
    UNARY(gelu_erf_f32, vf, vf, vgelu_erf(x));
    UNARY(isnan_f32, vi, vf, (x != x) & 1);
    COMPARE(f32, vf);
    BINARY(add_i32, vu, vu, x + y);
    BINARY(sub_i32, vu, vu, x - y);
    BINARY(mul_i32, vu, vu, x * y);
    EACH(div_i32, int32_t, div_i32(x, y));
    EACH(mod_i32, int32_t, mod_i32(x, y));
    BINARY(min_i32, vi, vi, x < y ? x : y);
    BINARY(max_i32, vi, vi, x > y ? x : y);
    UNARY(neg_i32, vu, vu, 0u - x);
    UNARY(abs_i32, vu, vi, (vu)(x < 0 ? (vi)(0u - (vu)x) : x));
    UNARY(sign_i32, vi, vi, (x < 0) - (x > 0));
    BITS(i32, vi);
    UNARY(not_i32, vi, vi, ~x);
    BINARY(shl_i32, vu, vu, x << (y & 31u));
    BINARY(shr_i32, vi, vi, x >> (y & 31));
    COMPARE(i32, vi);
    BINARY(add_u32, vu, vu, x + y);
    BINARY(sub_u32, vu, vu, x - y);
    BINARY(mul_u32, vu, vu, x * y);
    EACH(div_u32, uint32_t, y == 0 ? 0 : x / y);
    EACH(mod_u32, uint32_t, y == 0 ? 0 : x % y);
    BINARY(min_u32, vu, vu, x < y ? x : y);
    BINARY(max_u32, vu, vu, x > y ? x : y);
    BITS(u32, vu);
    UNARY(not_u32, vu, vu, ~x);
    BINARY(shl_u32, vu, vu, x << (y & 31u));
    BINARY(shr_u32, vu, vu, x >> (y & 31u));
    COMPARE(u32, vu);
    BITS(bool, vi);
    UNARY(not_bool, vi, vi, x ^ 1);
    BINARY(eq_bool, vi, vi, (x == y) & 1);
    BINARY(ne_bool, vi, vi, (x != y) & 1);
    UNARY(f32_to_i32, vi, vf, f32_to_i32(x));
    UNARY(f32_to_u32, vi, vf, f32_to_u32(x));
    UNARY(f32_to_bool, vi, vf, (x != vf{}) & 1);
    UNARY(i32_to_f32, vf, vi, to_f(x));
    UNARY(i32_to_bool, vi, vi, (x != 0) & 1);
    UNARY(u32_to_f32, vf, vu, __builtin_convertvector(x, vf));
    UNARY(u32_to_bool, vi, vi, (x != 0) & 1);
    UNARY(bool_to_f32, vf, vi, to_f(x));
    EACH(pow_i32, int32_t, pow_i32(x, y));
    EACH(pow_u32, uint32_t, pow_u32(x, y));
    case op_i32_to_u32:
    case op_u32_to_i32:
    case op_bool_to_i32:
    case op_bool_to_u32: std::memmove(d, a, size_t(n) * 4); return;
    case op_select:
      for (int64_t i = 0; i < n; i += kW) {
        const vi m = loadi(static_cast<const int32_t*>(a) + i);
        const vi x = loadi(static_cast<const int32_t*>(b) + i), y = loadi(static_cast<const int32_t*>(c) + i);
        storeb(static_cast<int32_t*>(d) + i, m != 0 ? x : y);
      }
      return;
  }
#undef UNARY
#undef BINARY
#undef EACH
#undef COMPARE
#undef BITS
}

}  // namespace ingot::INGOT_NS
