#include "program.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "lost_pages.h"
#include "pool.h"

namespace ingot {

// A brief run: so many bytes, in so many dispatches of kernels whose work is in proportion to them.
// Microseconds.
constexpr int64_t kBriefBytes = 32 << 10;
constexpr size_t kBriefOps = 16;
constexpr std::string_view kLinear[] = {"tile", "copy",    "reduce",   "gather",
                                        "scan", "softmax", "rms_norm", "layer_norm"};

Program::Program(const std::vector<const KernelDef*>& kernels, std::vector<std::shared_ptr<Memory>> buffers,
                 size_t arena_bytes, int scalars, const double* code, size_t length)
    : sizes_(buffers.size()), buffers_(std::move(buffers)), scalars_(scalars) {
  arena_ = Memory::allocate(arena_bytes ? arena_bytes : 64);
  if (!arena_)
    throw std::runtime_error("out of memory: the arena of " + std::to_string(arena_bytes) + " bytes");
  size_t at = 0;
  auto take = [&](double low, double high, const char* what) {
    if (at >= length) throw std::runtime_error("truncated program");
    const double v = code[at++];
    if (!(v >= low && v <= high)) throw std::runtime_error(std::string("bad ") + what + " in program");
    return v;
  };
  constexpr double kMax = 9007199254740991.0;
  while (at < length) {
    Op op{};
    op.def = kernels[size_t(take(0, double(kernels.size()) - 1, "kernel"))];
    op.nbufs = size_t(take(0, 4096, "buffer count"));
    op.first_buf = bufs_.size();
    for (size_t i = 0; i < op.nbufs; i++) {
      const int index = int(take(-1, double(buffers_.size()) - 1, "buffer"));
      const Memory& m = index < 0 ? *arena_ : *buffers_[size_t(index)];
      const size_t offset = size_t(take(0, double(m.bytes()), "offset"));
      const size_t bytes = size_t(take(0, double(m.bytes() - offset), "length"));
      if (m.stack() && (!op.def->streams || offset != 0))
        throw std::runtime_error(std::string(op.def->name) + ": the experts are not in memory");
      bufs_.push_back({m.data() + offset, int64_t(bytes), m.stack()});
      places_.push_back({index, offset});
      if (index >= 0) sizes_[size_t(index)] = std::max(sizes_[size_t(index)], offset + bytes);
    }
    op.nparams = size_t(take(0, 65536, "param count"));
    op.first_param = params_.size();
    for (size_t i = 0; i < op.nparams; i++) {
      const int scalar = int(take(-1, scalars - 1, "scalar"));
      const double mul = take(-kMax, kMax, "factor");
      if (at >= length) throw std::runtime_error("truncated program");
      params_.push_back({code[at++], mul, scalar});
      op.dynamic |= scalar >= 0;
    }
    brief_ &= std::find(std::begin(kLinear), std::end(kLinear), std::string_view(op.def->name)) !=
              std::end(kLinear);
    ops_.push_back(op);
  }
  int64_t touched = 0;
  for (const Buf& b : bufs_) touched += b.bytes;
  brief_ &= touched <= kBriefBytes && ops_.size() <= kBriefOps;
  values_.resize(params_.size());
  for (size_t i = 0; i < params_.size(); i++) values_[i] = params_[i].constant;
  profile_.resize(ops_.size());
  for (Op& op : ops_) find_pages(op);
}

// Whether a dispatch works on pages of a store; it sees a cache with as many pages as that has slots.
void Program::find_pages(Op& op) {
  op.pages = -1;
  const PagedArray* array = nullptr;
  for (size_t i = 0; i < op.nbufs; i++) {
    const Place& place = places_[op.first_buf + i];
    const PagedArray* p = place.buffer < 0 ? nullptr : buffers_[size_t(place.buffer)]->paged();
    if (!p) continue;
    if (array && (p->store != array->store || p->layer != array->layer))
      throw std::runtime_error(std::string(op.def->name) + ": its caches are in different stores of pages");
    array = p;
    bufs_[op.first_buf + i].bytes = int64_t(p->store->memory_bytes(p->array));
  }
  if (!array) return;
  const auto* kernel = std::find_if(std::begin(kPagedKernels), std::end(kPagedKernels),
                                    [&](const PagedKernel& k) { return !std::strcmp(k.name, op.def->name); });
  if (kernel == std::end(kPagedKernels) || size_t(kernel->table) >= op.nbufs || !buf(op, kernel->table).bytes)
    throw std::runtime_error(std::string(op.def->name) + ": the pages are not in memory");
  op.pages = int(pages_.size());
  pages_.push_back({kernel, array, {}});
  value(op, kernel->cap) = params_[op.first_param + size_t(kernel->cap)].constant =
      double(array->store->slots() * PageStore::kRows);
}

// Brings what the dispatch sees into memory: the pages of its rows where it writes them, else all pages of
// their sequences.
bool Program::enter(const Op& op, Team& team) {
  if (op.pages < 0) return true;
  Pages& p = pages_[size_t(op.pages)];
  const PagedKernel& k = *p.kernel;
  PageStore& store = *p.array->store;
  const auto* sequences = buf(op, k.sequences).as<int32_t>();
  const auto* positions = k.positions < 0 ? nullptr : buf(op, k.positions).as<int32_t>();
  Buf& table = buf(op, k.table);
  const Place& place = places_[op.first_buf + size_t(k.table)];
  const auto* pages = reinterpret_cast<const int32_t*>(
      (place.buffer < 0 ? arena_->data() : buffers_[size_t(place.buffer)]->data()) + place.offset);
  const int64_t rows = int64_t(value(op, k.rows)), S = int64_t(value(op, k.S)),
                width = int64_t(value(op, k.max_pages));
  std::vector<int64_t> places;  // in the table
  const auto add = [&](int64_t at) {
    if (pages[at] >= 0 && pages[at] < store.pages()) places.push_back(at);
  };
  for (int64_t r = 0; r < rows; r++) {
    const int64_t s = sequences[r];
    if (s < 0 || s >= S) continue;  // the kernel refuses it
    if (k.writes) {
      const int64_t page = positions[r] / PageStore::kRows;
      if (positions[r] >= 0 && page < width) add(s * width + page);
    } else if (r == 0 || sequences[r - 1] != s) {
      for (int64_t i = 0; i < width; i++) add(s * width + i);
    }
  }
  std::vector<int32_t> wanted;
  for (int64_t at : places) wanted.push_back(pages[at]);
  std::string error;
  if (!store.begin(p.array->layer, wanted, k.writes ? PageUse::kWrite : PageUse::kAttend, error)) {
    team.failed.store(true);
    std::snprintf(team.message, sizeof team.message, "kv pages: %s", error.c_str());
    return false;
  }
  p.table.assign(size_t(S * width), -1);
  for (int64_t at : places) p.table[size_t(at)] = store.slot(p.array->layer, pages[at]);
  table.data = reinterpret_cast<uint8_t*>(p.table.data());
  return true;
}

void Program::bind(std::vector<std::shared_ptr<Memory>> buffers) {
  buffers_ = std::move(buffers);
  if (buffers_.empty()) return;
  for (size_t i = 0; i < bufs_.size(); i++)
    if (places_[i].buffer >= 0) {
      const Memory& m = *buffers_[size_t(places_[i].buffer)];
      bufs_[i].data = m.data() + places_[i].offset;
      bufs_[i].stack = m.stack();
    }
}

const Memory* Program::lost() const {
  if (!pages_were_lost()) return nullptr;
  for (const auto& memory : buffers_)
    if (memory->lost()) return memory.get();
  return nullptr;
}

bool Program::prepare(const double* scalars, Team& team, int nthreads) {
  for (size_t i = 0; i < params_.size(); i++) {
    const Param& p = params_[i];
    if (p.scalar >= 0) values_[i] = scalars[p.scalar] * p.mul + p.constant;
  }
  size_t shared = shared_;
  for (const Op& op : ops_) {
    if (checked_ && !op.dynamic) continue;
    const Args a = args(op);
    const char* problem = op.def->check ? op.def->check(a) : nullptr;
    if (problem) {
      team.failed.store(true);
      std::snprintf(team.message, sizeof team.message, "%s: %s", op.def->name, problem);
      return false;
    }
    if (op.def->shared_bytes) {
      const size_t need = op.def->shared_bytes(a, nthreads);
      if (need > shared) shared = need;
      if (!op.dynamic && need > shared_) shared_ = need;
    }
  }
  checked_ = true;
  if (!Pool::reserve_shared(team, shared)) {
    team.failed.store(true);
    std::snprintf(team.message, sizeof team.message, "out of memory: %zu bytes of working memory", shared);
    return false;
  }
  return true;
}

void Program::execute(Ctx& ctx, bool profile) {
  using Clock = std::chrono::steady_clock;
  auto last = profile ? Clock::now() : Clock::time_point{};
  for (size_t i = ctx.team->next_dispatch; i < ops_.size(); i++) {
    const Op& op = ops_[i];
    op.def->run(args(op), ctx);
    // While the others finish, the memory would be idle.
    if (i + 1 < ops_.size() && ops_[i + 1].def->fetch && ops_[i + 1].pages < 0)
      ops_[i + 1].def->fetch(args(ops_[i + 1]), ctx);
    Team& team = *ctx.team;
    ctx.barrier([this, &op, &team, i] {
      team.next.store(0, std::memory_order_relaxed);
      leave(op);
      if (i + 1 < ops_.size() && !team.failed.load()) enter(ops_[i + 1], team);
      team.stop = team.failed.load(std::memory_order_relaxed);
      team.next_dispatch = team.stop ? SIZE_MAX : i + 1;
      team.admit();
    });
    if (team.stop) return;
    ctx.nthreads = team.members;
    if (profile && ctx.tid == 0) {
      const auto now = Clock::now();
      profile_[i] = std::chrono::duration<double, std::nano>(now - last).count();
      last = now;
    }
  }
}

}  // namespace ingot
