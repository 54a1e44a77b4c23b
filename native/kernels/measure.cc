// What the machine can do: read bandwidth and multiply peaks, measured by the same workers that run the
// models.
//   measure_read   bufs: data, sink f64[threads]     params: ahead      reads every byte once; some lines are
//   asked for so many bytes
//                                                                       ahead, 0: the hardware's prefetchers
//                                                                       are left alone
//   measure_int8   bufs: ops f64[1]                  params: rounds     widest int8 dot product (or tile)
//   instruction measure_bf16   bufs: ops f64[1]                  params: rounds     bf16 tiles or dot
//   product; ops 0 where there is none measure_f32    bufs: ops f64[1]                  params: rounds fused
//   multiply-add
#include "kernel.h"
#include "signatures/measure_bf16.h"
#include "signatures/measure_f32.h"
#include "signatures/measure_int8.h"
#include "signatures/measure_read.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ingot::INGOT_NS {

namespace {

template <bool Ask> int64_t read_range(const uint8_t* p, const uint8_t* stop, int64_t ahead) {
#if defined(__AVX512F__)
  __m512i s[4] = {};
  for (; p < stop; p += 512) {
    if constexpr (Ask)
      for (int i = 0; i < 2; i++) __builtin_prefetch(p + ahead + 256 * i, 0, 3);
    for (int i = 0; i < 8; i++) s[i % 4] = _mm512_xor_si512(s[i % 4], _mm512_loadu_si512(p + 64 * i));
  }
  return _mm512_reduce_add_epi64(
      _mm512_xor_si512(_mm512_xor_si512(s[0], s[1]), _mm512_xor_si512(s[2], s[3])));
#else
  uint64_t s[8] = {0};
  for (; p < stop; p += 64) {
    if constexpr (Ask) __builtin_prefetch(p + ahead, 0, 3);
    for (int i = 0; i < 8; i++) s[i] ^= reinterpret_cast<const uint64_t*>(p)[i];
  }
  return int64_t(s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7]);
#endif
}

void read_all(const Args& args, Ctx& c) {
  const MeasureReadArgs a(args);
  int64_t begin, end;
  c.range(a.data_buf().bytes / 512, begin, end);
  const uint8_t *p = a.data() + begin * 512, *stop = a.data() + end * 512;
  const int64_t sum = a.ahead() > 0 ? read_range<true>(p, stop, a.ahead()) : read_range<false>(p, stop, 0);
  if (c.tid < a.sink_buf().bytes / 8) a.sink()[c.tid] = double(sum);
}

// Adds this worker's operations to the total; called by every worker.
template <class View> void report(const View& a, Ctx& c, double ops) {
  if (c.tid == 0) a.operations()[0] = ops * c.nthreads;
}

#if defined(__AMX_TILE__)
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {0};
  uint16_t colsb[16] = {0};
  uint8_t rows[16] = {0};
};
void load_tiles() {
  static TileConfig config;
  for (int i = 0; i < 8; i++) config.colsb[i] = 64, config.rows[i] = 16;
  asm volatile(""
               :
               : "r"(&config)
               : "memory");  // GCC 12's _tile_loadconfig does not say that it reads memory
  _tile_loadconfig(&config);
}
#define TILE_ROUNDS(instruction)                                                              \
  for (int64_t r = 0; r < rounds; r++) {                                                      \
    instruction(0, 4, 6); instruction(1, 4, 7); instruction(2, 5, 6); instruction(3, 5, 7);   \
    instruction(0, 4, 6); instruction(1, 4, 7); instruction(2, 5, 6); instruction(3, 5, 7);   \
  }
#endif

// Chains of one instruction, N of them so that none waits for itself. `step` keeps the compiler from folding
// its result away.
template <int N, class V, class Step>
inline __attribute__((always_inline)) void run_chains(int64_t rounds, V start, Step step) {
  V acc[N];
  for (auto& x : acc) x = start;
  for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 16
    for (int j = 0; j < N; j++) step(acc[j]);
}

