// The deepest group of a warp runs first, among equals the one with the lowest pc, until it meets another group and merges with it.
// That needs no analysis of the control flow: code is laid out so that the place where branches join comes after them.
#include "exec/schedule.h"

#include "check/counters.h"

#include <algorithm>
#include <numeric>

namespace limbeck {

namespace {

// Warp instructions between two looks at the clock of a block that never ends.
constexpr uint64_t kWatch = 1 << 16;

bool before(const Group &a, const Group &b) { return a.depth != b.depth ? a.depth > b.depth : a.pc < b.pc; }

// Groups at the same place become one; a parked group that gets company tries again.
void merge(std::vector<Group> &groups) {
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].state == Group::State::barrier) continue;
    for (size_t j = groups.size(); --j > i;) {
      if (groups[j].state == Group::State::barrier || groups[j].pc != groups[i].pc || groups[j].depth != groups[i].depth) continue;
      groups[i].mask |= groups[j].mask;
      groups[i].state = Group::State::ready;
      groups.erase(groups.begin() + j);
    }
  }
}

uint32_t memberMask(Warp &w, const Group &group) {
  const Inst &i = w.launch->kernel->code[group.pc];
  return w.lanes<uint32_t>(i.c)[__builtin_ctz(group.mask)];
}

// __syncwarp at several places: all the lanes named have arrived, each at its own.
bool releaseWarpBarriers(Warp &w) {
  uint32_t arrived = 0;
  for (const Group &group : w.groups)
    if (group.state == Group::State::parked && w.launch->kernel->code[group.pc].run == warpBarrier) arrived |= group.mask;
  bool any = false;
  for (Group &group : w.groups) {
    if (group.state != Group::State::parked || w.launch->kernel->code[group.pc].run != warpBarrier) continue;
    if (memberMask(w, group) & w.live() & ~arrived) continue;
    ++group.pc;
    group.state = Group::State::ready;
    any = true;
  }
  return any;
}

// Makes the best ready group the current one; false if there is none.
bool pick(Warp &w) {
  w.mask = 0;
  merge(w.groups);
  int best = -1;
  for (size_t g = 0; g < w.groups.size(); ++g)
    if (w.groups[g].state == Group::State::ready && (best < 0 || before(w.groups[g], w.groups[best]))) best = static_cast<int>(g);
  if (best < 0) return false;
  Group chosen = w.groups[best];
  w.groups.erase(w.groups.begin() + best);
  w.depth = chosen.depth;
  w.pc = chosen.pc;
  w.mask = chosen.mask;
  w.stop = INT_MAX;
  for (const Group &group : w.groups) {
    if (group.depth != w.depth || group.state == Group::State::barrier) continue;
    if (group.state == Group::State::ready || group.pc > w.pc) w.stop = std::min(w.stop, group.pc);
  }
  return true;
}

bool reschedule(Warp &w) {
  if (w.mask) {
    Group::State state = w.blocked ? w.waitState : Group::State::ready;
    w.groups.push_back({w.depth, w.pc, w.mask, state, w.waitBarrier});
  }
  w.blocked = false;
  if (w.block->faulted) {
    w.mask = 0;
    return false;
  }
  if (w.executed > w.launch->instructionLimit) {
    --w.pc;
    fault(w, Check::limit, 702, -1, "more than " + std::to_string(w.launch->instructionLimit) + " instructions in one warp: the kernel does not seem to end");
    return false;
  }
  if (pick(w)) return true;
  // Nothing is ready: parked groups may have been waiting for lanes that have exited since.
  bool parked = false;
  for (Group &group : w.groups) {
    if (group.state != Group::State::parked) continue;
    parked = true;
    const uint32_t *masks = w.lanes<uint32_t>(w.launch->kernel->code[group.pc].c);
    for (uint32_t rest = group.mask; rest; rest &= rest - 1)
      if (!(masks[__builtin_ctz(rest)] & w.live() & ~group.mask)) group.state = Group::State::ready;
  }
  if (parked && (pick(w) || (releaseWarpBarriers(w) && pick(w)))) return true;
  return false;
}

