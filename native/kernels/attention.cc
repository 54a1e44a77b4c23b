// Causal attention over a cache of floats or codes with online softmax. Few rows, or the only row of a
// sequence: attention_few.h. Many rows: blocks of queries against blocks of keys, in registers (f32, or pairs
// of bf16) or in AMX tiles. One dispatch may hold rows of both kinds.
#include <algorithm>

#include "attention_bf16.h"
#include "attention_f32.h"
#include "attention_few.h"
#include "attention_tiles.h"

// Two bf16 keep 17 bits of an f32 cache or of codes, which is what a model has that wants more: those go the
// way of registers.
#define INGOT_F32_IN_REGISTERS (INGOT_TILES && !INGOT_AMX_EMULATE)
#if INGOT_F32_IN_REGISTERS
namespace ingot::avx512 {
extern const Table attention_table;
}
#endif

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxRows = 16384;  // what the plan of a dispatch has room for in scratch
constexpr int64_t kFewRows = 4;      // up to here the split-key path is used

// Rows [row, row + rows) of one sequence, and where the work items of what follows them begin.
struct Span {
  int64_t row, rows, items;
};

// How the rows are shared out. Every worker makes the same plan in its own memory.
struct Plan {
  Span* many;        // spans done in blocks of `block` queries
  Group* groups;     // the others, whose first items are in `starts`
  int64_t* starts;
  int64_t many_count = 0, group_count = 0, many_items = 0, group_items = 0, block;

  static size_t bytes(int64_t rows) { return size_t(rows + 1) * (sizeof(Span) + sizeof(Group) + 8); }
  Plan(const Attention& a, int nthreads, uint8_t* memory)
      : many(reinterpret_cast<Span*>(memory)), groups(reinterpret_cast<Group*>(many + a.rows + 1)),
        starts(reinterpret_cast<int64_t*>(groups + a.rows + 1)), block(block_queries(a)) {
    int64_t queries = 0, partials = 0;
    for (int64_t r = 0, n; r < a.rows; r += n) {
      n = a.sequences ? 1 : a.rows;
      while (a.sequences && r + n < a.rows && a.sequences[r + n] == a.sequences[r]) n++;
      if (n <= (a.sequences ? 1 : kFewRows)) {
        const Group group(a, r, n, partials);
        partials += group.results(a);
        starts[group_count] = group_items;
        group_items += group.items;
        groups[group_count++] = group;
      } else {
        many[many_count++] = {r, n, 0};
        queries += n * a.G;
      }
    }
    // Small problems get smaller blocks, so that there is work for every core.
    while (block > kQueryStep && ceil_div(queries, block) * a.Hkv < 4 * nthreads) block -= kQueryStep;
    for (int64_t i = 0; i < many_count; i++)
      many[i].items = many_items += ceil_div(many[i].rows * a.G, block) * a.Hkv;
  }
  int64_t group_of(int64_t item) const {
    return std::upper_bound(starts, starts + group_count, item, Less{}) - starts - 1;
  }
  struct Less {  // of this level's namespace
    bool operator()(int64_t a, int64_t b) const { return a < b; }
  };
};

void run_block(const Attention& a, int64_t head, int64_t q0, int64_t n, Block& b) {
  const int64_t vecs = ceil_div(n, kQueryStep) * kQueryStep / kW;
  for (int64_t i = 0; i < vecs * kW; i++) {
    const int64_t query = q0 + min64(i, n - 1), row = query / a.G;
    b.at[i] = (row * a.H + head * a.G + query % a.G) * a.Dh;
    b.lo[i] = int32_t(a.first_key(row));
    b.hi[i] = int32_t(a.last_key(row));
    b.m[i] = kNoScore;
    b.l[i] = 0;
    // Rows are spread over memory: one request each would be waited for, when they are read and when they are
    // written.
    prefetch_lines(reinterpret_cast<const uint8_t*>(a.q + b.at[i]), a.Dh * 4);
    prefetch_lines(reinterpret_cast<const uint8_t*>(a.y + b.at[i]), a.Dh * 4);
  }
  const Seen seen(b, 0, vecs);
  const auto attend = [&](const auto& prepare, const auto& attend_block) {
    prepare(a, n, vecs, b);
    for (int64_t j = seen.lo / kBlockKeys * kBlockKeys; j < seen.hi; j += kBlockKeys)
      attend_block(a, head, j, vecs, seen, b);
  };
#if INGOT_TILES
  if (a.fast) attend(prepare_queries, attend_keys<false>);
  else attend(prepare_queries, attend_keys<true>);
#else
#if INGOT_BF16_PAIRS
  if (in_pairs(a)) attend(prepare_query_pairs, attend_key_pairs);
  else
#endif
    attend(prepare_queries, attend_keys);
#endif
  store_outputs(a, head, q0, n, b);
}

void run_block_item(const Attention& all, const Plan& plan, int64_t item, uint8_t* scratch) {
  int64_t s = 0;
  while (item >= plan.many[s].items) s++;
  const Span& span = plan.many[s];
  const Attention a = all.at_row(span.row);
  const int64_t left = span.items - 1 - item;  // of its span, longest first
  const int64_t head = left % a.Hkv, q0 = left / a.Hkv * plan.block;
  run_block(a, head, span.row * a.G + q0, min64(plan.block, span.rows * a.G - q0), block_in(a, scratch));
}