void int8_peak(const Args& args, Ctx& c) {
  const MeasureInt8Args a(args);
  [[maybe_unused]] const int64_t rounds = a.rounds();
#if defined(__AMX_TILE__)
  load_tiles();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  TILE_ROUNDS(_tile_dpbssd)
  _tile_release();
  report(a, c, double(rounds) * 8 * 16 * 16 * 64 * 2);
#elif defined(__AVX512VNNI__)
  const __m512i u = _mm512_set1_epi8(3);
  run_chains<16>(rounds, _mm512_setzero_si512(), [&](__m512i& x) __attribute__((always_inline)) {
    x = _mm512_dpbusd_epi32(x, u, u);
    asm volatile("" : : "v"(x));
  });
  report(a, c, double(rounds) * 16 * 64 * 2);
#elif defined(__AVX2__)
  __m256i u = _mm256_set1_epi8(3);
  run_chains<8>(rounds, _mm256_setzero_si256(), [&](__m256i& x) __attribute__((always_inline)) {
    asm volatile("" : "+x"(u));  // unknown, or the products of constants are computed by the compiler
    x = _mm256_add_epi16(x, _mm256_maddubs_epi16(u, u));  // sums in 16 bits, as for 4-bit codes
    asm volatile("" : : "x"(x));
  });
  report(a, c, double(rounds) * 8 * 32 * 2);
#elif defined(__ARM_FEATURE_DOTPROD)
  const int8x16_t u = vdupq_n_s8(3);
  run_chains<16>(rounds, vdupq_n_s32(0), [&](int32x4_t& x) __attribute__((always_inline)) {
    x = vdotq_s32(x, u, u);
    asm volatile("" : : "w"(x));
  });
  report(a, c, double(rounds) * 16 * 16 * 2);
#else
  report(a, c, 0);
#endif
}

void bf16_peak(const Args& args, Ctx& c) {
  const MeasureBf16Args a(args);
#if defined(__AMX_TILE__)
  const int64_t rounds = a.rounds();
  load_tiles();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  TILE_ROUNDS(_tile_dpbf16ps)
  _tile_release();
  report(a, c, double(rounds) * 8 * 16 * 16 * 32 * 2);
#elif defined(__AVX512BF16__)
  const int64_t rounds = a.rounds();
  const __m512bh half = (__m512bh)_mm512_set1_epi16(0x3f00);
  run_chains<16>(rounds, _mm512_setzero_ps(), [&](__m512& x) __attribute__((always_inline)) {
    x = _mm512_dpbf16_ps(x, half, half);
    asm volatile("" : : "v"(x));
  });
  report(a, c, double(rounds) * 16 * 32 * 2);
#else
  report(a, c, 0);
#endif
}

void f32_peak(const Args& args, Ctx& c) {
  const MeasureF32Args a(args);
  const int64_t rounds = a.rounds();
#if defined(__AVX512F__)
  constexpr int lanes = 16;
#elif defined(__AVX2__)
  constexpr int lanes = 8;
#else
  constexpr int lanes = 4;
#endif
  constexpr int chains = 12;  // and one constant: as many as there are registers on AVX2
  typedef float v __attribute__((vector_size(lanes * 4)));
  const v half = v{} + 0.5f;
  run_chains<chains>(rounds, half, [&](v& x) __attribute__((always_inline)) {
    x = x * half + half;
#if defined(__x86_64__)
    asm volatile("" : : "x"(x));
#elif defined(__aarch64__)
    asm volatile("" : : "w"(x));
#else
    asm volatile("" : : "m"(x));
#endif
  });
  report(a, c, double(rounds) * chains * lanes * 2);
}

template <class View> const char* needs_output(const Args& args) {
  if (const char* problem = View::mismatch(args)) return problem;
  const View a(args);
  return a.operations_buf().bytes >= 8 && a.rounds() >= 0 ? nullptr
                                                          : "expected one f64 buffer and a round count";
}
const char* needs_sink(const Args& args) {
  if (const char* problem = MeasureReadArgs::mismatch(args)) return problem;
  return MeasureReadArgs(args).ahead() >= 0 ? nullptr : "expected how far ahead to ask";
}

constexpr KernelDef defs[] = {
    {"measure_read", read_all, nullptr, needs_sink},
    {"measure_int8", int8_peak, nullptr, needs_output<MeasureInt8Args>},
    {"measure_bf16", bf16_peak, nullptr, needs_output<MeasureBf16Args>},
    {"measure_f32", f32_peak, nullptr, needs_output<MeasureF32Args>},
};

}  // namespace

extern const Table measure_table = {defs, 4};

}  // namespace ingot::INGOT_NS