template <bool counting>
void run(Warp &w) {
  if (!reschedule(w)) return;
  const Inst *code = w.launch->kernel->code.data();
  uint64_t budget = kWatch;
  uint64_t *executed = counting ? w.worker->executed.data() : nullptr;
  uint64_t *lanesExecuted = counting ? w.worker->lanesExecuted.data() : nullptr;
  for (;;) {
    if (__builtin_expect(w.pc >= w.stop, 0) && !reschedule(w)) return;
    const Inst &i = code[w.pc++];
    uint32_t active = w.mask;
    if (counting) {
      ++executed[w.pc - 1];
      lanesExecuted[w.pc - 1] += __builtin_popcount(active);
    }
    if (--budget == 0) {
      budget = kWatch;
      w.executed += kWatch;
      // Another worker met a fault in an earlier block: what this one does no longer matters.
      if (w.executed > w.launch->instructionLimit || w.launch->faultBlock.load(std::memory_order_relaxed) < static_cast<int64_t>(w.block->number)) {
        if (w.executed <= w.launch->instructionLimit) w.block->faulted = true;
        w.stop = 0;
      }
    }
    if (i.guard != kNoSlot) {
      uint32_t guard = w.predicate(i.guard);
      active &= i.guardNegated ? ~guard : guard;
      if (!active) continue;
    }
    w.active = active;
    i.run(w, i);
  }
}

bool hasReady(const Warp &w) {
  for (const Group &group : w.groups)
    if (group.state == Group::State::ready) return true;
  return false;
}

void reportDeadlock(Block &block) {
  for (Warp &w : block.warps)
    for (const Group &group : w.groups) {
      w.pc = group.state == Group::State::parked ? group.pc + 1 : group.pc;
      w.active = group.mask;
      std::string where = group.state == Group::State::parked ? "lanes named in the mask never arrive" : "other threads of the block never arrive at the barrier";
      fault(w, Check::synccheck, 719, __builtin_ctz(group.mask), "deadlock: " + where);
      return;
    }
}

}  // namespace

void Warp::split(int32_t target, uint32_t taken) {
  groups.push_back({depth, target, taken, Group::State::ready, 0});
  if (launch->counters) ++worker->counters->divergentBranches;
  mask &= ~taken;
  stop = std::min(stop, target);
}

void Warp::wait(Group::State state, uint8_t barrier) {
  blocked = true;
  waitState = state;
  waitBarrier = barrier;
  stop = 0;
  if (mask & ~active) {  // the guard kept some lanes back: they go on
    groups.push_back({depth, pc, mask & ~active, Group::State::ready, 0});
    mask = active;
  }
}

void startWarp(Warp &w, uint32_t present) {
  w.mask = 0;
  w.depth = 0;
  w.pc = 0;
  w.stop = 0;
  w.exited = ~present;
  w.carry = 0;
  w.blocked = false;
  w.groups.clear();
  w.copies.clear();
  std::fill(w.committed, w.committed + kLanes, 0);
  w.syncEpoch = 0;
  w.executed = 0;
  w.clock = 0;
  w.groups.push_back({0, 0, present, Group::State::ready, 0});
}

void releaseBarrier(Block &block, int number) {
  Barrier &barrier = block.barriers[number];
  const uint32_t votes = barrier.votes, trueVotes = barrier.trueVotes;
  for (Warp &w : block.warps)
    for (Group &group : w.groups) {
      if (group.state != Group::State::barrier || group.barrier != number) continue;
      group.state = Group::State::ready;
      const Inst &i = w.launch->kernel->code[group.pc - 1];
      if (i.run != barrierReduce) continue;
      if (i.aux == 0) {
        for (uint32_t m = group.mask; m; m &= m - 1) w.lanes<uint32_t>(i.d)[__builtin_ctz(m)] = trueVotes;
      } else {
        bool value = i.aux == 1 ? trueVotes == votes : trueVotes > 0;
        uint32_t &p = w.predicate(i.d);
        p = value ? p | group.mask : p & ~group.mask;
      }
    }
  barrier = Barrier();
  ++block.barrierEpoch;
}

void settleBarriers(Block &block) {
  for (int b = 0; b < 16; ++b) {
    Barrier &barrier = block.barriers[b];
    if (barrier.arrived && !barrier.expected && barrier.arrived >= block.liveThreads) releaseBarrier(block, b);
  }
}

void runBlock(Worker &worker) {
  Block &block = worker.block;
  const Launch &launch = *worker.launch;
  std::vector<uint32_t> &order = block.order;
  order.resize(block.warps.size());
  std::iota(order.begin(), order.end(), 0u);
  uint64_t random = mix(launch.scheduleSeed ^ mix(launch.number ^ mix(block.number)));
  for (;;) {
    if (launch.scheduleSeed)
      for (size_t i = order.size(); i > 1; --i) {
        random = mix(random);
        std::swap(order[i - 1], order[random % i]);
      }
    bool progress = false;
    for (uint32_t number : order) {
      Warp &w = block.warps[number];
      if (!hasReady(w)) continue;
      progress = true;
      if (launch.counters) {
        run<true>(w);
      } else {
        run<false>(w);
      }
      if (block.faulted) return;
      settleBarriers(block);
    }
    if (block.liveThreads == 0) return;
    if (!progress) {
      reportDeadlock(block);
      return;
    }
  }
}

}  // namespace limbeck
