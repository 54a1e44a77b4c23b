// Vectorised elementary functions. Bounds (units in the last place, against correctly rounded results, whole
// range unless said) are stated per function and tested in tests/ops_test.cc. Polynomials are minimax fits on
// the reduced ranges.
#pragma once
#include <cmath>

#include "vec.h"

namespace ingot::INGOT_NS {

// NaN where either is.
INGOT_INLINE vf nan_max(vf a, vf b) { return pick((a > b) | (a != a), a, b); }
INGOT_INLINE vf nan_min(vf a, vf b) { return pick((a < b) | (a != a), a, b); }

// Nearest integer, ties to even, for |x| < 2^22.
INGOT_INLINE vf rint_small(vf x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
INGOT_INLINE vf copysign(vf magnitude, vf sign) {
  return as_f((as_i(magnitude) & 0x7fffffff) | (as_i(sign) & set1i(int32_t(0x80000000u))));
}
INGOT_INLINE vf vround(vf x) {
  const vf a = vabs(x);
  return copysign(pick(a < set1(0x1p22f), rint_small(a), pick(a < set1(0x1p23f), (a + 0x1p23f) - 0x1p23f, a)),
                  x);
}
INGOT_INLINE vf vfloor(vf x) {
  const vf r = vround(x);
  return pick(r > x, r - 1.f, r);
}
INGOT_INLINE vf vceil(vf x) { return -vfloor(-x); }
INGOT_INLINE vf vtrunc(vf x) { return copysign(vfloor(vabs(x)), x); }

INGOT_INLINE vf pow2i(vi n) { return as_f((n + 127) << 23); }

// x - n ln2, ln2 in two parts.
INGOT_INLINE vf less_ln2(vf x, vf n) { return fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), x)); }
// e^r for |r| <= ln2 / 2.
INGOT_INLINE vf exp_reduced(vf r) {
  vf p = fma(set1(1.395047875e-03f), r, set1(8.368884213e-03f));
  p = fma(p, r, set1(4.166620597e-02f));
  p = fma(p, r, set1(1.666651815e-01f));
  p = fma(p, r, set1(5.000000000e-01f));
  return fma(p, r * r, r) + 1.f;
}
// e^x for x <= 89 or NaN, as `vexp`.
INGOT_INLINE vf vexp_below(vf x) {
  x = pick(x < set1(-105.f), set1(-105.f), x);
  const vf n = rint_small(x * 1.44269504f);
  const vf p = exp_reduced(less_ln2(x, n));
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  const vi k = to_i(pick(n == n, n, set1(0)));
  const vi half = k >> 1;
  return p * pow2i(half) * pow2i(k - half);
#endif
}
// 2 ulp; subnormal results, 0 and infinity where due.
INGOT_INLINE vf vexp(vf x) { return vexp_below(pick(x > set1(89.f), set1(89.f), x)); }
// e^x for x <= 0 without NaN; results below 2^-126 become 0. 2 ulp. For the inner loops of softmax.
INGOT_INLINE vf vexp_nonpositive(vf x) {
#if defined(__AVX512F__)
  x = vmax(x, set1(-105.f));
  const vf n = rint_small(x * 1.44269504f);
  return (vf)_mm512_scalef_ps((__m512)exp_reduced(less_ln2(x, n)), (__m512)n);
#else
  const vi live = x > set1(-87.f);
  x = vmax(x, set1(-87.f));
  const vf n = rint_small(x * 1.44269504f);
  return as_f(as_i(exp_reduced(less_ln2(x, n)) * pow2i(to_i(n))) & live);
#endif
}
// 3 ulp.
INGOT_INLINE vf vexpm1(vf x) {
  vf p = 1.998968073e-04f * x + 1.398525317e-03f;
  p = p * x + 8.333092555e-03f;
  p = p * x + 4.166579992e-02f;
  p = p * x + 1.666666716e-01f;
  const vf small = (p * x + 0.5f) * (x * x) + x;
  return pick(vabs(x) < set1(0.5f), pick(x == set1(0), x, small), vexp(x) - 1.f);
}

