// Takes standard error from the process for a moment: libraries that write warnings there as they start
// cannot be asked not to.
#pragma once
#include <cstdio>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace ingot {

// True takes it away, false gives it back; a second call of the same kind does nothing. Whether anything
// changed.
inline bool mute_stderr(bool mute) {
#ifdef _WIN32
  (void)mute;
  return false;
#else
  static int kept = -1;
  if (mute == (kept >= 0)) return false;
  fflush(stderr);
  if (!mute) {
    dup2(kept, 2);
    close(kept);
    kept = -1;
    return true;
  }
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nothing < 0) return false;
  kept = fcntl(2, F_DUPFD_CLOEXEC, 3);
  if (kept >= 0) dup2(nothing, 2);
  close(nothing);
  return kept >= 0;
#endif
}

}  // namespace ingot
