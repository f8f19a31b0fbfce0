// What a launch did, counted: the material of a kernel's cost model.
#ifndef LIMBECK_CHECK_COUNTERS_H
#define LIMBECK_CHECK_COUNTERS_H

#include <string>

#include "exec/access.h"

namespace limbeck {

// Requests are warp instructions that touch memory. A request for 32 neighbouring floats needs 4 sectors of 32 bytes and no second
// pass through the 32 banks of shared memory.
struct Traffic {
  uint64_t requests = 0, bytes = 0, units = 0;  // units: sectors (global), passes (shared)
};

struct Counters {
  uint64_t warpInstructions[static_cast<int>(Class::count)] = {};
  uint64_t threadInstructions[static_cast<int>(Class::count)] = {};
  Traffic globalLoads, globalStores, sharedLoads, sharedStores;
  uint64_t divergentBranches = 0;
  uint64_t tensorFlops = 0;
};

void countAccess(Warp &w, const Inst &i, uint32_t bytes, const Access &x, ptx::Space space);

// The members of a JSON object, without its braces.
std::string toJson(const Counters &counters);

// Adds what a worker counted.
void collect(Counters &total, const Worker &worker);

}  // namespace limbeck

#endif