// 2 ulp; -infinity at 0, NaN below.
INGOT_INLINE vf vlog(vf x) {
  const vi tiny = x < set1(0x1p-126f);
  const vf y = pick(tiny, x * 0x1p23f, x);
  const vi bits = as_i(y);
  const vi e = (bits - 0x3f3504f3) >> 23;  // mantissa in [sqrt(1/2), sqrt(2))
  const vf n = to_f(e) - pick(tiny, set1(23.f), set1(0.f));
  const vf f = as_f(bits - (e << 23)) - 1.f;
  vf p = 6.915105134e-02f * f - 1.178967506e-01f;
  p = p * f + 1.187302396e-01f;
  p = p * f - 1.238437444e-01f;
  p = p * f + 1.421865523e-01f;
  p = p * f - 1.666924953e-01f;
  p = p * f + 2.000222653e-01f;
  p = p * f - 2.499998659e-01f;
  p = p * f + 3.333331048e-01f;
  const vf f2 = f * f;
  const vf tail = p * (f2 * f) - n * 2.12194440e-4f;
  vf r = (f - (0.5f * f2 - tail)) + n * 0.693359375f;
  const float inf = __builtin_inff();
  r = pick(x == set1(0), set1(-inf), r);
  r = pick(x == set1(inf), x, r);
  return pick((x < set1(0)) | (x != x), set1(__builtin_nanf("")), r);
}
// 4 ulp.
INGOT_INLINE vf vlog1p(vf x) {
  const vf u = 1.f + x;
  const vf exact = u - 1.f;  // what log(u) is the logarithm of: 1 + exact
  const vf r = vlog(u) * (x / exact);
  return pick(vabs(x) < set1(0x1p-24f), x,
              pick(x == set1(__builtin_inff()), x, pick(x == set1(-1.f), set1(-__builtin_inff()), r)));
}

INGOT_INLINE vf vsigmoid(vf x) { return 1.f / (1.f + vexp(-x)); }  // 4 ulp for results above 2^-126
// x sigmoid(u) to 4 ulp for u > -87; x = u = -infinity gives NaN. A division of 16 lanes takes as long as all
// the rest, so a reciprocal is made where it is a number.
INGOT_INLINE vf gated_by_sigmoid(vf x, vf u) {
  const vf d = vexp(-u) + 1.f;
#if defined(__AVX512F__)
  const vf r = (vf)_mm512_rcp14_ps((__m512)d);
  const vf near = x * (r * (2.f - d * r));
#else
  const vf near = x * (1.f / d);
#endif
  return pick(u < set1(-80.f), x / d, near);
}
INGOT_INLINE vf vsilu(vf x) { return gated_by_sigmoid(x, x); }
// 6 ulp: a minimax fit of x P(x^2) / Q(x^2) up to 8.7, 1 beyond.
INGOT_INLINE vf vtanh(vf x) {
  const vf a = vabs(x), t = a * a;
  vf p = fma(set1(1.396160787e-08f), t, set1(2.104343366e-05f));
  p = fma(p, t, set1(3.521919483e-03f));
  p = fma(p, t, set1(1.340319961e-01f));
  vf q = fma(set1(8.023704936e-07f), t, set1(3.328724997e-04f));
  q = fma(q, t, set1(2.597715333e-02f));
  q = fma(q, t, set1(4.673652351e-01f));
  const vf r = fma(p * t, a, a) / fma(q, t, set1(1.f));
  return copysign(pick((a > set1(8.7f)) | (r > set1(1.f)), set1(1.f), r), x);
}