void run_splits(const Attention& all, const Plan& plan, int64_t begin, int64_t end, const Partials& parts,
                uint8_t* scratch) {
  for (int64_t item = begin; item < end; item++) {
    const int64_t g = plan.group_of(item);
    const Group& group = plan.groups[g];
    run_split(all.at_row(group.row), group, item - plan.starts[g], parts, scratch);
  }
}

void run_rows(const Attention& all, Ctx& ctx) {
  const Plan plan(all, ctx.nthreads, ctx.scratch);
  if (all.sequences && plan.group_count > all.S) {
    if (ctx.tid == 0) ctx.fail("attention: rows of one sequence do not follow each other");
    return;
  }
  uint8_t* scratch = ctx.scratch + (Plan::bytes(all.rows) + 63) / 64 * 64;
  const Partials parts{reinterpret_cast<float*>(ctx.team->shared), padded(all.Dh)};
  TileSession session(plan.many_count > 0);
  // As share_panels does: most splits in one range per worker, so that it knows what it reads next.
  const int64_t fixed = plan.group_items * 3 / 4 / ctx.nthreads, base = fixed * ctx.nthreads;
  run_splits(all, plan, fixed * ctx.tid, fixed * (ctx.tid + 1), parts, scratch);
  const int64_t rest = plan.group_items - base, pieces = min64(rest, int64_t(ctx.nthreads) * 4);
  for (int64_t i; (i = ctx.next(plan.many_items + pieces)) >= 0;) {
    if (i < plan.many_items) {
      run_block_item(all, plan, i, scratch);
      continue;
    }
    i -= plan.many_items;
    run_splits(all, plan, base + rest * i / pieces, base + rest * (i + 1) / pieces, parts, scratch);
  }
  if (plan.group_count == 0) return;
  ctx.barrier();
  const int64_t rows = plan.groups[0].rows;  // groups of several rows are alone
  int64_t begin, end;
  ctx.range(plan.group_count * rows * all.H, begin, end);
  for (int64_t i = begin; i < end; i++)
    merge(all, parts, plan.groups[i / all.H / rows], i / all.H % rows, i % all.H);
}

void run(const Args& args, Ctx& ctx) {
  const Attention a{AttentionArgs(args)};
#if INGOT_F32_IN_REGISTERS
  if (!a.fast && a.form != rF16) return avx512::attention_table.defs[0].run(args, ctx);
#endif
  if (a.rows > 0 && a.positions_ok(ctx)) run_rows(a, ctx);
}

// Positions are not known yet: room for the splits of as many single rows as there can be.
size_t shared_bytes(const Args& args, int) {
  const Attention a{AttentionArgs(args)};
  const int64_t rows = a.sequences ? min64(a.rows, a.S) : a.rows <= kFewRows ? a.rows : 0;
  return size_t(a.Hkv * max_splits(a.Hkv) * rows * a.G * (padded(a.Dh) + kW)) * 4;
}

const char* check(const Args& args) {
  if (const char* problem = AttentionArgs::mismatch(args)) return problem;
  const AttentionArgs a(args);
  const int64_t rows = a.rows(), H = a.H(), Hkv = a.Hkv(), Dh = a.Dh(), cap = a.cap(), ring = a.ring();
  if (rows < 0 || H <= 0 || Hkv <= 0 || Dh <= 0 || cap <= 0) return "attention: a dimension is not positive";
  if (H % Hkv != 0) return "attention: the number of heads is not a multiple of the number of kv heads";
  if (Dh > kMaxHeadDim) return "attention: head dimension above 1024";
  if (const char* problem = KvRow::mismatch(a.kv_rows(), Dh)) return problem;
  if (a.precision() != kFast && a.precision() != kExact)
    return "attention: precision is neither fast (0) nor exact (1)";
  if (ring < 0 || ring > cap) return "attention: ring is longer than the cache";
  if (const char* problem = check_pages(a, cap, ring)) return problem;
  if (rows > kMaxRows) return "attention: more than 16,384 rows";
  const int64_t cache = Hkv * cap * KvRow(a.kv_rows(), Dh).bytes, heads = rows * H * Dh * 4;
  if (a.k_cache_buf().bytes < cache || a.v_cache_buf().bytes < cache)
    return "attention: cache buffer smaller than [Hkv, cap, Dh]";
  if (a.q_buf().bytes < heads || a.y_buf().bytes < heads)
    return "attention: q or y smaller than [rows, H, Dh]";
  if (a.positions_buf().bytes < rows * 4) return "attention: fewer positions than rows";
  if (a.sinks() && a.sinks_buf().bytes < H * 4) return "attention: fewer sinks than heads";
  return nullptr;
}

const KernelDef defs[] = {{"attention", run, shared_bytes, check}};

}  // namespace
extern const Table attention_table;
const Table attention_table = {defs, 1};
}  // namespace ingot::INGOT_NS
