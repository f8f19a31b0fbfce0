// Instructions that lanes execute together: they wait until every lane named in the member mask has come or has exited.
#ifndef LIMBECK_EXEC_COLLECTIVE_H
#define LIMBECK_EXEC_COLLECTIVE_H

#include "exec/lanes.h"

namespace limbeck {

// Member masks differ per lane: two 16-lane tiles of a warp run one instruction with two masks. Parks the lanes whose partners are
// missing; false if none is left, or after a fault. Inst::c is the slot of the member mask, by which the scheduler finds it, too.
inline bool gather(Warp &w, const Inst &i) {
  const uint32_t *masks = w.lanes<uint32_t>(i.c);
  if (w.active == kAllLanes) {
    uint32_t common = kAllLanes;
    for (int l = 0; l < kLanes; ++l) common &= masks[l];
    if (common == kAllLanes) return true;
  }
  uint32_t alone = 0;
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int lane = __builtin_ctz(rest);
    if (!(masks[lane] >> lane & 1)) {
      fault(w, Check::synccheck, 719, lane, "the lane is not in its own member mask");
      return false;
    }
    if (masks[lane] & w.live() & ~w.active) alone |= 1u << lane;
  }
  if (!alone) return true;
  w.groups.push_back({w.depth, w.pc - 1, alone, Group::State::parked, 0});
  w.mask &= ~alone;
  w.active &= ~alone;
  w.stop = 0;
  return w.active != 0;
}

// Calls body(lanes) once for each set of lanes that share a member mask.
template <class F>
inline void together(Warp &w, const Inst &i, F body) {
  if (!gather(w, i)) return;
  const uint32_t *masks = w.lanes<uint32_t>(i.c);
  ++w.syncEpoch;
  for (uint32_t rest = w.active; rest;) {
    uint32_t mask = masks[__builtin_ctz(rest)];
    uint32_t same = 0;
    for (uint32_t m = rest; m; m &= m - 1)
      if (masks[__builtin_ctz(m)] == mask) same |= 1u << __builtin_ctz(m);
    rest &= ~same;
    body(same);
  }
}

}  // namespace limbeck

#endif
