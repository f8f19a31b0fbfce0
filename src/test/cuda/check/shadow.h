// Observers of memory accesses: what was written, by whom, and whether someone else touched it meanwhile.
#ifndef LIMBECK_CHECK_SHADOW_H
#define LIMBECK_CHECK_SHADOW_H

#include <memory>
#include <unordered_map>
#include <vector>

#include "exec/warp.h"

namespace limbeck {

// One access to a byte of shared memory, and when: between which barriers of the block and which synchronisations of its warp.
struct Touch {
  uint32_t epoch = 0;  // 0: never
  uint32_t sync = 0;
  int32_t pc = 0;
  uint16_t thread = 0;
  bool atomic = false;
};

struct SharedCell {
  Touch write;
  Touch read[2];  // of different threads, if there were such
};

struct SharedShadow {
  std::vector<SharedCell> cells;
  std::vector<uint8_t> written;
  uint32_t epoch = 0;  // rises over all blocks of all launches, so that nothing need be cleared
};

// Who touched a byte of global memory in this launch. Block numbers are stored plus one.
struct GlobalCell {
  uint64_t writer = 0, reader[2] = {0, 0};
  uint32_t writerFences = 0;
  int32_t writePc = 0, readPc = 0;
  bool atomic = false;      // the last write was one
  bool readOnly = false;    // some ld.global.nc read it
};

struct GlobalShadow {
  static constexpr uint64_t kPage = 4096;
  using Page = std::vector<GlobalCell>;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages;
  uint64_t lastNumber = ~0ull;
  Page *last = nullptr;
  std::unordered_map<uint64_t, uint32_t> fences;  // block -> how many fences it has passed
  std::unordered_map<uint64_t, bool> atomics;     // block -> whether it has done an atomic

  GlobalCell &at(uint64_t address);
};

std::string hex(uint64_t value);  // as findings name addresses

void prepareShadow(Worker &worker);
void startShadow(Worker &worker);
// A memory fence of the whole device: what this block wrote before it is released.
void observeFence(Warp &w);

}  // namespace limbeck

#endif
