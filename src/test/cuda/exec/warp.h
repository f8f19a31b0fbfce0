// The state handlers work on: 32 lanes in lockstep, their groups, the block around them and the launch around that.
#ifndef LIMBECK_EXEC_WARP_H
#define LIMBECK_EXEC_WARP_H

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "check/findings.h"
#include "exec/kernel.h"
#include "exec/memory_map.h"

namespace limbeck {

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return static_cast<uint64_t>(x) * y * z; }
};

struct Checks {
  bool memcheck = true, synccheck = true, initcheck = false, racecheck = false;
  bool any() const { return initcheck || racecheck; }
};

struct Counters;
struct Block;
struct Worker;
struct SharedShadow;
struct GlobalShadow;

struct Launch {
  Kernel *kernel = nullptr;
  Dim grid, block;
  uint32_t dynamicShared = 0;
  std::vector<uint8_t> parameters;
  MemoryMap *memory = nullptr;
  Checks checks;
  uint64_t noiseSeed = 0;     // 0: exact approximations
  uint64_t scheduleSeed = 0;  // 0: warps and blocks in order
  uint64_t number = 0;        // of the launch, since the start of the process
  uint64_t instructionLimit = 0;  // warp instructions per block
  uint32_t sharedBytes = 0;
  int multiprocessors = 16;
  GlobalShadow *globalShadow = nullptr;
  bool observe = false;  // some memory observer is on
  Counters *counters = nullptr;
  std::atomic<int64_t> faultBlock{INT64_MAX};
};

// Lanes of a warp at one place. Groups at the same depth and pc merge; the deepest, then lowest pc runs first.
struct Group {
  enum class State : uint8_t { ready, barrier, parked };
  int32_t depth;
  int32_t pc;
  uint32_t mask;
  State state;
  uint8_t barrier;  // number of the barrier it waits at
};

// A cp.async that was issued and not waited for; it is carried out at the wait, so that a missing wait shows.
struct PendingCopy {
  uint32_t mask;
  uint32_t bytes;
  uint32_t group[kLanes];
  uint32_t to[kLanes];
  uint64_t from[kLanes];
  uint32_t sourceBytes[kLanes];
  int pc;
};

struct Warp {
  char *base[2];      // registers, constants
  uint32_t active;    // lanes that execute the current instruction
  uint32_t mask;      // lanes of the current group
  int32_t pc;         // of the next instruction
  int32_t stop;       // pc at which the scheduler must look again
  int32_t depth;
  uint32_t exited;    // lanes that have ended, and lanes that never existed
  uint32_t carry;     // CC.CF, one bit per lane
  uint32_t number;    // within the block
  Block *block;
  Worker *worker;
  Launch *launch;
  char *local;        // localBytes per lane
  int32_t *returns;   // [depth][lane]
  bool blocked;       // the current group must wait; set with state and barrier
  Group::State waitState;
  uint8_t waitBarrier;
  std::vector<Group> groups;  // all but the current one
  std::vector<PendingCopy> copies;
  uint32_t committed[kLanes];
  uint32_t syncEpoch;         // counts warp-level synchronisations, for racecheck
  uint64_t executed;
  uint64_t clock;

  template <class T>
  T *lanes(Slot slot) {
    return reinterpret_cast<T *>(base[slot & 1] + (slot & ~1));
  }
  uint32_t &predicate(Slot slot) { return *lanes<uint32_t>(slot); }
  void split(int32_t target, uint32_t taken);
  void wait(Group::State state, uint8_t barrier);
  uint32_t live() const { return ~exited; }
};

struct Barrier {
  uint32_t arrived = 0;
  uint32_t expected = 0;  // threads; 0: all of the block
  int32_t pc = -1;        // of the first arrival
  uint32_t votes = 0;
  uint32_t trueVotes = 0;
};

struct Block {
  Dim index;
  uint64_t number = 0;
  std::vector<Warp> warps;
  char *shared = nullptr;
  uint32_t liveThreads = 0;
  Barrier barriers[16];
  uint32_t barrierEpoch = 0;
  std::vector<uint32_t> order;  // of its warps, for this turn
  SharedShadow *shadow = nullptr;
  bool faulted = false;
};

struct Worker {
  Launch *launch = nullptr;
  Block block;
  std::vector<char> constants, registers, shared, local;
  std::vector<int32_t> returns;
  const MemoryRange *cache[8] = {};
  std::vector<Finding> findings;
  std::vector<uint64_t> executed, lanesExecuted;  // per pc, when counting
  std::unique_ptr<SharedShadow> sharedShadow;
  std::unique_ptr<Counters> counters;
  int noiseUse = 0;
};

// Ends the block with a finding; the current instruction is the one before warp.pc.
void fault(Warp &warp, Check check, int status, int lane, const std::string &what);
// Reports without ending the block.
void report(Warp &warp, Check check, int lane, const std::string &what);

// Runs the launch to its end on `workers` threads; returns the CUresult the device gives.
int execute(Launch &launch, int workers, std::vector<Finding> &findings);

}  // namespace limbeck

#endif
