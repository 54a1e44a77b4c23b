// Stores that go past the caches: results too large to be in one when they are read next, and what they
// overwrite is not read first.
#pragma once
#include "vec.h"

namespace ingot::INGOT_NS {

// Outputs of as many bytes go past the caches.
constexpr int64_t kStreamBytes = 16 << 20;

// p is a multiple of the vector's size. `stream_end` when all are done.
INGOT_INLINE void stream(float* p, vf v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, (__m512)v);
#elif INGOT_LANES == 8
  _mm256_stream_ps(p, (__m256)v);
#elif INGOT_LANES == 4 && defined(__x86_64__)
  _mm_stream_ps(p, (__m128)v);
#else
  store(p, v);
#endif
}
INGOT_INLINE void stream_end() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Whether the rows of `row_bytes` of an output of `bytes` at p can be streamed by whole vectors.
inline bool streams(const void* p, int64_t row_bytes, int64_t bytes) {
  return bytes >= kStreamBytes && (reinterpret_cast<uintptr_t>(p) | uintptr_t(row_bytes)) % 64 == 0;
}

}  // namespace ingot::INGOT_NS
