// initcheck and racecheck. Two accesses of different threads to one byte race if one of them writes, not both are atomic, and nothing
// orders them: in shared memory a barrier of the block, or within a warp a warp-level synchronisation; between blocks a fence and an atomic.
#include "check/shadow.h"

#include <cstdio>

#include "check/counters.h"
#include "exec/access.h"

namespace limbeck {

using ptx::Space;

namespace {

std::string atLine(const Warp &w, int pc) { return " (the other access: PTX line " + std::to_string(w.launch->kernel->source[pc].line) + ")"; }

void checkWritten(Warp &w, const Inst &i, uint32_t bytes, int lane, uint64_t address, uint8_t *written, const char *space) {
  if (i.flags & kRead)
    for (uint32_t b = 0; b < bytes; ++b)
      if (!written[b]) {
        report(w, Check::initcheck, lane, std::string(space) + " read of " + std::to_string(bytes) + " bytes at " + hex(address) + ", which nobody has written");
        break;
      }
  if (i.flags & kWrite) std::memset(written, 1, bytes);
}

// --- shared memory

struct SharedRace {
  Warp &w;
  const Inst &i;
  int lane;
  uint32_t epoch;
  uint16_t thread;
  bool atomic;

  bool races(const Touch &other) const {
    if (other.epoch != epoch || other.thread == thread || (other.atomic && atomic)) return false;
    bool sameWarp = other.thread / kLanes == thread / kLanes;
    // Lanes of one instruction act at once; nvcc lets lanes that store one value store it together.
    if (sameWarp && (other.sync != w.syncEpoch || other.pc == w.pc - 1)) return false;
    return true;
  }

  void access(SharedCell &cell, uint64_t address) const {
    const bool writes = i.flags & kWrite, reads = i.flags & kRead;
    const char *kind = nullptr;
    const Touch *other = nullptr;
    if (reads && !writes && races(cell.write)) kind = "read after write", other = &cell.write;
    if (writes && races(cell.write)) kind = "write after write", other = &cell.write;
    for (const Touch &read : cell.read)
      if (writes && races(read)) kind = "write after read", other = &read;
    if (kind) {
      bool sameWarp = other->thread / kLanes == thread / kLanes;
      report(w, Check::racecheck, lane, std::string("race in shared memory at offset ") + std::to_string(address) + ": " + kind + " of thread " + std::to_string(other->thread) +
                                            (sameWarp ? " of the same warp without __syncwarp" : " without a barrier between them") + atLine(w, other->pc));
    }
    Touch mine{epoch, w.syncEpoch, w.pc - 1, thread, atomic};
    if (writes) cell.write = mine;
    if (reads && !atomic) remember(cell, mine);
  }

  void remember(SharedCell &cell, const Touch &mine) const {
    if (cell.read[0].epoch != epoch || cell.read[0].thread == thread) {
      cell.read[0] = mine;
    } else if (cell.read[1].epoch != epoch || cell.read[1].thread / kLanes == cell.read[0].thread / kLanes || cell.read[1].thread == thread) {
      cell.read[1] = mine;
    }
  }
};

void observeShared(Warp &w, const Inst &i, uint32_t bytes, const Access &x) {
  SharedShadow &shadow = *w.block->shadow;
  const Checks &checks = w.launch->checks;
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    uint64_t address = x.address[l];
    if (checks.initcheck) checkWritten(w, i, bytes, l, address, shadow.written.data() + address, "shared");
    if (!checks.racecheck) continue;
    SharedRace race{w, i, l, shadow.epoch + w.block->barrierEpoch, static_cast<uint16_t>(w.number * kLanes + l), (i.flags & kAtomic) != 0};
    for (uint32_t b = 0; b < bytes; ++b) race.access(shadow.cells[address + b], address + b);
  }
}

// --- global memory, between blocks

struct GlobalRace {
  Warp &w;
  const Inst &i;
  int lane;
  GlobalShadow &shadow;

  bool ordered(uint64_t writer, uint32_t fences) const {
    // The writer has passed a fence since, and this block has seen an atomic: the pattern of "the last block sums up".
    return shadow.fences[writer] > fences && shadow.atomics[w.block->number + 1];
  }

  void complain(const char *kind, uint64_t other, int pc, uint64_t address) const {
    report(w, Check::racecheck, lane, std::string("race in global memory at ") + hex(address) + ": " + kind + " of block " + std::to_string(other - 1) + " in the same launch" + atLine(w, pc));
  }