// erf(x) / x - 2 / sqrt(pi), as a polynomial of t = x^2 for |x| < 0.9, times x, plus the leading term.
INGOT_INLINE vf erf_small(vf x) {
  const vf t = x * x;
  vf p = 8.409916336e-05f * t - 8.152626688e-04f;
  p = p * t + 5.201959983e-03f;
  p = p * t - 2.685979940e-02f;
  p = p * t + 1.128370315e-01f;
  p = p * t - 3.761263490e-01f;
  return x * (p * t + 1.12837917f);
}
// erfc(a) for a >= 0.88: relative error 1e-6 up to a = 4, below 1e-17 absolute beyond.
INGOT_INLINE vf erfc_big(vf a) {
  const vf b = pick(a > set1(4.f), set1(4.f), a);
  vf p = -8.819417303e-07f * b - 9.296067219e-06f;
  p = p * b + 3.668267454e-04f;
  p = p * b - 3.954024054e-03f;
  p = p * b + 2.469285019e-02f;
  p = p * b - 1.077540219e-01f;
  p = p * b + 3.662553728e-01f;
  p = p * b - 1.129346251e+00f;
  p = p * b + 1.439653424e-04f;
  return vexp(p - a * a);
}
// 4 ulp.
INGOT_INLINE vf verf(vf x) {
  const vf a = vabs(x);
  return pick(a < set1(0.9f), erf_small(x), pick(x == x, copysign(1.f - erfc_big(a), x), x));
}
// x Phi(x). Absolute error 4 ulp of |x| for x > -1.3, relative 3e-6 + below.
INGOT_INLINE vf vgelu_erf(vf x) {
  const vf z = x * 0.70710678f, a = vabs(z);
  const vf e = 0.5f * erfc_big(a);
  const vf big = x * pick(x > set1(0), 1.f - e, e);
  return pick(a < set1(0.9f), 0.5f * x * (1.f + erf_small(z)),
              pick(x == set1(-__builtin_inff()), set1(0.f), big));
}
// x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3): the same as 0.5 x (1 + tanh u).
INGOT_INLINE vf vgelu_tanh(vf x) {
  return gated_by_sigmoid(x, x * (1.5957691216f + 0.0713548163f * (x * x)));
}

// Half of a vector as doubles: sine or cosine argument reduced to |r| <= pi/4, with the quadrant.
struct Reduced {
  vf r;
  vi quadrant;
};
INGOT_INLINE Reduced reduce_half_pi(vf x) {
  union {
    vf whole;
    vf_half part[2];
  } in{x}, r;
  union {
    vi whole;
    vi_half part[2];
  } q;
  for (int i = 0; i < 2; i++) {
    const vd d = __builtin_convertvector(in.part[i], vd);
    const vd n = (d * 0x1.45f306dc9c883p-1 + 0x1.8p52) - 0x1.8p52;
    // pi/2 in two parts; the first has 33 bits, so that n times it is exact for n < 2^20
    const vd rest = (d - n * 0x1.921fb544p+0) - n * 0x1.0b4611a626331p-34;
    r.part[i] = __builtin_convertvector(rest, vf_half);
    q.part[i] = __builtin_convertvector(n, vi_half);
  }
  return {r.whole, q.whole};
}
constexpr float kTrigLimit = 1.0e6f;
INGOT_INLINE vf sin_poly(vf r) {
  const vf t = r * r;
  vf p = 2.717939878e-06f * t - 1.983929542e-04f;
  p = p * t + 8.333329111e-03f;
  p = p * t - 1.666666716e-01f;
  return p * (t * r) + r;
}
INGOT_INLINE vf cos_poly(vf r) {
  const vf t = r * r;
  vf p = 2.443484300e-05f * t - 1.388733741e-03f;
  p = p * t + 4.166664556e-02f;
  return p * (t * t) + (1.f - 0.5f * t);
}
// 2 ulp of the result, or 2^-24 absolute where that is larger, for |x| <= 1e6; the C library beyond.
INGOT_INLINE void vsincos(vf x, vf& s, vf& c) {
  const Reduced red = reduce_half_pi(x);
  const vf sr = sin_poly(red.r), cr = cos_poly(red.r);
  const vi swap = (red.quadrant & 1) != 0;
  s = pick(swap, cr, sr);
  c = pick(swap, sr, cr);
  s = as_f(as_i(s) ^ ((red.quadrant & 2) << 30));
  c = as_f(as_i(c) ^ (((red.quadrant + 1) & 2) << 30));
  s = pick(x == set1(0), x, s);
  const vi large = ~(vi)(vabs(x) <= set1(kTrigLimit));
  if (any(large)) {
    for (int i = 0; i < kW; i++) {
      if (!large[i]) continue;
      s[i] = std::sin(x[i]);
      c[i] = std::cos(x[i]);
    }
  }
}

}  // namespace ingot::INGOT_NS
