// Transposes of matrices of 1-, 2-, 4- and 8-byte elements: squares of 16-byte vectors are turned in
// registers into a tile in L1, which goes out by whole lines.
#pragma once
#include "stream.h"

namespace ingot::INGOT_NS {

template <class T> struct Sixteen {
  static constexpr int kLanes = 16 / int(sizeof(T));
  typedef T V __attribute__((vector_size(16)));
};

// Lanes of a and b in turn, from their lower halves or their upper ones.
template <class T, bool kUpper, int... I>
INGOT_INLINE typename Sixteen<T>::V interleave(typename Sixteen<T>::V a, typename Sixteen<T>::V b,
                                               std::integer_sequence<int, I...>) {
  constexpr int n = Sixteen<T>::kLanes, first = kUpper ? n / 2 : 0;
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (first + I / 2 + I % 2 * n)...);
#else
  typedef T Index __attribute__((vector_size(16)));
  return __builtin_shuffle(a, b, Index{T(first + I / 2 + I % 2 * n)...});
#endif
}

// Turns the square whose rows are v[0 ... kLanes-1]: log2 kLanes rounds, each interleaving rows i and i +
// kLanes / 2.
template <class T, int kRounds = Sixteen<T>::kLanes> INGOT_INLINE void turn(typename Sixteen<T>::V* v) {
  if constexpr (kRounds > 1) {
    constexpr int n = Sixteen<T>::kLanes;
    const auto lanes = std::make_integer_sequence<int, n>{};
    typename Sixteen<T>::V w[n];
    for (int i = 0; i < n / 2; i++) {
      w[2 * i] = interleave<T, false>(v[i], v[i + n / 2], lanes);
      w[2 * i + 1] = interleave<T, true>(v[i], v[i + n / 2], lanes);
    }
    for (int i = 0; i < n; i++) v[i] = w[i];
    turn<T, kRounds / 2>(v);
  }
}

// A matrix in memory: `rows` lines of `columns` elements, and its transpose.
template <class T> struct Turned {
  const T* from;
  int64_t from_stride;  // elements from one row to the next
  T* to;
  int64_t to_stride;
  int64_t rows, columns;
  bool past_caches;
};

constexpr int64_t kTileRows = 64;
template <class T> constexpr int64_t kTileColumns = 256 / int64_t(sizeof(T));
constexpr int64_t kRowsAhead = 32;

// At most kTileColumns columns. Rows of a large matrix lie on pages of their own, so pieces of several lines
// are read of each, and asked for ahead: no processor sees what comes next there.
template <class T> void transpose_strip(const Turned<T>& m) {
  constexpr int n = Sixteen<T>::kLanes;
  using V = typename Sixteen<T>::V;
  alignas(64) T tile[kTileColumns<T>][kTileRows];
  for (int64_t j0 = 0; j0 < m.rows; j0 += kTileRows) {
    const int64_t rows = min64(kTileRows, m.rows - j0);
    int64_t j = 0;
    for (; j + n <= rows; j += n) {
      const T* from = m.from + (j0 + j) * m.from_stride;
      if (j0 + j + kRowsAhead + n <= m.rows)
        for (int k = 0; k < n; k++)
          prefetch_lines(reinterpret_cast<const uint8_t*>(from + (kRowsAhead + k) * m.from_stride),
                         m.columns * int64_t(sizeof(T)));
      int64_t i = 0;
      for (; i + n <= m.columns; i += n) {
        V v[n];
        for (int k = 0; k < n; k++) std::memcpy(&v[k], from + k * m.from_stride + i, sizeof(V));
        turn<T>(v);
        for (int k = 0; k < n; k++) std::memcpy(&tile[i + k][j], &v[k], sizeof(V));
      }
      for (; i < m.columns; i++)
        for (int k = 0; k < n; k++) tile[i][j + k] = from[k * m.from_stride + i];
    }
    for (; j < rows; j++)
      for (int64_t i = 0; i < m.columns; i++) tile[i][j] = m.from[(j0 + j) * m.from_stride + i];
    for (int64_t i = 0; i < m.columns; i++) {
      T* line = m.to + i * m.to_stride + j0;
      if (m.past_caches && rows == kTileRows)
        for (int64_t k = 0; k < kTileRows * int64_t(sizeof(T)) / 4; k += kW)
          stream(reinterpret_cast<float*>(line) + k, load(reinterpret_cast<const float*>(tile[i]) + k));
      else
        std::memcpy(line, tile[i], size_t(rows) * sizeof(T));
    }
  }
}

}  // namespace ingot::INGOT_NS
