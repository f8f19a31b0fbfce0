#include "exec/memory_map.h"

#include <algorithm>

namespace limbeck {

const MemoryRange *MemoryMap::below(uint64_t address) const {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address, [](uint64_t a, const MemoryRange &r) { return a < r.begin; });
  return after == ranges_.begin() ? nullptr : &*(after - 1);
}

const MemoryRange *MemoryMap::find(uint64_t address) const {
  const MemoryRange *range = below(address);
  return range && address < range->end ? range : nullptr;
}

void MemoryMap::insert(const MemoryRange &range) {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), range.begin, [](uint64_t a, const MemoryRange &r) { return a < r.begin; });
  ranges_.insert(after, range);
}

bool MemoryMap::erase(uint64_t begin) {
  auto at = std::lower_bound(ranges_.begin(), ranges_.end(), begin, [](const MemoryRange &r, uint64_t a) { return r.begin < a; });
  if (at == ranges_.end() || at->begin != begin) return false;
  ranges_.erase(at);
  return true;
}

}  // namespace limbeck
