// Feed-forward of experts. `moe_glu`: h[row, slot] = act(gate_e x) * (up_e x) for the experts e of each row.
// `moe_down`: y[row] = (residual +) sum over slots, in slot order, of weight * down_e h[row, slot]. Each
// matrix may have a bias.
// Few rows stream the experts' panels; many rows are grouped by expert, and each expert's panel is unpacked
// once. Experts that are not in memory come in the order of their store (runtime/experts.h): results do not
// depend on it.
#include "experts.h"
#include "linear_core.h"
#include "moe_routing.h"
#include "signatures/moe_down.h"
#include "signatures/moe_glu.h"

namespace ingot::INGOT_NS {

namespace {

constexpr int64_t kPanelsPerItem = 4;
constexpr int64_t kSharedTarget = int64_t(96)
                                  << 20;  // rows are taken in chunks that keep team memory about here

struct Problem {
  bool down;
  const float* x;        // [rows, K], or h [rows * topk, K]
  const int32_t* ids;    // [rows, topk]
  const float* weights;  // [rows, topk], down only
  Weights w[2];          // first expert of gate and up, or of down
  const ExpertStack* stack[2] = {};  // of the same, when they are not in memory
  const float* bias[2] = {};         // [E, N] of the same, or null
  Output out;
  int64_t rows, K, N, topk, E;
  Gate gate;
  bool exact;

