// penalize: what changes the logits of a row before a token is drawn; count: the token counts it looks at.
#include "sample.h"
#include "signatures/count.h"
#include "signatures/penalize.h"

namespace ingot::INGOT_NS {
namespace {

struct Penalties {
  float* logits;
  const RowSettings* settings;
  const int32_t *counts, *masks, *bias_rows, *bias_ids;
  const float* bias_values;
  int64_t B, V, S, M, n, words;

  explicit Penalties(const PenalizeArgs& a)
      : logits(a.logits()),
        settings(a.settings_buf().as<RowSettings>()),
        counts(a.counts()),
        masks(a.masks()),
        bias_rows(a.bias_rows()),
        bias_ids(a.bias_ids()),
        bias_values(a.bias_values()),
        B(a.B()),
        V(a.V()),
        S(counts ? a.S() : 0),
        M(masks ? a.M() : 0),
        n(a.n()),
        words(ceil_div(V, 32)) {}
};

bool valid(const Penalties& p, Ctx& ctx) {
  for (int64_t r = 0; r < p.B; r++) {
    const RowSettings& s = p.settings[r];
    if (s.slot < p.S && s.mask < p.M && s.repetition > 0) continue;
    if (ctx.tid == 0 && s.slot >= p.S)
      ctx.fail("penalize: slot %d of row %lld is outside %lld rows of counts", s.slot, (long long)r,
               (long long)p.S);
    else if (ctx.tid == 0 && s.mask >= p.M)
      ctx.fail("penalize: mask %d of row %lld is outside %lld masks", s.mask, (long long)r, (long long)p.M);
    else if (ctx.tid == 0)
      ctx.fail("penalize: the repetition penalty of row %lld is not positive", (long long)r);
    return false;
  }
  for (int64_t i = 0; i < p.n; i++) {
    if (p.bias_rows[i] >= 0 && p.bias_rows[i] < p.B && p.bias_ids[i] >= 0 && p.bias_ids[i] < p.V) continue;
    if (ctx.tid == 0)
      ctx.fail("penalize: bias %lld, for token %d of row %d, is outside [%lld, %lld]", (long long)i,
               p.bias_ids[i], p.bias_rows[i], (long long)p.B, (long long)p.V);
    return false;
  }
  return true;
}

void penalize_row(const RowSettings& s, const int32_t* counts, float* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    if (counts[i] <= 0) continue;
    const float scaled = x[i] > 0 ? x[i] / s.repetition : x[i] * s.repetition;
    x[i] = scaled - s.presence - s.frequency * float(counts[i]);
  }
}

void mask_row(const int32_t* mask, float* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 32) {
    const uint32_t word = uint32_t(mask[i / 32]);
    if (word == 0xffffffffu) continue;
    for (int64_t b = 0; b < min64(32, end - i); b++)
      if (!(word >> b & 1)) x[i + b] = -__builtin_inff();
  }
}

// Every worker has a part of the vocabulary, for all rows: no order between workers matters.
void run_penalize(const Args& args, Ctx& ctx) {
  const Penalties p{PenalizeArgs(args)};
  if (!valid(p, ctx)) return;
  int64_t begin, end;
  ctx.range(p.words, begin, end);
  begin *= 32;
  end = min64(end * 32, p.V);
  for (int64_t r = 0; r < p.B; r++)
    if (p.settings[r].slot >= 0)
      penalize_row(p.settings[r], p.counts + p.settings[r].slot * p.V, p.logits + r * p.V, begin, end);
  for (int64_t i = 0; i < p.n; i++)
    if (p.bias_ids[i] >= begin && p.bias_ids[i] < end)
      p.logits[p.bias_rows[i] * p.V + p.bias_ids[i]] += p.bias_values[i];
  for (int64_t r = 0; r < p.B; r++)
    if (p.settings[r].mask >= 0)
      mask_row(p.masks + p.settings[r].mask * p.words, p.logits + r * p.V, begin, end);
}
const char* check_penalize(const Args& args) {
  if (const char* problem = PenalizeArgs::mismatch(args)) return problem;
  const PenalizeArgs a(args);
  const Penalties p(a);
  if (p.B < 0 || p.V <= 0 || p.S < 0 || p.M < 0 || p.n < 0) return "penalize: a dimension is not positive";
  if (a.logits_buf().bytes / 4 / p.V < p.B) return "penalize: logits smaller than [B, V]";
  if (a.settings_buf().bytes < p.B * int64_t(sizeof(RowSettings)))
    return "penalize: settings smaller than [B, 12]";
  if (p.S && a.counts_buf().bytes / 4 / p.V < p.S) return "penalize: counts smaller than [S, V]";
  if (p.M && a.masks_buf().bytes / 4 / p.words < p.M) return "penalize: masks smaller than [M, V / 32]";
  for (const Buf* list : {&a.bias_rows_buf(), &a.bias_ids_buf(), &a.bias_values_buf()})
    if (list->bytes < p.n * 4) return "penalize: a bias list is shorter than n";
  return nullptr;
}

void run_count(const Args& args, Ctx& ctx) {
  if (ctx.tid != 0) return;
  const CountArgs a(args);
  const int64_t rows = a.rows(), V = a.V(), S = a.S();
  int32_t* counts = a.counts();
  const int32_t *slots = a.slots(), *fresh = a.fresh();
  for (int64_t s = 0; fresh && s < S; s++)
    if (fresh[s]) std::memset(counts + s * V, 0, size_t(V) * 4);
  for (int64_t i = 0; i < rows; i++) {
    const int32_t id = a.ids()[i], slot = slots ? slots[i] : 0;
    if (slot < 0) continue;
    if (id < 0 || id >= V || slot >= S) {
      ctx.fail("count: token %d of slot %d at place %lld is outside [%lld, %lld]", id, slot, (long long)i,
               (long long)S, (long long)V);
      return;
    }
    counts[slot * V + id]++;
  }
}
const char* check_count(const Args& args) {
  if (const char* problem = CountArgs::mismatch(args)) return problem;
  const CountArgs a(args);
  const int64_t rows = a.rows(), V = a.V(), S = a.S();
  if (rows < 0 || V < 0 || S < 0) return "count: negative size";
  if (a.ids_buf().bytes < rows * 4) return "count: fewer ids than rows";
  if (V > 0 && a.counts_buf().bytes / 4 / V < S) return "count: counts smaller than [S, V]";
  if (a.slots() && a.slots_buf().bytes < rows * 4) return "count: fewer slots than rows";
  if (a.fresh() && a.fresh_buf().bytes < S * 4) return "count: fresh is shorter than S";
  return nullptr;
}

const KernelDef defs[] = {
    {"penalize", run_penalize, nullptr, check_penalize},
    {"count", run_count, nullptr, check_count},
};

}  // namespace
extern const Table penalize_table;
const Table penalize_table = {defs, 2};
}  // namespace ingot::INGOT_NS
