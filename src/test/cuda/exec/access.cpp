#include "exec/access.h"

#include "check/shadow.h"

namespace limbeck {

using ptx::Space;

namespace {

thread_local uint64_t scratch[8];  // where accesses out of bounds go when memcheck is off

std::string verb(const Inst &i) {
  if (i.flags & kAtomic) return "atomic access";
  return i.flags & kWrite ? "write" : "read";
}

// Says how far off an address is: most such faults are an index slightly too large.
std::string nearest(const Warp &w, uint64_t address) {
  const MemoryRange *below = w.launch->memory->below(address);
  if (!below || address - below->begin > (1ull << 40)) return "no allocation lies below it";
  uint64_t bytes = below->end - below->begin;
  return hex(address - below->begin) + " (" + std::to_string(address - below->begin) + ") bytes into the allocation of " + std::to_string(bytes) + " bytes at " + hex(below->begin);
}

struct Lane {
  Warp &w;
  const Inst &i;
  uint32_t bytes;

  bool outside(int lane, const std::string &what) const {
    if (!w.launch->checks.memcheck) return true;
    fault(w, Check::memcheck, 700, lane, what);
    return false;
  }

  // The host pointer of one lane's access, or 0 after a fault.
  uint64_t locate(int lane, uint64_t address, Space space) const {
    if (address & (bytes - 1)) {
      fault(w, Check::alignment, 716, lane, "misaligned " + verb(i) + " of " + std::to_string(bytes) + " bytes at " + hex(address));
      return 0;
    }
    const Launch &launch = *w.launch;
    switch (space) {
      case Space::shared:
        if (address + bytes <= launch.sharedBytes) return reinterpret_cast<uint64_t>(w.block->shared) + address;
        if (!outside(lane, "shared " + verb(i) + " of " + std::to_string(bytes) + " bytes at offset " + std::to_string(address) + " of " + std::to_string(launch.sharedBytes))) return 0;
        break;
      case Space::local:
        if (address + bytes <= launch.kernel->localBytes)
          return reinterpret_cast<uint64_t>(w.local) + static_cast<uint64_t>(lane) * launch.kernel->localBytes + address;
        if (!outside(lane, "local " + verb(i) + " of " + std::to_string(bytes) + " bytes at offset " + std::to_string(address) + " of " + std::to_string(launch.kernel->localBytes))) return 0;
        break;
      case Space::param:
        if (address + bytes <= launch.parameters.size() && !(i.flags & kWrite)) return reinterpret_cast<uint64_t>(launch.parameters.data()) + address;
        if (!outside(lane, "parameter " + verb(i) + " of " + std::to_string(bytes) + " bytes at offset " + std::to_string(address) + " of " + std::to_string(launch.parameters.size()))) return 0;
        break;
      default: {
        const MemoryRange *range = launch.memory->find(address);
        bool inside = range && address + bytes <= range->end;
        if (inside && !(range->readOnly && (i.flags & kWrite))) {
          w.worker->cache[w.pc & 7] = range;
          return address + range->delta();
        }
        std::string what = inside ? "write to constant memory at " + hex(address)
                                  : "global " + verb(i) + " of " + std::to_string(bytes) + " bytes at " + hex(address) + " is out of bounds: " + nearest(w, address);
        if (!outside(lane, what)) return 0;
      }
    }
    return reinterpret_cast<uint64_t>(scratch);
  }
};

Space spaceOf(uint64_t address) {
  switch (address & kWindowMask) {
    case kSharedWindow: return Space::shared;
    case kLocalWindow: return Space::local;
    case kParamWindow: return Space::param;
    default: return Space::global;
  }
}

// All lanes in one allocation that is merely not the one this place in the code met last.
bool locateTogether(Warp &w, const Inst &i, uint32_t bytes, Access &x) {
  uint64_t low = x.address[0], high = low, bits = 0;
  for (int l = 0; l < kLanes; ++l) {
    low = std::min(low, x.address[l]);
    high = std::max(high, x.address[l]);
    bits |= x.address[l];
  }
  const MemoryRange *range = w.launch->memory->find(low);
  if (!range || high + bytes > range->end || (bits & (bytes - 1)) || (range->readOnly && (i.flags & kWrite))) return false;
  w.worker->cache[w.pc & 7] = range;
  x.delta = range->delta();
  if (w.launch->observe) observe(w, i, bytes, x, Space::global);
  return true;
}

// Every lane inside its own local memory.
bool locateLocal(Warp &w, uint32_t bytes, Access &x) {
  const uint64_t size = w.launch->kernel->localBytes;
  uint64_t high = 0, bits = 0;
  for (int l = 0; l < kLanes; ++l) {
    high = std::max(high, x.address[l]);
    bits |= x.address[l];
  }
  if (high + bytes > size || high > size || (bits & (bytes - 1))) return false;
  for (int l = 0; l < kLanes; ++l) x.address[l] += static_cast<uint64_t>(l) * size;
  x.delta = reinterpret_cast<int64_t>(w.local);
  return true;
}

}  // namespace

bool locateSlowly(Warp &w, const Inst &i, uint32_t bytes, Access &x, Space space) {
  if ((space == Space::global || space == Space::generic || space == Space::constant) && locateTogether(w, i, bytes, x)) return true;
  if (space == Space::local && locateLocal(w, bytes, x)) return true;
  Lane one{w, i, bytes};
  Access host;
  Access bySpace[2] = {x, x};  // global, shared: for the observers
  uint32_t masks[2] = {0, 0};
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    Space actual = space == Space::generic ? spaceOf(x.address[l]) : space;
    uint64_t address = space == Space::generic && actual != Space::global ? x.address[l] & ~kWindowMask : x.address[l];
    if (actual == Space::constant) actual = Space::global;
    host.address[l] = one.locate(l, address, actual);
    if (!host.address[l]) return false;
    if (host.address[l] == reinterpret_cast<uint64_t>(scratch)) continue;
    if (actual == Space::global || actual == Space::shared) {
      int which = actual == Space::shared;
      bySpace[which].address[l] = address;
      masks[which] |= 1u << l;
    }
  }
  if (w.launch->observe) {
    uint32_t active = w.active;
    for (int which = 0; which < 2; ++which) {
      if (!masks[which]) continue;
      w.active = masks[which];
      for (int l = 0; l < kLanes; ++l) bySpace[which].delta = 0;
      for (uint32_t rest = masks[which]; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        bySpace[which].delta = static_cast<int64_t>(host.address[l] - bySpace[which].address[l]);
      }
      observe(w, i, bytes, bySpace[which], which ? Space::shared : Space::global);
    }
    w.active = active;
  }
  uint64_t first = host.address[__builtin_ctz(w.active)];
  for (int l = 0; l < kLanes; ++l) x.address[l] = w.active >> l & 1 ? host.address[l] : first;
  x.delta = 0;
  return !w.block->faulted;
}

