// From the addresses of a memory instruction to host memory, with every check on the way.
#ifndef LIMBECK_EXEC_ACCESS_H
#define LIMBECK_EXEC_ACCESS_H

#include <algorithm>

#include "exec/decode.h"
#include "exec/warp.h"

namespace limbeck {

// Inst::flags of memory instructions.
enum MemoryFlag : uint8_t { kRead = 1, kWrite = 2, kAtomic = 4, kNonCoherent = 8, kVolatile = 16, kAddress32 = 32 };

struct Access {
  uint64_t address[kLanes];  // of every lane; inactive lanes repeat an active one, so that reading them is harmless
  int64_t delta;             // what turns an address into a host pointer

  template <class T>
  T *at(int lane) const {
    return reinterpret_cast<T *>(address[lane] + delta);
  }
};

bool locateSlowly(Warp &w, const Inst &i, uint32_t bytes, Access &x, ptx::Space space);
void observe(Warp &w, const Inst &i, uint32_t bytes, const Access &x, ptx::Space space);

inline __attribute__((always_inline)) void laneAddresses(Warp &w, Slot base, int64_t offset, bool narrow, uint64_t *address) {
  if (base == kNoSlot) {
    for (int l = 0; l < kLanes; ++l) address[l] = static_cast<uint64_t>(offset);
  } else if (narrow) {
    const uint32_t *r = w.lanes<uint32_t>(base);
    for (int l = 0; l < kLanes; ++l) address[l] = static_cast<uint32_t>(r[l] + static_cast<uint32_t>(offset));
  } else {
    const uint64_t *r = w.lanes<uint64_t>(base);
    for (int l = 0; l < kLanes; ++l) address[l] = r[l] + static_cast<uint64_t>(offset);
  }
  if (w.active != kAllLanes) {
    uint64_t first = address[__builtin_ctz(w.active)];
    for (int l = 0; l < kLanes; ++l) address[l] = w.active >> l & 1 ? address[l] : first;
  }
}

// Checks the addresses in x and finds what they stand for; false after a fault.
inline __attribute__((always_inline)) bool locateAt(Warp &w, const Inst &i, uint32_t bytes, Access &x, ptx::Space space) {
  if (space == ptx::Space::global || space == ptx::Space::generic) {
    int64_t low = INT64_MAX, high = INT64_MIN, bits = 0;
    for (int l = 0; l < kLanes; ++l) {
      int64_t a = static_cast<int64_t>(x.address[l]);
      low = std::min(low, a);
      high = std::max(high, a);
      bits |= a;
    }
    const MemoryRange *range = w.worker->cache[w.pc & 7];
    if (range && static_cast<uint64_t>(low) >= range->begin && static_cast<uint64_t>(high) + bytes <= range->end && !(bits & (bytes - 1)) &&
        !(range->readOnly && (i.flags & kWrite))) {
      x.delta = range->delta();
      if (w.launch->observe) observe(w, i, bytes, x, ptx::Space::global);
      return true;
    }
  } else if (space == ptx::Space::shared) {
    uint64_t high = 0, bits = 0;
    for (int l = 0; l < kLanes; ++l) {
      x.address[l] = static_cast<uint32_t>(x.address[l]);  // shared addresses wrap at 32 bits
      high = std::max(high, x.address[l]);
      bits |= x.address[l];
    }
    if (high + bytes <= w.launch->sharedBytes && !(bits & (bytes - 1))) {
      x.delta = reinterpret_cast<int64_t>(w.block->shared);
      if (w.launch->observe) observe(w, i, bytes, x, ptx::Space::shared);
      return true;
    }
  }
  return locateSlowly(w, i, bytes, x, space);
}

// The same for the addresses the instruction itself names; its space is in Inst::aux.
inline __attribute__((always_inline)) bool locate(Warp &w, const Inst &i, uint32_t bytes, Access &x) {
  laneAddresses(w, i.a, i.imm, i.flags & kAddress32, x.address);
  return locateAt(w, i, bytes, x, static_cast<ptx::Space>(i.aux));
}

// Decodes an address operand into a, imm, aux and flags of the instruction.
void decodeAddress(Encoder &e, const ptx::Operand &operand, ptx::Space space, uint32_t flags);
// Takes .global, .shared, .shared::cta, ... from the modifiers.
ptx::Space takeSpace(Encoder &e);

}  // namespace limbeck

#endif
