#include "program.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "lost_pages.h"
#include "pool.h"

namespace ingot {

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
    ops_.push_back(op);
  }
  values_.resize(params_.size());
  for (size_t i = 0; i < params_.size(); i++) values_[i] = params_[i].constant;
  profile_.resize(ops_.size());
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
    if (i + 1 < ops_.size() && ops_[i + 1].def->fetch) ops_[i + 1].def->fetch(args(ops_[i + 1]), ctx);
    Team& team = *ctx.team;
    ctx.barrier([&team, i] {
      team.next.store(0, std::memory_order_relaxed);
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
