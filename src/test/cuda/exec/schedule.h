// Which lanes of a block run next: groups within a warp, warps within a block, barriers between them.
#ifndef LIMBECK_EXEC_SCHEDULE_H
#define LIMBECK_EXEC_SCHEDULE_H

#include "exec/warp.h"

namespace limbeck {

void startWarp(Warp &warp, uint32_t present);
// Runs one block whose warps are fresh to its end, or to its first fault.
void runBlock(Worker &worker);

void releaseBarrier(Block &block, int number);
// Completes every barrier whose missing threads have exited.
void settleBarriers(Block &block);

// Handlers the scheduler knows by their address.
void barrierReduce(Warp &w, const Inst &i);
void warpBarrier(Warp &w, const Inst &i);

// splitmix64: the one generator of every seeded choice, so that a seed means the same everywhere.
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace limbeck

#endif
