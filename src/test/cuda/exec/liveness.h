// Register slots by liveness: registers whose values are never needed at the same time share a slot, which keeps a warp in the cache.
#ifndef LIMBECK_EXEC_LIVENESS_H
#define LIMBECK_EXEC_LIVENESS_H

#include <cstdint>
#include <vector>

namespace limbeck {

struct FlowNode {
  const std::vector<int> *uses = nullptr, *defs = nullptr;
  bool guarded = false;  // a guarded write keeps the old value in some lanes
  int target = -1;
  bool fallsThrough = true;
};

// Gives each register an offset; `bytes` holds the size of each, `total` becomes the size of all. A destination never shares with a
// source of the same instruction, so that handlers may write lanes before they have read all.
std::vector<int32_t> assignRegisters(const std::vector<FlowNode> &flow, const std::vector<int> &bytes, uint32_t &total);

}  // namespace limbeck

#endif