  int64_t inputs(int64_t n) const { return down ? n * topk : n; }  // activation rows of n rows
  const uint8_t* panel(int which, int64_t e, int64_t p) const {
    if (const ExpertStack* s = stack[which])
      return s->store->matrix(s->layer, s->part, e) + p * w[which].panel_bytes;
    return w[which].data + (e * w[which].panels() + p) * w[which].panel_bytes;
  }
  const float* bias_of(int which, int64_t e) const { return bias[which] ? bias[which] + e * N : nullptr; }
  Output glu_out(int64_t e) const { return {out.y, bias_of(0, e), nullptr, N, N}; }
  ExpertStore* store() const { return stack[0] ? stack[0]->store.get() : nullptr; }
  Weights expert(int which, int64_t e) const {
    Weights v = w[which];
    v.data = panel(which, e, 0);
    return v;
  }
  // What the rows of a chunk are prepared for: experts that few of them, and such that many go to.
  Need chunk_need() const {
    Need need;
    need.add(w[0], exact, false);
    need.add(w[0], exact, true);
    return need;
  }
  // Team memory for n rows that go the grouped way: all forms of the activations, and h·W before it is
  // combined.
  int64_t chunk_bytes(int64_t n) const {
    const int64_t in = inputs(n);
    return many_bytes(in, K, chunk_need()) +
           (uses_tiles(w[0], exact) ? tile_bytes(padded_rows(n * topk, E), K) + 64 : 0) +
           (down ? round_up(n * topk * N * 4, 64) : 0) + 64;
  }
  int64_t chunk_rows() const {
    const int64_t limit = min64(kChunkRows, max64(1, int64_t(65536) / topk));
    return max64(1, min64(limit, kSharedTarget / max64(1, chunk_bytes(16) / 16)));
  }
  // Whether every worker can prepare all activations in its own scratch.
  bool few() const {
    return rows <= kFewRowsMax &&
           quant_bytes(inputs(rows), K) + (rows * topk * 256) + routing_bytes(rows * topk, E) <
               (int64_t(5) << 20);
  }
};

// What both kernels are told by the same names.
template <class View> const char* read_common(const View& a, Problem& p) {
  p.rows = a.rows();
  p.K = a.K();
  p.exact = a.precision() != kFast;
  p.topk = a.topk();
  p.E = a.E();
  p.N = a.N();
  p.ids = a.ids();
  if (p.rows < 0 || p.rows >= kMaxRows) return "moe: the number of rows is out of range";
  if (p.topk < 1 || p.topk > 64) return "moe: top-k must be 1 to 64";
  if (p.E < 1 || p.E > kMaxExperts) return "moe: the number of experts must be 1 to 4096";
  if (a.ids_buf().bytes / 4 / p.topk < p.rows) return "moe: ids are smaller than rows x topk";
  return nullptr;
}

template <class View>
const char* read_stack(const View& a, const Buf& stack, Weights& w, const ExpertStack*& streamed) {
  if (const char* problem = describe_weights(w, stack.data, a.K(), a)) return problem;
  streamed = stack.stack;
  if (streamed && (streamed->matrix_bytes() != w.bytes() || streamed->in().experts < a.E()))
    return "moe: the streamed experts have other sizes than E, N, K and the layout need";
  return stack.bytes / w.bytes() < a.E()
             ? "moe: the packed experts are smaller than E, N, K and the layout need"
             : nullptr;
}

constexpr const char* kSmallBias = "moe: a bias is smaller than E x N";

template <class B> bool small_bias(const float* bias, const B& buf, const Problem& p) {
  return bias && buf.bytes / 4 / p.N < p.E;
}

const char* read_problem(const MoeGluArgs& a, Problem& p) {
  if (const char* problem = read_common(a, p)) return problem;
  p.down = false;
  p.gate = {int(a.glu()), a.limit(), a.alpha(), a.offset()};
  if (p.gate.glu <= kNoGlu || p.gate.glu >= kGlus) return "moe: unknown glu code";
  if (const char* problem = read_stack(a, a.gate_buf(), p.w[0], p.stack[0])) return problem;
  if (const char* problem = read_stack(a, a.up_buf(), p.w[1], p.stack[1])) return problem;
  if (p.stack[0] &&
      (!p.stack[1] || p.stack[0]->store != p.stack[1]->store || p.stack[0]->layer != p.stack[1]->layer))
    return "moe: gate and up are experts of two stores";
  p.bias[0] = a.gate_bias();
  p.bias[1] = a.up_bias();
  if (small_bias(a.gate_bias(), a.gate_bias_buf(), p) || small_bias(a.up_bias(), a.up_bias_buf(), p))
    return kSmallBias;
  p.x = a.x();
  p.weights = nullptr;
  if (a.x_buf().bytes / 4 / p.K < p.rows) return "moe: the input is smaller than its rows";
  if (a.h_buf().bytes / 4 / p.N / p.topk < p.rows) return "moe: the output is smaller than its rows";
  p.out = {a.h(), nullptr, nullptr, p.N, p.N};
  return nullptr;
}

const char* read_problem(const MoeDownArgs& a, Problem& p) {
  if (const char* problem = read_common(a, p)) return problem;
  p.down = true;
  p.gate = {kNoGlu};
  if (const char* problem = read_stack(a, a.down_buf(), p.w[0], p.stack[0])) return problem;
  p.bias[0] = a.bias();
  if (small_bias(a.bias(), a.bias_buf(), p)) return kSmallBias;
  p.x = a.h();
  p.weights = a.weights();
  if (a.h_buf().bytes / 4 / p.K / p.topk < p.rows) return "moe: the input is smaller than its rows";
  if (a.weights_buf().bytes / 4 / p.topk < p.rows) return "moe: weights are smaller than rows x topk";
  if (a.y_buf().bytes / 4 / p.N < p.rows) return "moe: the output is smaller than its rows";
  if (a.residual() && a.residual_buf().bytes / 4 / p.N < p.rows)
    return "moe: the residual is smaller than rows x N";
  p.out = {a.y(), nullptr, a.residual(), p.N, p.N};
  return nullptr;
}

// True when the ids are valid; else fails the run. All workers agree, so none is left at a barrier.
bool route(const Problem& p, const int32_t* ids, int64_t rows, Ctx& c, Arena& arena, Routing& r) {
  const int64_t bad = sort_by_expert(ids, rows, p.topk, p.E, arena, r);
  if (bad < 0)
    c.fail("%s: expert id %d is outside 0 to %d", p.down ? "moe_down" : "moe_glu", int(ids[-1 - bad]),
           int(p.E - 1));
  return bad == 0;
}

// Entries [begin, begin + n) of expert e through the gated pair, panel by panel, for as many rows as there
// are.
void glu_few(const Problem& p, const Acts& acts, const Routing& r, int64_t e, int64_t panel, float* sums,
             int64_t pair0) {
  const int64_t n = r.count(e);
  const Weights gate = p.expert(0, e), up = p.expert(1, e);
  for (int64_t i = 0; i < n; i += kFewRowsMax) {
    const int m = int(min64(kFewRowsMax, n - i));
    const int32_t* rows = r.row + r.begin[e] + i;
    few_rows(gate, panel, acts, rows, m, p.exact, sums);
    few_rows(up, panel, acts, rows, m, p.exact, sums + kFewRowsMax * 16);
    for (int j = 0; j < m; j++)
      finish_glu_row(p.glu_out(e), p.bias_of(1, e), p.gate, pair0 + r.pair[r.begin[e] + i + j], panel,
                     sums + j * 16, sums + (kFewRowsMax + j) * 16);
  }
}

// y of one row and panel from its slots' products; slot s is at products + s * step.
void combine(const Problem& p, int64_t row, int64_t panel, const float* products, int64_t step) {
  alignas(64) float sums[16];
  for (int part = 0; part < kParts; part++) {
    const int n = int(min64(kW, p.N - panel * 16 - part * kW));
    vf total{};
    for (int64_t s = 0; s < p.topk && n > 0; s++) {
      const int64_t slot = row * p.topk + s;
      vf product = load_lanes(products + s * step + part * kW, n);
      if (p.bias[0]) product += load_lanes(p.bias_of(0, p.ids[slot]) + panel * 16 + part * kW, n);
      vf weighted = product * set1(p.weights[slot]);
      keep_rounded(weighted);  // as a product with one expert gives it
      total += weighted;
    }
    store(sums + part * kW, total);
  }
  finish_row(p.out, row, panel, sums);
}

// Asks the store for the experts of a chunk; each is let go of after `uses` calls of done(). All workers call
// it.
void begin_experts(const Problem& p, const Routing& r, Arena arena, int uses, Ctx& c) {
  int32_t* experts = arena.take<int32_t>(p.E * 4);
  int64_t* rows = arena.take<int64_t>(p.E * 8);
  int64_t n = 0;
  for (int64_t e = 0; e < p.E; e++)
    if (r.count(e)) experts[n] = int32_t(e), rows[n++] = r.count(e);
  const auto begin = [&] { p.store()->begin(p.stack[0]->layer, p.stack[0]->part, experts, rows, n, uses); };
  if (!p.store()->whole()) return c.barrier(begin);
  if (c.tid == 0) begin();
}

// Few rows when some experts must be waited for: expert by expert, a range of panels for each worker.
void run_few_streamed(const Problem& p, const Routing& r, const Acts& acts, Ctx& c) {
  ExpertStore& store = *p.store();
  const int64_t panels = p.w[0].panels();
  int64_t begin, end;
  c.range(panels, begin, end);
  alignas(64) float sums[2 * kFewRowsMax * 16];
  float* products = p.down ? reinterpret_cast<float*>(c.team->shared) : nullptr;  // [pairs][panels * 16]
  for (int64_t i = 0; i < store.count(); i++) {
    const int64_t e = store.expert(i);
    if (store.ready(i, c)) {
      for (int64_t panel = begin; panel < end; panel++) {
        if (!p.down) {
          glu_few(p, acts, r, e, panel, sums, 0);
          continue;
        }
        for (int64_t k = 0; k < r.count(e); k += kFewRowsMax) {
          const int m = int(min64(kFewRowsMax, r.count(e) - k));
          const int32_t* pairs = r.pair + r.begin[e] + k;
          few_rows(p.expert(0, e), panel, acts, pairs, m, p.exact, sums);
          for (int j = 0; j < m; j++) memcpy(products + (pairs[j] * panels + panel) * 16, sums + j * 16, 64);
        }
      }
    }
    store.done(i);
  }
  if (!p.down || !c.ok()) return;
  for (int64_t row = 0; row < p.rows; row++)
    for (int64_t panel = begin; panel < end; panel++)
      combine(p, row, panel, products + (row * p.topk * panels + panel) * 16, panels * 16);
}

void run_few(const Problem& p, Ctx& c) {
  Arena arena{c.scratch};
  Routing r;
  if (!route(p, p.ids, p.rows, c, arena, r)) return;
  if (p.store()) begin_experts(p, r, arena, c.nthreads, c);
  Need need;
  need.add(p.w[0], p.exact, false);
  const Acts acts = prepare_few(p.x, p.inputs(p.rows), p.K, {nullptr, 0, 0}, need, arena);
  if (p.store() && !p.store()->complete()) return run_few_streamed(p, r, acts, c);
  const int64_t panels = p.w[0].panels();
  if (!p.down) {
    alignas(64) float sums[2 * kFewRowsMax * 16];
    int64_t active = 0;
    int32_t* experts = arena.take<int32_t>(r.pairs * 4);
    for (int64_t e = 0; e < p.E; e++)
      if (r.count(e)) experts[active++] = int32_t(e);
    share_panels(active * panels, p.rows, c, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; item++)
        glu_few(p, acts, r, experts[item / panels], item % panels, sums, 0);
    });
    return;
  }
  float* products = arena.take<float>(r.pairs * 64);  // by (row, slot)
  share_panels(panels, p.rows, c, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++) {
      for (int64_t e = 0; e < p.E; e++) {
        const int64_t n = r.count(e);
        alignas(64) float sums[kFewRowsMax * 16];
        for (int64_t k = 0; k < n; k += kFewRowsMax) {
          const int m = int(min64(kFewRowsMax, n - k));
          const int32_t* pairs = r.pair + r.begin[e] + k;
          few_rows(p.expert(0, e), panel, acts, pairs, m, p.exact, sums);
          for (int j = 0; j < m; j++) memcpy(products + pairs[j] * 16, sums + j * 16, 64);
        }
      }
      for (int64_t row = 0; row < p.rows; row++) combine(p, row, panel, products + row * p.topk * 16, 16);
    }
  });
}

