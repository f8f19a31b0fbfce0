// Branches, calls, returns, barriers, fences.
#include "check/shadow.h"
#include "exec/collective.h"
#include "exec/decode.h"
#include "exec/host_calls.h"
#include "exec/lanes.h"
#include "exec/schedule.h"

namespace limbeck {

using ptx::Operand;
using ptx::Type;

namespace {

void branch(Warp &w, const Inst &i) {
  if (w.active == w.mask) {
    w.pc = i.target;
  } else {
    w.split(i.target, w.active);
  }
}

void exitLanes(Warp &w, const Inst &) {
  w.exited |= w.active;
  w.mask &= ~w.active;
  w.block->liveThreads -= static_cast<uint32_t>(__builtin_popcount(w.active));
  w.stop = 0;
}

// Copies between places in each lane's local memory: {from, to, bytes} triples.
void copyLocal(Warp &w, const uint32_t *copies, size_t count) {
  const uint32_t stride = w.launch->kernel->localBytes;
  for (size_t c = 0; c < count; c += 3)
    for (uint32_t rest = w.active; rest; rest &= rest - 1) {
      char *local = w.local + static_cast<size_t>(__builtin_ctz(rest)) * stride;
      std::memcpy(local + copies[c + 1], local + copies[c], copies[c + 2]);
    }
}

struct Call {
  int function = -1;               // number within the module
  std::vector<uint32_t> arguments; // places of the call's parameters in the caller, and their sizes
  std::vector<uint32_t> results;
};

// Moves the active lanes into a function; lanes left behind stay a group of the caller's depth.
void enter(Warp &w, uint32_t lanes, const FunctionPlace &callee) {
  int32_t *returns = w.returns + static_cast<size_t>(w.depth) * kLanes * 2;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) returns[__builtin_ctz(rest)] = w.pc;
  w.groups.push_back({w.depth + 1, callee.entry, lanes, Group::State::ready, 0});
  w.mask &= ~lanes;
  w.stop = 0;
}

// more: arguments as {from, to, bytes}; target: number of the function.
void callDirect(Warp &w, const Inst &i) {
  copyLocal(w, reinterpret_cast<const uint32_t *>(i.more), i.count);
  enter(w, w.active, w.launch->kernel->functions.at(i.target));
}

// more: places and sizes of the arguments.
void callIndirect(Warp &w, const Inst &i) {
  const uint64_t *a = w.lanes<uint64_t>(i.a);
  const uint32_t *places = reinterpret_cast<const uint32_t *>(i.more);
  const uint32_t all = w.active;
  for (uint32_t rest = all; rest;) {
    int lane = __builtin_ctz(rest);
    uint32_t same = 0;
    for (uint32_t m = rest; m; m &= m - 1)
      if (a[__builtin_ctz(m)] == a[lane]) same |= 1u << __builtin_ctz(m);
    rest &= ~same;
    auto found = w.launch->kernel->functions.end();
    if ((a[lane] & kWindowMask) == kFunctionWindow) found = w.launch->kernel->functions.find(static_cast<int>((a[lane] & ~kWindowMask) / 16));
    if (found == w.launch->kernel->functions.end()) return fault(w, Check::memcheck, 718, lane, "call through a pointer that is no function");
    const FunctionPlace &callee = found->second;
    if (callee.parameters.size() * 2 != i.count) return fault(w, Check::memcheck, 718, lane, "call through a pointer with another number of arguments");
    std::vector<uint32_t> copies;
    for (size_t p = 0; p < callee.parameters.size(); ++p) {
      if (callee.parameters[p].bytes != places[2 * p + 1]) return fault(w, Check::memcheck, 718, lane, "call through a pointer with an argument of another size");
      copies.insert(copies.end(), {places[2 * p], callee.parameters[p].place, callee.parameters[p].bytes});
    }
    w.active = same;
    copyLocal(w, copies.data(), copies.size());
    enter(w, same, callee);
  }
  w.active = all;
}

// imm: number of the function that returns, so that the caller of a pointer knows where its result lies.
void returnLanes(Warp &w, const Inst &i) {
  if (w.depth == 0) return exitLanes(w, i);
  int32_t *returns = w.returns + static_cast<size_t>(w.depth - 1) * kLanes * 2;
  const FunctionPlace &self = w.launch->kernel->functions.at(static_cast<int>(i.imm));
  for (uint32_t rest = w.active; rest;) {
    int32_t to = returns[__builtin_ctz(rest)];
    uint32_t same = 0;
    for (uint32_t m = rest; m; m &= m - 1)
      if (returns[__builtin_ctz(m)] == to) same |= 1u << __builtin_ctz(m);
    rest &= ~same;
    const Inst &call = w.launch->kernel->code[to - 1];
    if (call.imm) {  // the place its result goes to
      const uint32_t *results = reinterpret_cast<const uint32_t *>(call.imm);
      std::vector<uint32_t> copies;
      for (size_t r = 0; r < self.results.size() && r < call.aux; ++r) copies.insert(copies.end(), {self.results[r].place, results[2 * r], self.results[r].bytes});
      uint32_t all = w.active;
      w.active = same;
      copyLocal(w, copies.data(), copies.size());
      w.active = all;
    }
    w.groups.push_back({w.depth - 1, to, same, Group::State::ready, 0});
  }
  w.mask &= ~w.active;
  w.stop = 0;
}

void decodeBranch(Encoder &e) {
  e.mods.take("uni");
  e.arity(1);
  e.out.target = e.builder.labelTarget(e.function, e.operand(0), e.instruction.line);
  e.emit(branch, Class::control);
}

void decodeExit(Encoder &e) {
  e.arity(0);
  e.emit(exitLanes, Class::control);
}

void decodeReturn(Encoder &e) {
  e.mods.take("uni");
  e.arity(0);
  e.out.imm = e.builder.numberOf(e.function.name);
  e.emit(e.function.isEntry ? exitLanes : returnLanes, Class::control);
}

void trap(Warp &w, const Inst &) { fault(w, Check::assertion, 719, __builtin_ctz(w.active), "trap"); }

void decodeTrap(Encoder &e) {
  e.arity(0);
  e.emit(trap, Class::control);
}

// Places and sizes of a list of .param variables of a call.
std::vector<uint32_t> placesOf(Encoder &e, const Operand &list) {
  std::vector<uint32_t> result;
  for (const Operand &item : list.items) {
    if (item.kind != Operand::Kind::variable || item.variable->space != ptx::Space::param) e.fail("arguments and results of a call must be .param variables", true);
    result.push_back(e.builder.place(*item.variable));
    result.push_back(static_cast<uint32_t>(item.variable->bytes));
  }
  return result;
}

const uint32_t *keep(Encoder &e, std::vector<uint32_t> values) {
  e.builder.kernel().copies.push_back(std::move(values));
  return e.builder.kernel().copies.back().data();
}

void decodeCall(Encoder &e) {
  e.mods.take("uni");
  size_t at = 0;
  std::vector<uint32_t> results, arguments;
  if (e.operand(0).kind == Operand::Kind::vector) results = placesOf(e, e.operand(at++));
  const Operand &callee = e.operand(at++);
  if (at < e.operands() && e.operand(at).kind == Operand::Kind::vector) arguments = placesOf(e, e.operand(at++));
  bool indirect = callee.kind == Operand::Kind::reg;
  if (at + (indirect ? 1 : 0) != e.operands()) e.fail("unknown form of call", true);
  if (results.size() > 2) e.fail("calls with several results are not supported", true);
  if (indirect) {
    e.out.a = e.use(callee, Type::b64);
    e.out.count = static_cast<uint8_t>(arguments.size());
    e.out.more = reinterpret_cast<const Slot *>(keep(e, arguments));
    e.out.aux = static_cast<uint32_t>(results.size() / 2);
    if (!results.empty()) e.out.imm = reinterpret_cast<int64_t>(keep(e, results));
    e.emit(callIndirect, Class::control);
    return;
  }
  const ptx::Function *function = e.builder.functionNamed(callee.name);
  if (!function) e.fail("unknown function " + callee.name);
  if (!function->isDefined) {
    Handler host = hostCall(callee.name);
    if (!host) e.fail("function " + callee.name + " has no body", true);
    e.out.count = static_cast<uint8_t>(arguments.size());
    e.out.more = reinterpret_cast<const Slot *>(keep(e, arguments));
    e.out.aux = results.empty() ? 0 : results[0];
    e.emit(host, Class::control);
    return;
  }
  if (function->parameters.size() * 2 != arguments.size() || function->results.size() * 2 != results.size()) e.fail("call with another number of arguments than " + callee.name + " has");
  std::vector<uint32_t> copies;
  for (size_t p = 0; p < function->parameters.size(); ++p) {
    if (function->parameters[p]->bytes != arguments[2 * p + 1]) e.fail("argument of another size than " + callee.name + " has");
    copies.insert(copies.end(), {arguments[2 * p], e.builder.place(*function->parameters[p]), arguments[2 * p + 1]});
  }
  if (copies.size() > 255) e.fail("too many arguments", true);
  e.out.count = static_cast<uint8_t>(copies.size());
  e.out.more = reinterpret_cast<const Slot *>(keep(e, copies));
  e.out.aux = static_cast<uint32_t>(results.size() / 2);
  if (!results.empty()) e.out.imm = reinterpret_cast<int64_t>(keep(e, results));
  e.out.target = e.builder.numberOf(callee.name);
  e.emit(callDirect, Class::control);
}

// a: number of the barrier, b: threads it waits for (or none). imm: 1 aligned, 2 arrives without waiting.
void barrierArrive(Warp &w, const Inst &i) {
  int lane = __builtin_ctz(w.active);
  uint32_t number = w.lanes<uint32_t>(i.a)[lane];
  uint32_t expected = i.b == kNoSlot ? 0 : w.lanes<uint32_t>(i.b)[lane];
  if (number >= 16) return fault(w, Check::synccheck, 719, lane, "barrier " + std::to_string(number) + " of 16");
  if (expected % kLanes) return fault(w, Check::synccheck, 719, lane, "a barrier's thread count must be a multiple of 32, not " + std::to_string(expected));
  Block &block = *w.block;
  Barrier &barrier = block.barriers[number];
  bool aligned = i.imm & 1, waits = !(i.imm & 2);
  if (w.launch->checks.synccheck && aligned && (w.active | w.exited) != kAllLanes)
    return fault(w, Check::synccheck, 719, lane, "divergent barrier: only some lanes of the warp are here");
  if (w.launch->checks.synccheck && aligned && !expected && barrier.arrived && barrier.pc != w.pc - 1)
    return fault(w, Check::synccheck, 719, lane, "threads of one block wait at different barriers (the other one: PTX line " +
                                                     std::to_string(w.launch->kernel->source[barrier.pc].line) + ")");
  if (barrier.arrived && barrier.expected != expected) return fault(w, Check::synccheck, 719, lane, "barrier with different thread counts");
  barrier.pc = w.pc - 1;
  barrier.expected = expected;
  barrier.arrived += static_cast<uint32_t>(__builtin_popcount(w.active));
  if (waits) w.wait(Group::State::barrier, static_cast<uint8_t>(number));
  if (barrier.arrived >= (expected ? expected : block.liveThreads)) {
    if (waits) {  // this group is not yet among the waiting ones
      w.groups.push_back({w.depth, w.pc, w.mask, Group::State::barrier, static_cast<uint8_t>(number)});
      w.mask = 0;
      w.blocked = false;
    }
    releaseBarrier(block, static_cast<int>(number));
  }
}

void barrierHere(Warp &w, const Inst &i) { barrierArrive(w, i); }

}  // namespace

