// Rotary embedding and the write into the key-value cache: rope, kv_write, and both in one dispatch
// (rope_kv). The angle is float(position) * invFreq in f32, as the reference implementations compute it.
#include "kv_rows.h"
#include "norm.h"
#include "pages.h"
#include "signatures/kv_write.h"
#include "signatures/rope.h"
#include "signatures/rope_kv.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kMaxHeadDim = 4096;

struct Rotation {
  int64_t Dh, rot;
  bool interleaved, norm;
  float attention_scale, eps;
  const float* inv_freq;

  int64_t pairs() const { return rot / 2; }

  // cos and sin of one position into tables of kMaxHeadDim / 2 each.
  void angles(int32_t position, float* c, float* s) const {
    const int64_t n = pairs();
    for (int64_t i = 0; i < n; i += kW) {
      const int lanes = int(min64(kW, n - i));
      vf sine, cosine;
      vsincos(float(position) * load_some(inv_freq + i, lanes), sine, cosine);
      store(c + i, cosine * attention_scale);
      store(s + i, sine * attention_scale);
    }
  }
  // One head; x and y may be the same. `w` may be null.
  void head(const float* x, const float* w, const float* c, const float* s, float* y, float* tmp) const {
    if (norm) {
      rms_norm_row(x, w, eps, 0, tmp, Dh);
      x = tmp;
    }
    const int64_t n = pairs();
    if (interleaved) {
      for (int64_t i = 0; i < n; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        y[2 * i] = a * c[i] - b * s[i];
        y[2 * i + 1] = b * c[i] + a * s[i];
      }
    } else {
      int64_t i = 0;
      for (; i + kW <= n; i += kW)
        rotate(load(x + i), load(x + n + i), load(c + i), load(s + i), y + i, y + n + i);
      for (; i < n; i++) {
        const float a = x[i], b = x[n + i];
        y[i] = a * c[i] - b * s[i];
        y[n + i] = b * c[i] + a * s[i];
      }
    }
    if (x != y && rot < Dh) std::memmove(y + rot, x + rot, size_t(Dh - rot) * 4);
  }

 private:
  static void rotate(vf a, vf b, vf c, vf s, float* y0, float* y1) {
    store(y0, a * c - b * s);
    store(y1, b * c + a * s);
  }
};

struct Cache {
  uint8_t *k, *v;
  int64_t Hkv, Dh, cap, ring;
  int form;
  KvRow row;
  const int32_t *positions, *sequences, *page_table;  // sequences and page_table may be null
  int64_t S, max_pages;

  // Slot of a row; -1, after failing the run, when it has none.
  int64_t slot(int64_t row, Ctx& ctx, const char* kernel) const {
    const int32_t position = positions[row];
    if (!sequences) {
      if (position >= 0 && (ring > 0 || position < cap)) return ring > 0 ? position % ring : position;
      ctx.fail("%s: position %d is outside the cache of %lld slots", kernel, position, (long long)cap);
      return -1;
    }
    const int32_t sequence = sequences[row];
    if (sequence < 0 || sequence >= S || position < 0 || position >= max_pages * kPage) {
      ctx.fail("%s: position %d of sequence %d is outside %lld sequences of %lld pages", kernel, position,
               sequence, (long long)S, (long long)max_pages);
      return -1;
    }
    const int32_t page = page_table[sequence * max_pages + position / kPage];
    if (page >= 0 && page < cap / kPage) return page * kPage + position % kPage;
    ctx.fail("%s: page %d of sequence %d is %d of %lld", kernel, int(position / kPage), sequence, page,
             (long long)(cap / kPage));
    return -1;
  }
  void put(uint8_t* cache, int64_t head, int64_t slot, const float* x) const {
    uint8_t* to = cache + (head * cap + slot) * row.bytes;
    if (form == rF32) {
      std::memcpy(to, x, size_t(Dh) * 4);
      return;
    }
    if (form != rF16) return write_codes(form, row, x, to);
    uint16_t* out = reinterpret_cast<uint16_t*>(to);
    int64_t d = 0;
    for (; d + kW <= Dh; d += kW) store_f16(out + d, load(x + d));
    if (d < Dh) store_f16_n(out + d, load_n(x + d, int(Dh - d)), int(Dh - d));
  }
};