// What the workers of one chunk of rows share.
struct Chunk {
  Routing routing;
  TileOrder order;
  Acts acts;
  TileActs tiles;
  float* products;  // down: [pairs][N]
  int64_t pair0;    // first (row, slot) pair of the chunk
};

// Products of expert e's rows [i, i + n) with a panel pair -> C.
void grouped(const Problem& p, const Chunk& k, int64_t e, const PanelPair& pair, int64_t i, int64_t n,
             uint8_t* scratch, float* C) {
  if (uses_tiles(*pair.w, p.exact)) return gemm_tiles(&pair, 1, k.tiles, k.order.first[e] + i, n, scratch, C);
  const int32_t* index = (p.down ? k.routing.pair : k.routing.row) + k.routing.begin[e] + i;
  gemm_pair(pair, k.acts, index, n, p.exact, scratch, C);
}

void glu_item(const Problem& p, const Chunk& k, int64_t e, int64_t panel, Arena arena) {
  const Routing& r = k.routing;
  if (r.count(e) <= kFewRowsMax) {
    alignas(64) float sums[2 * kFewRowsMax * 16];
    return glu_few(p, k.acts, r, e, panel, sums, k.pair0);
  }
  float* C = arena.take<float>(kChunkRows * 32 * 4);
  for (int64_t i = 0; i < r.count(e); i += kChunkRows) {
    const int64_t n = min64(kChunkRows, r.count(e) - i);
    grouped(p, k, e, {&p.w[0], &p.w[1], p.panel(0, e, panel), p.panel(1, e, panel)}, i, n, arena.at, C);
    for (int64_t j = 0; j < n; j++)
      finish_glu_row(p.glu_out(e), p.bias_of(1, e), p.gate, k.pair0 + r.pair[r.begin[e] + i + j], panel,
                     C + j * 32, C + j * 32 + 16);
  }
}