  void access(uint64_t address) const {
    GlobalCell &cell = shadow.at(address);
    const uint64_t self = w.block->number + 1;
    const bool writes = i.flags & kWrite, reads = i.flags & kRead, atomic = i.flags & kAtomic;
    bool readOnly = i.flags & kNonCoherent;
    if ((readOnly && cell.writer) || (writes && cell.readOnly))
      report(w, Check::readonly, lane, "memory read by ld.global.nc is written in the same launch, at " + hex(address) + atLine(w, readOnly ? cell.writePc : cell.readPc));
    if (cell.writer && cell.writer != self && !(cell.atomic && atomic) && !ordered(cell.writer, cell.writerFences))
      complain(writes ? "write after write" : "read after write", cell.writer, cell.writePc, address);
    if (writes && !atomic)
      for (uint64_t reader : cell.reader)
        if (reader && reader != self && !shadow.atomics[self]) complain("write after read", reader, cell.readPc, address);
    if (writes) {
      cell.writer = self;
      cell.writerFences = shadow.fences[self];
      cell.atomic = atomic;
      cell.writePc = w.pc - 1;
    }
    if (reads && !atomic) {
      cell.readOnly = cell.readOnly || readOnly;
      cell.readPc = w.pc - 1;
      if (!cell.reader[0] || cell.reader[0] == self) {
        cell.reader[0] = self;
      } else {
        cell.reader[1] = self;
      }
    }
  }
};

void observeGlobal(Warp &w, const Inst &i, uint32_t bytes, const Access &x) {
  const Checks &checks = w.launch->checks;
  if (checks.racecheck && (i.flags & kAtomic)) w.launch->globalShadow->atomics[w.block->number + 1] = true;
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    uint64_t address = x.address[l];
    const MemoryRange *range = w.launch->memory->find(address);
    if (!range || !range->written) continue;  // pinned host memory has no shadow
    if (checks.initcheck) checkWritten(w, i, bytes, l, address, range->written + (address - range->begin), "global");
    if (!checks.racecheck || range->readOnly) continue;
    GlobalRace race{w, i, l, *w.launch->globalShadow};
    for (uint32_t b = 0; b < bytes; ++b) race.access(address + b);
  }
}

}  // namespace

std::string hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

GlobalCell &GlobalShadow::at(uint64_t address) {
  uint64_t number = address / kPage;
  if (number != lastNumber) {
    std::unique_ptr<Page> &page = pages[number];
    if (!page) page = std::make_unique<Page>(kPage);
    lastNumber = number;
    last = page.get();
  }
  return (*last)[address % kPage];
}

void prepareShadow(Worker &worker) {
  const Launch &launch = *worker.launch;
  worker.block.shadow = nullptr;
  if (!launch.checks.any()) return;
  if (!worker.sharedShadow) worker.sharedShadow = std::make_unique<SharedShadow>();
  SharedShadow &shadow = *worker.sharedShadow;
  if (launch.checks.racecheck && shadow.cells.size() < launch.sharedBytes) shadow.cells.resize(launch.sharedBytes);
  shadow.written.resize(launch.sharedBytes + 1);
  worker.block.shadow = &shadow;
}

void startShadow(Worker &worker) {
  SharedShadow *shadow = worker.block.shadow;
  if (!shadow) return;
  // barrierEpoch counts from 0 in each block; a new block starts beyond all epochs of the last one.
  constexpr uint32_t kEpochsPerBlock = 1 << 16;
  if (shadow->epoch > 0xffff0000u - kEpochsPerBlock) {
    std::fill(shadow->cells.begin(), shadow->cells.end(), SharedCell());
    shadow->epoch = 0;
  }
  shadow->epoch += kEpochsPerBlock;
  std::fill(shadow->written.begin(), shadow->written.end(), uint8_t{0});
}

void observeFence(Warp &w) {
  if (w.launch->globalShadow) ++w.launch->globalShadow->fences[w.block->number + 1];
}

void observe(Warp &w, const Inst &i, uint32_t bytes, const Access &x, Space space) {
  if (w.launch->counters) countAccess(w, i, bytes, x, space);
  if (!w.launch->checks.any()) return;
  if (space == Space::shared) {
    observeShared(w, i, bytes, x);
  } else {
    observeGlobal(w, i, bytes, x);
  }
}

}  // namespace limbeck
