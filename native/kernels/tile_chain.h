// Chains of a tile program: instructions of f32 that each take the result of the one before, which stays in
// registers.
#pragma once
#include "stream.h"
#include "tile_ops.h"

namespace ingot::INGOT_NS {

// Vectors that go through a chain together.
constexpr int kChain = INGOT_LANES == 16 ? 8 : 4;

// Where the result of the instruction before stands among the operands.
enum ChainPlace { kFirst, kSecond, kNowhere };

struct Link {
  int16_t op;
  ChainPlace place;
  bool repeats;       // the operand is one value, which fills the first vectors of its register
  const float* with;  // the other operand
};

inline bool chain_binary(int op) {
  switch (op) {
    case op_add_f32:
    case op_sub_f32:
    case op_mul_f32:
    case op_div_f32:
    case op_min_f32:
    case op_max_f32:
      return true;
    default:
      return false;
  }
}
inline bool chain_unary(int op) {
  switch (op) {
    case op_neg_f32:
    case op_abs_f32:
    case op_square_f32:
    case op_sqrt_f32:
    case op_reciprocal_f32:
    case op_exp_f32:
    case op_tanh_f32:
    case op_sigmoid_f32:
      return true;
    default:
      return false;
  }
}

template <int N> struct Vectors {
  vf v[N];
};
template <int N, class F> INGOT_INLINE void chain_map(Vectors<N>& x, F f) {
#pragma GCC unroll 8
  for (int i = 0; i < N; i++) x.v[i] = f(x.v[i]);
}
template <int N, class F> INGOT_INLINE void chain_join(Vectors<N>& x, const Link& l, const float* with, F f) {
  if (l.place == kFirst) {
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) x.v[i] = f(x.v[i], load(with + i * kW));
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) x.v[i] = f(load(with + i * kW), x.v[i]);
  }
}

// N vectors through the links: the first takes `from`.
template <int N>
INGOT_INLINE void chain_block(const Link* links, int count, const float* from, float* to, int64_t at,
                              bool past_caches) {
  Vectors<N> x;
#pragma GCC unroll 8
  for (int i = 0; i < N; i++) x.v[i] = load(from + i * kW);
  for (int k = 0; k < count; k++) {
    const Link& l = links[k];
    const float* with = l.repeats ? l.with : l.with + at;
    switch (l.op) {
      case op_add_f32:
        chain_join(x, l, with, [](vf a, vf b) { return a + b; });
        break;
      case op_sub_f32:
        chain_join(x, l, with, [](vf a, vf b) { return a - b; });
        break;
      case op_mul_f32:
        chain_join(x, l, with, [](vf a, vf b) { return a * b; });
        break;
      case op_div_f32:
        chain_join(x, l, with, [](vf a, vf b) { return a / b; });
        break;
      case op_min_f32:
        chain_join(x, l, with, [](vf a, vf b) { return nan_min(a, b); });
        break;
      case op_max_f32:
        chain_join(x, l, with, [](vf a, vf b) { return nan_max(a, b); });
        break;
      case op_neg_f32:
        chain_map(x, [](vf a) { return -a; });
        break;
      case op_abs_f32:
        chain_map(x, [](vf a) { return vabs(a); });
        break;
      case op_square_f32:
        chain_map(x, [](vf a) { return a * a; });
        break;
      case op_sqrt_f32:
        chain_map(x, [](vf a) { return vsqrt(a); });
        break;
      case op_reciprocal_f32:
        chain_map(x, [](vf a) { return 1.f / a; });
        break;
      case op_exp_f32:
        chain_map(x, [](vf a) { return vexp(a); });
        break;
      case op_tanh_f32:
        chain_map(x, [](vf a) { return vtanh(a); });
        break;
      case op_sigmoid_f32:
        chain_map(x, [](vf a) { return vsigmoid(a); });
        break;
    }
  }
  if (past_caches) {
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) stream(to + i * kW, x.v[i]);
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) store(to + i * kW, x.v[i]);
  }
}

// n elements, a multiple of kW; `to` may be `from` or an operand.
inline void run_chain(const Link* links, int count, const float* from, float* to, int64_t n,
                      bool past_caches) {
  int64_t i = 0;
  for (; i + kChain * kW <= n; i += kChain * kW)
    chain_block<kChain>(links, count, from + i, to + i, i, past_caches);
  for (; i < n; i += kW) chain_block<1>(links, count, from + i, to + i, i, past_caches);
}

}  // namespace ingot::INGOT_NS