// Panels `panel` and, when `both`, the next one of expert e, to the products.
void down_item(const Problem& p, const Chunk& k, int64_t e, int64_t panel, bool both, Arena arena) {
  const Routing& r = k.routing;
  const Output products{k.products, nullptr, nullptr, p.N, p.N};
  if (r.count(e) <= kFewRowsMax) {
    alignas(64) float sums[kFewRowsMax * 16];
    const int32_t* pairs = r.pair + r.begin[e];
    for (int64_t q = panel; q <= panel + (both ? 1 : 0); q++) {
      few_rows(p.expert(0, e), q, k.acts, pairs, int(r.count(e)), p.exact, sums);
      for (int64_t j = 0; j < r.count(e); j++) finish_row(products, pairs[j], q, sums + j * 16);
    }
    return;
  }
  float* C = arena.take<float>(kChunkRows * 32 * 4);
  for (int64_t i = 0; i < r.count(e); i += kChunkRows) {
    const int64_t n = min64(kChunkRows, r.count(e) - i);
    grouped(p, k, e, {&p.w[0], &p.w[0], p.panel(0, e, panel), p.panel(0, e, panel + (both ? 1 : 0))}, i, n,
            arena.at, C);
    for (int64_t j = 0; j < n; j++) {
      const int32_t pair = r.pair[r.begin[e] + i + j];
      finish_row(products, pair, panel, C + j * 32);
      if (both) finish_row(products, pair, panel + 1, C + j * 32 + 16);
    }
  }
}

