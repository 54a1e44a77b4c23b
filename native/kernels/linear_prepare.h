// Preparing activations (norm, quantisation, f32 copy) in worker scratch or in team memory.
#pragma once
#include "amx.h"
#include "linear_gemv.h"
#include "rows.h"

namespace ingot::INGOT_NS {

constexpr int kFewRowsMax = 8;          // up to here every worker prepares the activations for itself
// Int8 rows up to which passes over the packed panels beat unpacking these for all rows.
constexpr int kPassRowsMax = 32;
constexpr int64_t kChunkRows = 1024;    // rows prepared in team memory at a time

// AMX multiplies bf16 tiles for every layout in `fast`: see linear_gemm_amx.h.
INGOT_INLINE bool uses_tiles(const Weights&, bool exact) { return kHasTiles && !exact; }

// What the activations must be prepared for.
struct Need {
  bool int8 = false, f32 = false, pairs = false, tiles = false;
  // `rounds`: many rows may be rounded to bf16.
  void add(const Weights& w, bool exact, bool many, bool rounds = true) {
    if (many && rounds && uses_tiles(w, exact)) tiles = true;
    else if (uses_int8(w, exact)) int8 = true;
    else if (!exact && (many ? rounds && pairs_many(w.layout) : pairs_few(w.layout))) pairs = true;
    else f32 = true;
  }
};

struct Norm {
  const float* weight;  // null: none
  float eps, offset;
};

// Row strides that keep rows out of each other's cache sets.
inline int64_t quant_stride(int64_t K) { return K / kBlock + 1; }
inline int64_t float_stride(int64_t K) { return round_up(K, 16) + 16; }
inline int64_t quant_bytes(int64_t rows, int64_t K) {
  return round_up(rows * quant_stride(K) * int64_t(sizeof(ActBlock)), 64);
}
inline int64_t float_bytes(int64_t rows, int64_t K) { return rows * float_stride(K) * 4; }

// Hands out pieces of a memory block.
struct Arena {
  uint8_t* at;
  template <class T> T* take(int64_t bytes) {
    T* p = reinterpret_cast<T*>(at);
    at += round_up(bytes, 64);
    return p;
  }
};

// What int8 lost of a row: x - scale q.
inline void quantization_error(const float* x, const ActBlock* q, int64_t K, float* error) {
  for (int64_t k = 0; k < K; k++) error[k] = x[k] - q[k / kBlock].scale * float(q[k / kBlock].q[k % kBlock]);
}

// Activations of up to kFewRowsMax rows in this worker's scratch (no barrier: every worker does all of it).
// `twice`: the int8 form has `rows` more rows, the quantised errors of the first.
inline Acts prepare_few(const float* x, int64_t rows, int64_t K, const Norm& norm, const Need& need,
                        Arena& arena, bool twice = false) {
  Acts acts{nullptr, quant_stride(K), x, K};
  if (norm.weight) {
    float* y = arena.take<float>(float_bytes(rows, K));
    for (int64_t r = 0; r < rows; r++)
      normalize_row(x + r * K, norm.weight, norm.eps, norm.offset, y + r * float_stride(K), K);
    acts.x = y;
    acts.x_stride = float_stride(K);
  }
  if (need.int8) {
    ActBlock* q = arena.take<ActBlock>(quant_bytes(twice ? 2 * rows : rows, K));
    for (int64_t r = 0; r < rows; r++) quantize_row(acts.x + r * acts.x_stride, K, q + r * acts.q_stride);
    float* error = reinterpret_cast<float*>(arena.at);
    for (int64_t r = 0; twice && r < rows; r++) {
      quantization_error(acts.x + r * acts.x_stride, q + r * acts.q_stride, K, error);
      quantize_row(error, K, q + (rows + r) * acts.q_stride);
    }
    acts.q = q;
  }
  if (need.pairs) {
    uint16_t* pairs = arena.take<uint16_t>(pairs_bytes(rows, K));
    acts.pairs = pairs;
    acts.pairs_stride = pairs_stride(K);
    for (int64_t r = 0; r < rows; r++)
      split_row(acts.x + r * acts.x_stride, K, pairs + r * acts.pairs_stride);
  }
  return acts;
}

// Activations of many rows in team memory, shared out over the workers by rows. The caller puts the barrier
// after it. The f32 form is copied even without a norm: rows K apart would fight for the same cache sets.
// `twice` as above.
inline Acts prepare_many(const float* x, int64_t rows, int64_t K, const Norm& norm, const Need& need, Ctx& c,
                         Arena& arena, bool twice = false) {
  Acts acts{nullptr, quant_stride(K), nullptr, float_stride(K)};
  ActBlock* q = need.int8 ? arena.take<ActBlock>(quant_bytes(twice ? 2 * rows : rows, K)) : nullptr;
  float* f = need.f32 ? arena.take<float>(float_bytes(rows, K)) : nullptr;
  uint16_t* pairs = need.pairs ? arena.take<uint16_t>(pairs_bytes(rows, K)) : nullptr;
  acts.q = q;
  acts.x = f;
  acts.pairs = pairs;
  acts.pairs_stride = pairs_stride(K);
  if (!q && !f && !pairs) return acts;
  float* private_row = reinterpret_cast<float*>(c.scratch);
  float* error = private_row + K;
  int64_t begin, end;
  c.range(rows, begin, end);
  for (int64_t r = begin; r < end; r++) {
    const float* source = x + r * K;
    float* row = f ? f + r * acts.x_stride : private_row;
    if (norm.weight) normalize_row(source, norm.weight, norm.eps, norm.offset, row, K);
    else if (f) memcpy(row, source, size_t(K) * 4);
    if (norm.weight) source = row;
    if (pairs) split_row(source, K, pairs + r * acts.pairs_stride);
    if (!q) continue;
    quantize_row(source, K, q + r * acts.q_stride);
    if (!twice) continue;
    quantization_error(source, q + r * acts.q_stride, K, error);
    quantize_row(error, K, q + (rows + r) * acts.q_stride);
  }
  return acts;
}

// Bytes prepare_many takes from team memory.
inline int64_t many_bytes(int64_t rows, int64_t K, const Need& need, bool twice = false) {
  return (need.int8 ? quant_bytes(twice ? 2 * rows : rows, K) : 0) + (need.f32 ? float_bytes(rows, K) : 0) +
         (need.pairs ? pairs_bytes(rows, K) : 0) + 192;
}

}  // namespace ingot::INGOT_NS