// The share of one worker: rows when there are enough of them and no two can meet in a slot of a ring, else
// heads. Sharing by heads keeps the writes to a slot in the order of the rows. Rows must have different
// positions.
struct Share {
  int64_t row, rows, head, heads;
  Share(const Ctx& ctx, int64_t all_rows, int64_t all_heads, int64_t ring)
      : row(0), rows(all_rows), head(0), heads(all_heads) {
    if (all_rows >= 4 * ctx.nthreads && (ring == 0 || all_rows <= ring)) ctx.range(all_rows, row, rows);
    else ctx.range(all_heads, head, heads);
  }
};

struct Tables {
  float *c, *s, *tmp;
  explicit Tables(Ctx& ctx)
      : c(reinterpret_cast<float*>(ctx.scratch)), s(c + kMaxHeadDim), tmp(s + kMaxHeadDim) {}
};

template <class View> Rotation rotation_of(const View& a, bool norm) {
  return {a.Dh(), a.rot(), a.interleaved(), norm, a.attention_scale(), a.norm_eps(), a.inv_freq()};
}

void run_rope(const Args& args, Ctx& ctx) {
  const RopeArgs a(args);
  const int64_t rows = a.rows(), H = a.H(), Dh = a.Dh();
  const Rotation rotation = rotation_of(a, a.has_norm());
  const Tables t(ctx);
  int64_t begin, end, row = -1;
  ctx.range(rows * H, begin, end);
  for (int64_t i = begin; i < end; i++) {
    if (i / H != row) rotation.angles(a.positions()[row = i / H], t.c, t.s);
    rotation.head(a.x() + i * Dh, a.norm_weight(), t.c, t.s, a.y() + i * Dh, t.tmp);
  }
}
template <class View> const char* check_rotation(const View& a) {
  const int64_t rows = a.rows(), H = a.H(), Dh = a.Dh(), rot = a.rot();
  if (rows < 0 || H <= 0 || Dh <= 0) return "rope: a dimension is not positive";
  if (Dh > kMaxHeadDim) return "rope: head dimension above 4096";
  if (rot < 0 || rot > Dh || rot % 2 != 0)
    return "rope: the rotated dimension is odd or larger than the head";
  return nullptr;
}
const char* check_rope(const Args& args) {
  if (const char* problem = RopeArgs::mismatch(args)) return problem;
  const RopeArgs a(args);
  if (const char* problem = check_rotation(a)) return problem;
  const int64_t heads = a.rows() * a.H() * a.Dh() * 4;
  if (a.x_buf().bytes < heads || a.y_buf().bytes < heads) return "rope: x or y smaller than [rows, H, Dh]";
  if (a.positions_buf().bytes < a.rows() * 4) return "rope: fewer positions than rows";
  if (a.inv_freq_buf().bytes < a.rot() / 2 * 4) return "rope: fewer frequencies than rot / 2";
  if (a.norm_weight() && a.norm_weight_buf().bytes < a.Dh() * 4) return "rope: norm weight smaller than [Dh]";
  return nullptr;
}

template <class View> Cache cache_of(const View& a) {
  return {a.k_cache(), a.v_cache(), a.Hkv(), a.Dh(), a.cap(), a.ring(), a.kv_rows(),
          KvRow(a.kv_rows(), a.Dh()), a.positions(), a.sequences(), a.page_table(), a.S(), a.max_pages()};
}
template <class View> const char* check_cache(const View& a, const Buf& v) {
  const Buf& k = a.k_cache_buf();
  const int64_t Hkv = a.Hkv(), Dh = a.Dh(), cap = a.cap(), ring = a.ring();
  if (Hkv <= 0 || cap <= 0) return "kv cache: a dimension is not positive";
  if (const char* problem = KvRow::mismatch(a.kv_rows(), Dh)) return problem;
  if (ring < 0 || ring > cap) return "kv cache: ring is longer than the cache";
  const int64_t bytes = Hkv * cap * KvRow(a.kv_rows(), Dh).bytes;
  if (k.bytes < bytes || v.bytes < bytes) return "kv cache: buffer smaller than [Hkv, cap, row]";
  return nullptr;
}

