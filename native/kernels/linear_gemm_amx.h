// Many rows on AMX.
#pragma once
#include "linear_gemm.h"
#include "linear_prepare.h"

namespace ingot::INGOT_NS {

#if !INGOT_TILES

struct TileActs {};
struct TileSession {
  explicit TileSession(bool) {}
};
inline int64_t tile_bytes(int64_t, int64_t) { return 0; }
inline TileActs prepare_tiles(const float*, int64_t, int64_t, const Norm&, const Need&, Ctx&, Arena&) { return {}; }
inline void gemm_tiles(const PanelPair&, const TileActs&, int64_t, int64_t, uint8_t*, float*) {}

#endif

}  // namespace ingot::INGOT_NS
