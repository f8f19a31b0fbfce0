#include "check/counters.h"

#include <algorithm>
#include <set>

namespace limbeck {

namespace {

constexpr uint64_t kSector = 32, kBanks = 32, kBankBytes = 4;

uint64_t sectorsOf(const Warp &w, uint32_t bytes, const Access &x) {
  uint64_t sectors[kLanes];
  int count = 0;
  for (uint32_t rest = w.active; rest; rest &= rest - 1) sectors[count++] = x.address[__builtin_ctz(rest)] / kSector;
  std::sort(sectors, sectors + count);
  (void)bytes;  // accesses are aligned and at most 16 bytes wide: none spans two sectors
  return static_cast<uint64_t>(std::unique(sectors, sectors + count) - sectors);
}

// Accesses of 8 and 16 bytes are served in halves and quarters of a warp; in each, lanes that want different words of one bank wait for
// each other.
uint64_t passesOf(const Warp &w, uint32_t bytes, const Access &x) {
  int lanesAtOnce = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  uint64_t passes = 0;
  for (int first = 0; first < kLanes; first += lanesAtOnce) {
    std::set<uint64_t> words[kBanks];
    uint64_t most = 0;
    for (int l = first; l < first + lanesAtOnce; ++l) {
      if (!(w.active >> l & 1)) continue;
      for (uint64_t at = x.address[l] / kBankBytes; at * kBankBytes < x.address[l] + bytes; ++at) {
        words[at % kBanks].insert(at);
        most = std::max<uint64_t>(most, words[at % kBanks].size());
      }
    }
    passes += most;
  }
  return passes;
}

void add(Traffic &into, const Traffic &from) {
  into.requests += from.requests;
  into.bytes += from.bytes;
  into.units += from.units;
}

std::string json(const char *name, const Traffic &t, const char *unit) {
  return std::string("\"") + name + "\":{\"requests\":" + std::to_string(t.requests) + ",\"bytes\":" + std::to_string(t.bytes) + ",\"" + unit + "\":" + std::to_string(t.units) + "}";
}

std::string json(const char *name, const uint64_t *perClass) {
  std::string text = std::string("\"") + name + "\":{";
  for (int c = 0; c < static_cast<int>(Class::count); ++c) {
    if (c) text += ",";
    text += std::string("\"") + nameOf(static_cast<Class>(c)) + "\":" + std::to_string(perClass[c]);
  }
  return text + "}";
}

}  // namespace

void countAccess(Warp &w, const Inst &i, uint32_t bytes, const Access &x, ptx::Space space) {
  Counters &c = *w.worker->counters;
  bool shared = space == ptx::Space::shared, store = !(i.flags & kRead);
  Traffic &t = shared ? (store ? c.sharedStores : c.sharedLoads) : (store ? c.globalStores : c.globalLoads);
  ++t.requests;
  t.bytes += static_cast<uint64_t>(__builtin_popcount(w.active)) * bytes;
  t.units += shared ? passesOf(w, bytes, x) : sectorsOf(w, bytes, x);
}

std::string toJson(const Counters &c) {
  return json("warp_instructions", c.warpInstructions) + "," + json("thread_instructions", c.threadInstructions) + "," + json("global_loads", c.globalLoads, "sectors") + "," +
         json("global_stores", c.globalStores, "sectors") + "," + json("shared_loads", c.sharedLoads, "passes") + "," + json("shared_stores", c.sharedStores, "passes") +
         ",\"divergent_branches\":" + std::to_string(c.divergentBranches) + ",\"tensor_flops\":" + std::to_string(c.tensorFlops);
}

void collect(Counters &total, const Worker &worker) {
  const Kernel &kernel = *worker.launch->kernel;
  for (size_t pc = 0; pc < kernel.code.size(); ++pc) {
    const Inst &i = kernel.code[pc];
    total.warpInstructions[static_cast<int>(i.cls)] += worker.executed[pc];
    total.threadInstructions[static_cast<int>(i.cls)] += worker.lanesExecuted[pc];
    // A product keeps its flops in the slot it does not need.
    if (i.cls == Class::tensor) total.tensorFlops += worker.executed[pc] * static_cast<uint64_t>(i.b);
  }
  const Counters &own = *worker.counters;
  add(total.globalLoads, own.globalLoads);
  add(total.globalStores, own.globalStores);
  add(total.sharedLoads, own.sharedLoads);
  add(total.sharedStores, own.sharedStores);
  total.divergentBranches += own.divergentBranches;
}

}  // namespace limbeck