void run_kv_write(const Args& args, Ctx& ctx) {
  const KvWriteArgs a(args);
  const int64_t rows = a.rows(), Hkv = a.Hkv(), Dh = a.Dh();
  const Cache cache = cache_of(a);
  const Share share(ctx, rows, Hkv, cache.ring);
  for (int64_t r = share.row; r < share.rows; r++) {
    const int64_t slot = cache.slot(r, ctx, "kv_write");
    if (slot < 0) return;
    for (int64_t h = share.head; h < share.heads; h++) {
      cache.put(cache.k, h, slot, a.k() + (r * Hkv + h) * Dh);
      if (cache.v) cache.put(cache.v, h, slot, a.v() + (r * Hkv + h) * Dh);
    }
  }
}
const char* check_kv_write(const Args& args) {
  if (const char* problem = KvWriteArgs::mismatch(args)) return problem;
  const KvWriteArgs a(args);
  if (a.rows() < 0 || a.Dh() <= 0) return "kv_write: a dimension is not positive";
  // Where keys are also the values, neither v nor its cache is there.
  const bool values = a.v_cache() != nullptr;
  if (const char* problem = check_cache(a, values ? a.v_cache_buf() : a.k_cache_buf())) return problem;
  if (const char* problem = check_pages(a, a.cap(), a.ring())) return problem;
  const int64_t heads = a.rows() * a.Hkv() * a.Dh() * 4;
  if (a.k_buf().bytes < heads || (values && a.v_buf().bytes < heads))
    return "kv_write: k or v smaller than [rows, Hkv, Dh]";
  if (a.positions_buf().bytes < a.rows() * 4) return "kv_write: fewer positions than rows";
  return nullptr;
}

// Items are heads: the query heads, then the kv heads (rotated key and plain value).
void run_rope_kv(const Args& args, Ctx& ctx) {
  const RopeKvArgs a(args);
  const int64_t rows = a.rows(), H = a.H(), Hkv = a.Hkv(), Dh = a.Dh();
  const Rotation rotation = rotation_of(a, false);
  const Cache cache = cache_of(a);
  Rotation rq = rotation, rk = rotation;
  rq.norm = a.q_norm() != nullptr;
  rk.norm = a.k_norm() != nullptr;
  const Tables t(ctx);
  float* key = t.tmp + kMaxHeadDim;
  const Share share(ctx, rows, H + Hkv, cache.ring);
  for (int64_t r = share.row; r < share.rows; r++) {
    const int64_t slot = cache.slot(r, ctx, "rope_kv");
    if (slot < 0) return;
    if (share.head < share.heads) rotation.angles(cache.positions[r], t.c, t.s);
    for (int64_t i = share.head; i < share.heads; i++) {
      if (i < H) {
        const int64_t at = (r * H + i) * Dh;
        rq.head(a.q() + at, a.q_norm(), t.c, t.s, a.y() + at, t.tmp);
        continue;
      }
      const int64_t h = i - H, at = (r * Hkv + h) * Dh;
      rk.head(a.k() + at, a.k_norm(), t.c, t.s, key, t.tmp);
      cache.put(cache.k, h, slot, key);
      cache.put(cache.v, h, slot, a.v() + at);
    }
  }
}
const char* check_rope_kv(const Args& args) {
  if (const char* problem = RopeKvArgs::mismatch(args)) return problem;
  const RopeKvArgs a(args);
  if (const char* problem = check_rotation(a)) return problem;
  if (const char* problem = check_cache(a, a.v_cache_buf())) return problem;
  if (const char* problem = check_pages(a, a.cap(), a.ring())) return problem;
  const int64_t rows = a.rows(), head = a.Dh() * 4, heads = rows * a.H() * head,
                kv_heads = rows * a.Hkv() * head;
  if (a.q_buf().bytes < heads || a.y_buf().bytes < heads) return "rope_kv: q or y smaller than [rows, H, Dh]";
  if (a.k_buf().bytes < kv_heads || a.v_buf().bytes < kv_heads)
    return "rope_kv: k or v smaller than [rows, Hkv, Dh]";
  if (a.positions_buf().bytes < rows * 4) return "rope_kv: fewer positions than rows";
  if (a.inv_freq_buf().bytes < a.rot() / 2 * 4) return "rope_kv: fewer frequencies than rot / 2";
  if ((a.q_norm() && a.q_norm_buf().bytes < head) || (a.k_norm() && a.k_norm_buf().bytes < head))
    return "rope_kv: norm weight smaller than [Dh]";
  return nullptr;
}

const KernelDef defs[] = {
    {"rope", run_rope, nullptr, check_rope},
    {"kv_write", run_kv_write, nullptr, check_kv_write},
    {"rope_kv", run_rope_kv, nullptr, check_rope_kv},
};

}  // namespace
extern const Table rope_table;
const Table rope_table = {defs, 3};
}  // namespace ingot::INGOT_NS
