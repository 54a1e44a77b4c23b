// Candidates for the product of many rows on AMX, beside the one in kernels/linear_gemm_amx.h, until a machine with AMX has
// decided; `make tilebench` measures them. To be included after kernels/linear.cc.
//
// In all of them a block of activation rows stays in the second-level cache and the weights pass through it, where the
// kernel in use reads all activations from the shared cache again for every four panel pairs. Two of them also do the vector
// work of a pass in the shadow of its multiplies: a step of 2 x 2 tiles keeps the matrix unit busy for 64 cycles and needs
// a dozen instructions, so that unpacking the next pair's weights and finishing the last pair's sums are nearly free there.
#pragma once
#include <atomic>

namespace ingot::INGOT_NS {

namespace {

constexpr int64_t kDesignPairs = 8;  // of one claim: they share the rows' block

struct Design {
  int64_t block_bytes;  // activations of a block of rows, the columns of one pass
  int64_t columns;      // of a pass: the K block
  bool spread;          // vector work goes into the shadow of the multiplies; else between passes
};

// Vector work cut into small units that are spread evenly over the steps of a pass.
class Shadow {
 public:
  Shadow(const Problem& p, bool spread) : p_(p), spread_(spread) {}

  // Columns [k0, k0 + n) of both panels -> B tiles in pairs.
  void unpack(const PanelPair& pair, int64_t k0, int64_t n, uint16_t* out) {
    pair_ = pair, k0_ = k0, n_ = n, out_ = out;
    unpack_at_ = 0, unpack_end_ = 2 * div_up(n, 32);
  }
  // `rows` rows of sums [rows][32] -> y, from row `row` on.
  void finish(const PairAt& at, int64_t row, int64_t rows, const float* sums) {
    at_ = at, row_ = row, sums_ = sums;
    finish_at_ = 0, finish_end_ = rows;
  }
  // The work that is there now is to be done within `steps` calls of step().
  void begin(int64_t steps) {
    steps_ = steps, credit_ = 0;
    units_ = spread_ ? unpack_end_ - unpack_at_ + finish_end_ - finish_at_ : 0;
  }
  INGOT_INLINE void step() {
    for (credit_ += units_; credit_ >= steps_; credit_ -= steps_) unit();
  }
  void drain() {
    while (unpack_at_ < unpack_end_ || finish_at_ < finish_end_) unit();
  }

 private:
  __attribute__((noinline)) void unit() {
    if (finish_at_ < finish_end_) {
      const float* row = sums_ + finish_at_ * 32;
      finish_pair(p_, at_, row_ + finish_at_++, 1, row, row + 16);
    } else if (unpack_at_ < unpack_end_) {
      const int64_t depth = unpack_end_ / 2, second = unpack_at_ >= depth, t = unpack_at_++ - second * depth;
      const Weights& w = second ? *pair_.w2 : *pair_.w;
      const uint8_t* panel = second ? pair_.second : pair_.first;
      fetch_lines(panel + code_offset(w, k0_ + min64(n_, t * 32 + kAheadColumns)), code_offset(w, 32));
      with_layout(w.layout, [&]<int L>() { unpack_tiles<L>(w, panel, k0_ + t * 32, min64(32, n_ - t * 32), out_ + (2 * t + second) * kTileElements, 0); });
    }
  }