// d: result; aux: 0 popc, 1 and, 2 or; c: the predicate, `count` != 0: negated.
void barrierReduce(Warp &w, const Inst &i) {
  uint32_t number = w.lanes<uint32_t>(i.a)[__builtin_ctz(w.active)];
  if (number < 16) {
    Barrier &barrier = w.block->barriers[number];
    uint32_t p = i.count ? ~w.predicate(i.c) : w.predicate(i.c);
    barrier.votes += static_cast<uint32_t>(__builtin_popcount(w.active));
    barrier.trueVotes += static_cast<uint32_t>(__builtin_popcount(w.active & p));
  }
  barrierArrive(w, i);
}

void warpBarrier(Warp &w, const Inst &i) {
  together(w, i, [](uint32_t) {});
}

namespace {

void decodeBarrier(Encoder &e) {
  if (e.mods.take("warp")) {
    if (!e.mods.take("sync")) e.unknown();
    e.arity(1);
    e.out.c = e.use(0, Type::b32);
    e.emit(warpBarrier, Class::barrier);
    return;
  }
  e.mods.take("cta");
  bool named = e.mods.base() == "barrier";
  e.out.imm = named && !e.mods.take("aligned") ? 0 : 1;
  if (e.mods.take("red")) {
    std::string_view op = e.mods.takeOneOf({"popc", "and", "or"});
    if (op.empty()) e.unknown();
    e.out.aux = op == "popc" ? 0 : op == "and" ? 1 : 2;
    Type type = e.type();
    if (type != (op == "popc" ? Type::u32 : Type::pred)) e.unknown();
    e.arity(3, 4);
    Operand p = e.operand(e.operands() - 1);
    e.out.count = p.negated;
    p.negated = false;
    e.out.c = e.usePredicate(p);
    e.out.a = e.use(1, Type::b32);
    if (e.operands() == 4) e.out.b = e.use(2, Type::b32);
    e.out.d = type == Type::pred ? e.defPredicate(e.operand(0)) : e.def(0, Type::u32);
    e.emit(barrierReduce, Class::barrier);
    return;
  }
  std::string_view kind = e.mods.takeOneOf({"sync", "arrive"});
  if (kind.empty()) e.unknown();
  if (kind == "arrive") e.out.imm |= 2;
  e.arity(kind == "arrive" ? 2 : 1, 2);
  e.out.a = e.use(0, Type::b32);
  if (e.operands() == 2) e.out.b = e.use(1, Type::b32);
  e.emit(barrierHere, Class::barrier);
}

// Memory is sequentially consistent here: a fence only tells the race checker.
void fence(Warp &w, const Inst &) { observeFence(w); }

void nothing(Warp &, const Inst &) {}

void decodeFence(Encoder &e) {
  e.arity(0);
  e.mods.takeOneOf({"sc", "acq_rel", "acquire", "release"});
  std::string_view scope = e.mods.takeOneOf({"cta", "cluster", "gl", "gpu", "sys"});
  if (scope.empty()) e.unknown();
  e.emit(scope == "cta" || scope == "cluster" ? nothing : fence, Class::barrier);
}

void decodeSleep(Encoder &e) {
  e.arity(1);
  if (e.type() != Type::u32) e.unknown();
  e.use(0, Type::u32);
  e.emit(nothing, Class::control);
}

}  // namespace

void addControlFamily(DecodeTable &table) {
  table["bra"] = decodeBranch;
  table["exit"] = decodeExit;
  table["ret"] = decodeReturn;
  table["call"] = decodeCall;
  table["trap"] = decodeTrap;
  table["brkpt"] = decodeTrap;
  table["bar"] = decodeBarrier;
  table["barrier"] = decodeBarrier;
  table["membar"] = decodeFence;
  table["fence"] = decodeFence;
  table["nanosleep"] = decodeSleep;
}

}  // namespace limbeck