void combine_rows(const Problem& p, const Chunk& k, int64_t base, int64_t rows, Ctx& c) {
  int64_t begin, end;
  c.range(rows, begin, end);
  for (int64_t row = begin; row < end; row++)
    for (int64_t panel = 0; panel < p.w[0].panels(); panel++)
      combine(p, base + row, panel, k.products + row * p.topk * p.N + panel * 16, p.N);
}

void run_chunk(const Problem& p, int64_t base, int64_t rows, Ctx& c) {
  // Preparing the activations uses the start of scratch; what must outlive it goes to the upper part.
  Arena arena{c.scratch + (int64_t(2) << 20)}, shared{c.team->shared};
  Chunk k{};
  k.pair0 = base * p.topk;
  if (!route(p, p.ids + k.pair0, rows, c, arena, k.routing)) return;
  const int64_t panels = p.w[0].panels(), parts = div_up(panels, kPanelsPerItem);
  if (p.store()) begin_experts(p, k.routing, arena, int(parts), c);
  ExpertStore* store =
      p.store() && !p.store()->complete() ? p.store() : nullptr;  // when some must be waited for
  const Need need = p.chunk_need();
  const float* x = p.x + p.inputs(base) * p.K;
  k.acts = prepare_many(x, p.inputs(rows), p.K, {nullptr, 0, 0}, need, c, shared);
  if (need.tiles) {
    k.order = order_tiles(k.routing, p.down ? k.routing.pair : k.routing.row, arena);
    k.tiles = prepare_tiles(x, k.order.source, k.order.rows, p.K, {nullptr, 0, 0}, need, c, shared);
  }
  k.products = p.down ? shared.take<float>(rows * p.topk * p.N * 4) : nullptr;
  c.barrier();
  {
    TileSession session(need.tiles);
    for (int64_t i; (i = c.next((store ? store->count() : p.E) * parts)) >= 0;) {
      const int64_t e = store ? store->expert(i / parts) : i / parts, first = i % parts * kPanelsPerItem,
                    last = min64(panels, first + kPanelsPerItem);
      if (!k.routing.count(e)) continue;
      if (!store || store->ready(i / parts, c)) {
        if (p.down)
          for (int64_t q = first; q < last; q += 2) down_item(p, k, e, q, q + 1 < last, arena);
        else
          for (int64_t q = first; q < last; q++) glu_item(p, k, e, q, arena);
      }
      if (store) store->done(i / parts);
    }
  }
  if (!p.down) return;
  c.barrier();
  combine_rows(p, k, base, rows, c);
}

template <class View> void run(const Args& args, Ctx& c) {
  Problem p;
  read_problem(View(args), p);
  if (p.rows == 0) return;
  if (p.few()) return run_few(p, c);
  const int64_t step = p.chunk_rows();
  for (int64_t base = 0; base < p.rows; base += step) {
    if (base) c.reset_next();
    run_chunk(p, base, min64(step, p.rows - base), c);
  }
}

template <class View> const char* check(const Args& args) {
  if (const char* problem = View::mismatch(args)) return problem;
  Problem p;
  return read_problem(View(args), p);
}

template <class View> size_t shared_bytes(const Args& args, int) {
  Problem p;
  if (read_problem(View(args), p) || p.rows == 0) return 0;
  if (p.few()) return p.store() && p.down ? size_t(p.rows * p.topk * p.w[0].panels() * 64) : 0;
  return size_t(p.chunk_bytes(min64(p.rows, p.chunk_rows())));
}

constexpr KernelDef defs[] = {
    {"moe_glu", run<MoeGluArgs>, shared_bytes<MoeGluArgs>, check<MoeGluArgs>, nullptr, true},
    {"moe_down", run<MoeDownArgs>, shared_bytes<MoeDownArgs>, check<MoeDownArgs>, nullptr, true},
};

}  // namespace

extern const Table moe_table = {defs, 2};

}  // namespace ingot::INGOT_NS