  static constexpr int64_t kAheadColumns = 256;
  const Problem& p_;
  bool spread_;
  int64_t units_ = 0, steps_ = 1, credit_ = 0;
  PanelPair pair_{};
  int64_t k0_ = 0, n_ = 0, unpack_at_ = 0, unpack_end_ = 0;
  uint16_t* out_ = nullptr;
  PairAt at_{};
  int64_t row_ = 0, finish_at_ = 0, finish_end_ = 0;
  const float* sums_ = nullptr;
};

// As tile_block, with work in its shadow. `ahead`: activations to ask for, 2 KiB per step, or null.
__attribute__((noinline)) void shadowed_block(const uint16_t* a0, const uint16_t* a1, const uint16_t* b, int64_t depth, float* C, bool first, const uint8_t* ahead, Shadow& shadow) {
  constexpr int64_t stride = 32 * 4;
  float *c0 = C, *c1 = C + 16 * 32;
  INGOT_TILE_ZERO(0);
  INGOT_TILE_ZERO(1);
  INGOT_TILE_ZERO(2);
  INGOT_TILE_ZERO(3);
  if (!first) {
    INGOT_TILE_LOAD(0, c0, stride);
    INGOT_TILE_LOAD(1, c0 + 16, stride);
    if (a1) {
      INGOT_TILE_LOAD(2, c1, stride);
      INGOT_TILE_LOAD(3, c1 + 16, stride);
    }
  }
#pragma GCC unroll 1
  for (int64_t t = 0; t < depth; t++, a0 += kTileElements, b += 2 * kTileElements) {
    INGOT_TILE_LOAD(4, a0, 64);
    INGOT_TILE_LOAD(6, b, 64);
    INGOT_TILE_LOAD(7, b + kTileElements, 64);
    INGOT_TILE_DOT(0, 4, 6);
    INGOT_TILE_DOT(1, 4, 7);
    if (a1) {
      INGOT_TILE_LOAD(5, a1, 64);
      INGOT_TILE_DOT(2, 5, 6);
      INGOT_TILE_DOT(3, 5, 7);
      a1 += kTileElements;
    }
    if (ahead) fetch_lines(ahead + t * 2048, 2048);
    shadow.step();
  }
  INGOT_TILE_STORE(0, c0, stride);
  INGOT_TILE_STORE(1, c0 + 16, stride);
  if (!a1) return;
  INGOT_TILE_STORE(2, c1, stride);
  INGOT_TILE_STORE(3, c1 + 16, stride);
}

// Pairs [first, first + count) for rows [r0, r0 + rows) of the chunk that starts at row `base`. A pass is one pair and one
// K block; K blocks are outermost, so that the rows' columns of a block are read from the shared cache once.
void resident_pairs(const Problem& p, const TileActs& tiles, int64_t first, int64_t count, int64_t base, int64_t r0, int64_t rows, const Design& design, uint8_t* scratch) {
  const int64_t columns = design.columns, pair_elements = columns / 32 * 2 * kTileElements;
  Arena arena{scratch};
  uint16_t* B[2];
  for (auto& b : B) b = arena.take<uint16_t>(pair_elements * 2);
  const int64_t groups = div_up(rows, 16), sums = groups * 16 * 32, passes = count * div_up(p.K, columns);
  float* C = arena.take<float>(count * sums * 4);
  const int64_t group_elements = tiles.depth * kTileElements;
  Shadow shadow(p, design.spread);
  const auto columns_of = [&](int64_t pass) { return pass / count * columns; };
  const auto unpack = [&](int64_t pass) {
    const int64_t k0 = columns_of(pass);
    shadow.unpack(pair_at(p, first + pass % count).pair, k0, min64(columns, p.K - k0), B[pass % 2]);
  };
  const auto finish = [&](int64_t pass) {
    if (columns_of(pass) + columns >= p.K) shadow.finish(pair_at(p, first + pass % count), base + r0, rows, C + pass % count * sums);
  };
  unpack(0);
  shadow.drain();
  for (int64_t pass = 0; pass < passes; pass++) {
    if (pass > 0) finish(pass - 1);
    if (pass + 1 < passes) unpack(pass + 1);
    const int64_t k0 = columns_of(pass), depth = div_up(min64(columns, p.K - k0), 32);
    shadow.begin(div_up(groups, 2) * depth);
    const uint16_t* a = tiles.data + r0 / 16 * group_elements + k0 / 32 * kTileElements;
    asm volatile("" : : : "memory");  // tile loads do not say that they read memory
    for (int64_t g = 0; g < groups; g += 2, a += 2 * group_elements) {
      const bool fresh = pass % count == 0 && g + 2 < groups;
      shadowed_block(a, g + 1 < groups ? a + group_elements : nullptr, B[pass % 2], depth, C + pass % count * sums + g * 16 * 32, k0 == 0,
                     fresh ? reinterpret_cast<const uint8_t*>(a + 2 * group_elements) : nullptr, shadow);
    }
    asm volatile("" : : : "memory");
    shadow.drain();
  }
  finish(passes - 1);
  shadow.drain();
}

void run_resident(const Problem& p, Ctx& c, const Design& design) {
  const int64_t pairs = total_pairs(p);
  for (int64_t base = 0; base < p.rows; base += kChunkRows) {
    const int64_t rows = min64(kChunkRows, p.rows - base);
    if (base) c.barrier();
    Arena shared{c.team->shared};
    const TileActs tiles = prepare_tiles(p.x + base * p.K, nullptr, rows, p.K, p.norm, p.need, c, shared);
    const int64_t most = max64(32, design.block_bytes / (min64(p.K, design.columns) * 2) / 32 * 32);
    const int64_t step = round_up(div_up(rows, div_up(rows, most)), 32), blocks = div_up(rows, step);
    struct alignas(64) Claims { std::atomic<int64_t> next; };
    Claims* claims = shared.take<Claims>(blocks * int64_t(sizeof(Claims)));
    for (int64_t b = 0; b < blocks && c.tid == 0; b++) claims[b].next.store(0, std::memory_order_relaxed);
    c.barrier();
    const int64_t count = max64(1, min64(kDesignPairs, pairs * blocks / (int64_t(c.nthreads) * 4))), items = div_up(pairs, count);
    TileSession session(true);
    // Every worker begins with its own block of rows and stays with it as long as there are pairs left.
    const int64_t own = c.nthreads >= blocks ? c.tid % blocks : c.tid * blocks / c.nthreads;
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t block = (own + b) % blocks, r0 = block * step;
      for (int64_t i; (i = claims[block].next.fetch_add(1, std::memory_order_relaxed)) < items;)
        resident_pairs(p, tiles, i * count, min64(count, pairs - i * count), base, r0, min64(step, rows - r0), design, c.scratch);
    }
  }
}

template <int64_t BlockBytes, int64_t Columns, bool Spread>
void run_design(const Args& a, Ctx& c) {
  Problem p;
  read_problem(a, p);
  if (p.rows == 0) return;
  if (!p.many() || !p.need.tiles || p.need.int8 || p.need.f32) return run(a, c);
  run_resident(p, c, {BlockBytes, Columns, Spread});
}

size_t design_shared_bytes(const Args& a, int threads) { return shared_bytes(a, threads) + kChunkRows / 32 * 64 + 64; }

constexpr int64_t kMiB = int64_t(1) << 20;
constexpr KernelDef kDesigns[] = {
    {"in use: activations stream", run, shared_bytes, check},
    {"1 MiB of rows, K 2048", run_design<kMiB, 2048, false>, design_shared_bytes, check},
    {"1 MiB of rows, K 2048, shadow", run_design<kMiB, 2048, true>, design_shared_bytes, check},
    {"1 MiB of rows, K 1024, shadow", run_design<kMiB, 1024, true>, design_shared_bytes, check},
    {"512 KiB of rows, K 2048, shadow", run_design<kMiB / 2, 2048, true>, design_shared_bytes, check},
    {"512 KiB of rows, K 1024, shadow", run_design<kMiB / 2, 1024, true>, design_shared_bytes, check},
};

}  // namespace

}  // namespace ingot::INGOT_NS
