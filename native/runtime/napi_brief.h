// Runs of few bytes on the event loop itself: waking the workers, and being told by them, takes longer.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "aligned.h"
#include "bytes.h"
#include "denormals.h"
#include "napi_call.h"
#include "program.h"

namespace ingot {

// What stands for the pool.
class BriefRuns {
 public:
  BriefRuns() : scratch_(Memory::allocate(kScratchBytes)) {}
  ~BriefRuns() { free_block(team_.shared); }
  BriefRuns(const BriefRuns&) = delete;

  // False when the event loop has had no turn for long: a loop of nothing but brief runs would keep timers
  // and I/O waiting for ever. The run to be made then goes to the pool.
  bool allowed() {
    const auto now = std::chrono::steady_clock::now();
    if (now - turn_ < std::chrono::milliseconds(4)) return true;
    turn_ = now;
    return false;
  }
  // While the pool is idle. Empty, or what went wrong.
  std::string run(Program& program, const double* scalars, std::vector<std::shared_ptr<Memory>> bound,
                  int workers) {
    if (!scratch_) return "out of memory: working memory";
    const FlushDenormals flush;
    const bool binds = !bound.empty();
    if (binds) program.bind(std::move(bound));
    team_.failed.store(false);
    team_.stop = false;
    team_.message[0] = 0;
    team_.next.store(0);
    team_.next_dispatch = 0;
    Ctx ctx{0, 1, &team_, scratch_->data()};
    if (program.prepare(scalars, team_, workers) && program.open(team_)) program.execute(ctx, false);
    std::string error;
    if (const Memory* gone = program.lost())
      error = kLostFile + gone->path();
    else if (team_.failed.load())
      error = team_.message[0] ? team_.message : "unknown failure";
    if (binds) program.bind({});
    return error;
  }

 private:
  Team team_;  // of one worker
  std::chrono::steady_clock::time_point turn_{};
  std::shared_ptr<Memory> scratch_;
};

}  // namespace ingot