Space takeSpace(Encoder &e) {
  if (e.mods.take("global")) return Space::global;
  if (e.mods.take("shared") || e.mods.take("shared::cta")) return Space::shared;
  if (e.mods.take("local")) return Space::local;
  if (e.mods.take("param")) return Space::param;
  if (e.mods.take("const")) return Space::constant;
  return Space::generic;
}

void decodeAddress(Encoder &e, const ptx::Operand &operand, Space space, uint32_t flags) {
  if (operand.kind != ptx::Operand::Kind::address) e.fail("an address is needed");
  Inst &out = e.out;
  out.imm = operand.offset;
  out.a = kNoSlot;
  if (operand.variable) {
    const ptx::Variable &v = *operand.variable;
    bool fits = v.space == space || (space == Space::generic && (v.space == Space::global || v.space == Space::constant));
    if (!fits) e.fail("variable " + v.name + " is not in the state space of the instruction");
    bool own = v.isFormal && e.function.isEntry;
    if (space == Space::param && !own) space = Space::local;  // parameters of calls lie in each lane's local memory
    if (v.space == Space::global || v.space == Space::constant) {
      out.imm += static_cast<int64_t>(v.place);
    } else {
      out.imm += e.builder.place(v);
    }
  }
  if (operand.reg >= 0) {
    int bytes = ptx::sizeOf(e.function.registers[operand.reg]);
    if (bytes != 8 && !(bytes == 4 && (space == Space::shared || space == Space::local || space == Space::param))) e.fail("the address register must have 64 bits");
    if (bytes == 4) flags |= kAddress32;
    out.a = e.builder.registerSlot(e.function, operand.reg, false);
    if (space == Space::param && !e.function.isEntry) space = Space::local;
  }
  out.aux = static_cast<uint32_t>(space);
  out.flags = static_cast<uint8_t>(flags);
}

}  // namespace limbeck
