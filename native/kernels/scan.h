// What scan.cc is made of: elements of each dtype as vectors, the joins, and the scan of a piece of a row.
#pragma once
#include <type_traits>

#include "signatures/running_code.h"
#include "stream.h"
#include "tile_ops.h"

namespace ingot::INGOT_NS {

// ---- Elements: n <= kW of them as a vector, the other lanes 0. ----

struct F32 {
  using V = vf;
  static constexpr int64_t bytes = 4;
  INGOT_INLINE static vf load(const uint8_t* p, int n) {
    return load_some(reinterpret_cast<const float*>(p), n);
  }
  INGOT_INLINE static void store(uint8_t* p, vf v, int n, bool past_caches) {
    auto* to = reinterpret_cast<float*>(p);
    if (past_caches && n == kW)
      stream(to, v);
    else
      store_some(to, v, n);
  }
};
template <bool kBrain> struct Half {
  using V = vf;
  static constexpr int64_t bytes = 2;
  INGOT_INLINE static vf load(const uint8_t* p, int n) {
    vh h{};
    std::memcpy(&h, p, n == kW ? sizeof h : size_t(n) * 2);
    return kBrain ? bf16_to_f32(h) : f16_to_f32(h);
  }
  INGOT_INLINE static void store(uint8_t* p, vf v, int n, bool) {
    const vh h = kBrain ? f32_to_bf16(v) : f32_to_f16(v);
    std::memcpy(p, &h, n == kW ? sizeof h : size_t(n) * 2);
  }
};
using F16 = Half<false>;
using BF16 = Half<true>;
template <class V_> struct Whole {
  using V = V_;
  static constexpr int64_t bytes = 4;
  INGOT_INLINE static V load(const uint8_t* p, int n) { return (V)F32::load(p, n); }
  INGOT_INLINE static void store(uint8_t* p, V v, int n, bool past_caches) {
    F32::store(p, (vf)v, n, past_caches);
  }
};

// ---- Joins of what came before with what follows. ----

template <class V> using Lane = std::remove_cvref_t<decltype(V{}[0])>;
template <class V> INGOT_INLINE V all_lanes(Lane<V> x) { return x - V{}; }

struct Sum {
  template <class V> INGOT_INLINE static V join(V a, V b) { return (V)((vu)a + (vu)b); }
  template <class V> INGOT_INLINE static V identity() { return V{}; }
};
struct Product {
  template <class V> INGOT_INLINE static V join(V a, V b) { return (V)((vu)a * (vu)b); }
  template <class V> INGOT_INLINE static V identity() { return all_lanes<V>(1); }
};
// NaN wins; of equal values the later one.
struct Largest {
  template <class V> INGOT_INLINE static V join(V a, V b) {
    if constexpr (std::is_same_v<V, vf>)
      return nan_max(a, b);
    else
      return a > b ? a : b;
  }
  template <class V> INGOT_INLINE static V identity() {
    if constexpr (std::is_same_v<V, vf>)
      return set1(-__builtin_inff());
    else if constexpr (std::is_same_v<V, vi>)
      return set1i(INT32_MIN);
    else
      return V{};
  }
};
struct Smallest {
  template <class V> INGOT_INLINE static V join(V a, V b) {
    if constexpr (std::is_same_v<V, vf>)
      return nan_min(a, b);
    else
      return a < b ? a : b;
  }
  template <class V> INGOT_INLINE static V identity() {
    if constexpr (std::is_same_v<V, vf>)
      return set1(__builtin_inff());
    else if constexpr (std::is_same_v<V, vi>)
      return set1i(INT32_MAX);
    else
      return ~V{};
  }
};

// ---- Blocks of 16 elements. ----

constexpr int kBlockVectors = 16 / kW;

// Lanes move up by S; those of `before` come in.
template <int S> struct MoveUp {
  static constexpr int at(int i) { return kW + i - S; }
};
struct Backwards {
  static constexpr int at(int i) { return kW - 1 - i; }
};
template <int S> INGOT_INLINE vf move_up(vf before, vf v) {
#if defined(__AVX512F__)
  return (vf)_mm512_alignr_epi32((__m512i)v, (__m512i)before, 16 - S);
#else
  return shuffle<MoveUp<S> >(before, v);
#endif
}

// Inclusive scan of a block: each element takes in the one S before it, S = 1, 2, 4, 8.
template <class F, int S = 1> INGOT_INLINE void scan_block(F& f, typename F::V* v) {
  using V = typename F::V;
  const V none = F::identity();
  for (int i = kBlockVectors - 1; i >= 0; i--) {
    if constexpr (S < kW)
      v[i] = f.join((V)move_up<S>((vf)(i > 0 ? v[i - 1] : none), (vf)v[i]), v[i]);
    else if (i >= S / kW)
      v[i] = f.join(v[i - S / kW], v[i]);
  }
  if constexpr (S < 8) scan_block<F, 2 * S>(f, v);
}

// A join that is associative to the bit: a running value is all there is to carry. `step` is for columns.
template <class V_, class J> struct Fold {
  using V = V_;
  V carry = J::template identity<V>();
  INGOT_INLINE static V identity() { return J::template identity<V>(); }
  INGOT_INLINE static V join(V a, V b) { return J::join(a, b); }
  INGOT_INLINE V before() const { return carry; }
  INGOT_INLINE void finish(V* v) {
    for (int i = 0; i < kBlockVectors; i++) v[i] = join(carry, v[i]);
    carry = all_lanes<V>(v[kBlockVectors - 1][kW - 1]);
  }
  INGOT_INLINE V step(V x) { return carry = join(carry, x); }
  double total() const { return double(carry[0]); }
  void take(double x) { carry = join(carry, all_lanes<V>(Lane<V>(x))); }
  void next_chunk() {}
};

// Sums of floats: blocks in f32, what is before a block in double, chunk by chunk.
struct RunningSum {
  using V = vf;
  double base = 0, run = 0;
  INGOT_INLINE static vf identity() { return vf{}; }
  INGOT_INLINE static vf join(vf a, vf b) { return a + b; }
  INGOT_INLINE vf before() const { return set1(float(base + run)); }
  INGOT_INLINE void finish(vf* v) {
    const vf so_far = before();
    run += double(v[kBlockVectors - 1][kW - 1]);
    for (int i = 0; i < kBlockVectors; i++) v[i] += so_far;
  }
  double total() const { return run; }
  void take(double x) { run = x; }
  void next_chunk() {
    base += run;
    run = 0;
  }
};

// ---- Steps: a state for each lane takes in one element after the other. ----

struct Doubles {
  vd low, high;
};
INGOT_INLINE Doubles widen(vf x) {
  union {
    vf whole;
    vf_half part[2];
  } in{x};
  return {__builtin_convertvector(in.part[0], vd), __builtin_convertvector(in.part[1], vd)};
}
INGOT_INLINE vf narrow(const Doubles& x) {
  union {
    vf_half part[2];
    vf whole;
  } out;
  out.part[0] = __builtin_convertvector(x.low, vf_half);
  out.part[1] = __builtin_convertvector(x.high, vf_half);
  return out.whole;
}
struct SumSteps {
  Doubles sum{};
  INGOT_INLINE static vf identity() { return vf{}; }
  INGOT_INLINE vf step(vf x) {
    const Doubles d = widen(x);
    sum = {sum.low + d.low, sum.high + d.high};
    return narrow(sum);
  }
};
struct ProductSteps {
  Doubles product{vd{} + 1, vd{} + 1};
  INGOT_INLINE static vf identity() { return set1(1); }
  INGOT_INLINE vf step(vf x) {
    const Doubles d = widen(x);
    product = {product.low * d.low, product.high * d.high};
    return narrow(product);
  }
};
// log(sum of e^x) as the largest x so far and the sum of e^(x - largest).
struct LogSumSteps {
  vf top = set1(-__builtin_inff());
  Doubles sum{};
  INGOT_INLINE static vf identity() { return set1(-__builtin_inff()); }
  INGOT_INLINE vf step(vf x) {
    const vf higher = nan_max(top, x);
    // Equal values, infinite ones too, are no distance apart.
    const Doubles scale = widen(vexp(pick(top == higher, vf{}, top - higher)));
    const Doubles more = widen(vexp(pick(x == higher, vf{}, x - higher)));
    sum = {sum.low * scale.low + more.low, sum.high * scale.high + more.high};
    top = higher;
    return higher + vlog(narrow(sum));
  }
};

// ---- Pieces of rows. ----

constexpr int64_t kScanChunk = 1 << 16;
// Parts of a row that workers share. It depends on nothing else.
inline int64_t scan_parts(int64_t outer, int64_t D) {
  return outer < 8 && D >= 4 * kScanChunk ? ceil_div(D, kScanChunk) : 1;
}

// Elements begin ... begin + count - 1, in the order of the scan, of a row of D.
struct Piece {
  const uint8_t* x;
  uint8_t* y;
  int64_t D, begin, count;
};

template <class E> INGOT_INLINE void load_block(const uint8_t* p, bool reverse, typename E::V* v) {
  for (int i = 0; i < kBlockVectors; i++) {
    const int from = reverse ? kBlockVectors - 1 - i : i;
    v[i] = E::load(p + from * kW * E::bytes, kW);
    if (reverse) v[i] = (typename E::V)shuffle<Backwards>((vf)v[i], (vf)v[i]);
  }
}
template <class E>
INGOT_INLINE void store_block(uint8_t* p, bool reverse, typename E::V* v, bool past_caches) {
  for (int i = 0; i < kBlockVectors; i++) {
    const int to = reverse ? kBlockVectors - 1 - i : i;
    if (reverse) v[i] = (typename E::V)shuffle<Backwards>((vf)v[i], (vf)v[i]);
    E::store(p + to * kW * E::bytes, v[i], kW, past_caches);
  }
}

// Fewer than 16 elements at p, by way of a whole block.
template <class E, class F> void load_rest(F&, const uint8_t* p, int n, bool reverse, typename E::V* v) {
  using V = typename E::V;
  alignas(64) uint8_t whole[16 * E::bytes];
  for (int i = 0; i < kBlockVectors; i++) E::store(whole + i * kW * E::bytes, F::identity(), kW, false);
  std::memcpy(reverse ? whole + (16 - n) * E::bytes : whole, p, size_t(n * E::bytes));
  load_block<E>(whole, reverse, v);
  static_assert(std::is_same_v<V, typename F::V>);
}
template <class E> void store_rest(uint8_t* p, int n, bool reverse, typename E::V* v) {
  alignas(64) uint8_t whole[16 * E::bytes];
  store_block<E>(whole, reverse, v, false);
  std::memcpy(p, reverse ? whole + (16 - n) * E::bytes : whole, size_t(n * E::bytes));
}

template <class E, class F, bool kReverse, bool kExclusive>
void scan_piece_as(F& fold, const Piece& piece, bool past_caches) {
  using V = typename E::V;
  V before = fold.before();
  for (int64_t done = 0; done < piece.count; done += 16) {
    const int n = int(min64(16, piece.count - done));
    const int64_t d = piece.begin + done;
    const int64_t at = (kReverse ? piece.D - d - n : d) * E::bytes;
    V v[kBlockVectors];
    if (n == 16)
      load_block<E>(piece.x + at, kReverse, v);
    else
      load_rest<E>(fold, piece.x + at, n, kReverse, v);
    scan_block(fold, v);
    fold.finish(v);
    if constexpr (kExclusive) {
      V moved[kBlockVectors];
      for (int i = 0; i < kBlockVectors; i++)
        moved[i] = (V)move_up<1>((vf)(i > 0 ? v[i - 1] : before), (vf)v[i]);
      before = v[kBlockVectors - 1];
      for (int i = 0; i < kBlockVectors; i++) v[i] = moved[i];
    }
    if (n == 16)
      store_block<E>(piece.y + at, kReverse, v, past_caches);
    else
      store_rest<E>(piece.y + at, n, kReverse, v);
  }
}
template <class E, class F>
void scan_piece(F& fold, const Piece& piece, bool reverse, bool exclusive, bool past_caches) {
  const auto f = reverse ? (exclusive ? scan_piece_as<E, F, true, true> : scan_piece_as<E, F, true, false>)
                         : (exclusive ? scan_piece_as<E, F, false, true> : scan_piece_as<E, F, false, false>);
  f(fold, piece, past_caches);
}

// What a piece adds up to.
template <class E, class F> double scan_total(F& fold, const Piece& piece, bool reverse) {
  for (int64_t done = 0; done < piece.count; done += 16) {
    const int n = int(min64(16, piece.count - done));
    const int64_t d = piece.begin + done;
    const uint8_t* from = piece.x + (reverse ? piece.D - d - n : d) * E::bytes;
    typename E::V v[kBlockVectors];
    if (n == 16)
      load_block<E>(from, reverse, v);
    else
      load_rest<E>(fold, from, n, reverse, v);
    scan_block(fold, v);
    fold.finish(v);
  }
  return fold.total();
}

}  // namespace ingot::INGOT_NS
