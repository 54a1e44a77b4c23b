// Values with their places as one 64-bit key whose unsigned order is: larger value first, then lower place.
#pragma once
#include <algorithm>

#include "vec.h"

namespace ingot::INGOT_NS {

// Monotone in the value; -0 equals 0; NaN is above everything.
INGOT_INLINE uint32_t ordered_bits(float x) {
  if (x != x) return 0xffffffffu;
  x += 0.f;
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
INGOT_INLINE uint64_t sort_key(float x, uint32_t place) {
  return uint64_t(ordered_bits(x)) << 32 | (0xffffffffu - place);
}
INGOT_INLINE uint32_t key_place(uint64_t key) { return 0xffffffffu - uint32_t(key); }

struct KeyGreater {  // of this level's namespace, so that no instantiation is shared between levels
  bool operator()(uint64_t a, uint64_t b) const { return a > b; }
};
inline void sort_keys(uint64_t* keys, int64_t n) { std::sort(keys, keys + n, KeyGreater{}); }

// The k largest keys seen, as a heap with the smallest on top.
class TopKeys {
 public:
  TopKeys(uint64_t* storage, int64_t k) : keys_(storage), k_(k) {}
  int64_t size() const { return n_; }
  void add(uint64_t key) {
    if (n_ < k_) {
      keys_[n_++] = key;
      std::push_heap(keys_, keys_ + n_, KeyGreater{});
    } else if (key > keys_[0]) {
      std::pop_heap(keys_, keys_ + n_, KeyGreater{});
      keys_[n_ - 1] = key;
      std::push_heap(keys_, keys_ + n_, KeyGreater{});
    }
  }
  // x[i] for i in [begin, end), placed at i. Whole vectors below the smallest kept value are passed over.
  void add_range(const float* x, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i < end && n_ < k_; i++) add(sort_key(x[i], uint32_t(i)));
    for (; i + kW <= end; i += kW) {
      const vf v = load(x + i);
      const vi candidates =
          ~(vi)(v <= set1(x[key_place(keys_[0])]));  // an equal value has a higher place: never better
      if (!any(candidates)) continue;
      for (int l = 0; l < kW; l++) add(sort_key(x[i + l], uint32_t(i + l)));
    }
    for (; i < end; i++) add(sort_key(x[i], uint32_t(i)));
  }

 private:
  uint64_t* keys_;
  int64_t k_, n_ = 0;
};

}  // namespace ingot::INGOT_NS
