// cp.async: carried out at the wait, not at the issue, so that a kernel that does not wait reads what was there before.
#include "exec/access.h"

namespace limbeck {

using ptx::Space;
using ptx::Type;

namespace {

constexpr int kMaxPending = 4096;

void commit(Warp &w, const Inst &) {
  for (uint32_t rest = w.active; rest; rest &= rest - 1) ++w.committed[__builtin_ctz(rest)];
}

// One half of a pending copy: its reads or its writes, through the checks, under the pc of the cp.async.
bool locateCopy(Warp &w, const PendingCopy &copy, uint32_t lanes, bool write, Access &x) {
  Inst access = w.launch->kernel->code[copy.pc];
  access.flags = write ? kWrite : kRead;
  int pc = w.pc;
  uint32_t active = w.active;
  w.pc = copy.pc + 1;
  w.active = lanes;
  uint64_t first = write ? copy.to[__builtin_ctz(lanes)] : copy.from[__builtin_ctz(lanes)];
  for (int l = 0; l < kLanes; ++l) x.address[l] = lanes >> l & 1 ? (write ? copy.to[l] : copy.from[l]) : first;
  bool fine = locateAt(w, access, copy.bytes, x, write ? Space::shared : Space::global);
  w.active = active;
  if (fine) w.pc = pc;  // after a fault the place of the copy is what the report shows
  return fine;
}

// a, imm: source, in global memory; b, more: destination slot and offset; c: slot of the source size or none; count: bytes.
void issue(Warp &w, const Inst &i) {
  if (w.copies.size() >= kMaxPending) return fault(w, Check::limit, 719, -1, "more copies in flight than any kernel waits for: cp.async without a wait");
  PendingCopy copy;
  copy.mask = w.active;
  copy.bytes = i.count;
  copy.pc = w.pc - 1;
  uint64_t to[kLanes];
  laneAddresses(w, i.b, i.more[0], i.target, to);
  laneAddresses(w, i.a, i.imm, false, copy.from);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    copy.group[l] = w.committed[l];
    copy.to[l] = static_cast<uint32_t>(to[l]);
    uint32_t bytes = i.c == kNoSlot ? i.count : w.lanes<uint32_t>(i.c)[l];
    if (bytes > i.count) return fault(w, Check::memcheck, 719, l, "cp.async with a source size above its copy size");
    copy.sourceBytes[l] = bytes;
  }
  // The hardware may write from now on: who still reads the target races, even if we write later.
  Access target;
  if (w.launch->checks.racecheck && !locateCopy(w, copy, w.active, true, target)) return;
  w.copies.push_back(copy);
}

bool carryOut(Warp &w, const PendingCopy &copy, uint32_t lanes) {
  Access to, from;
  uint32_t reading = 0;
  for (uint32_t rest = lanes; rest; rest &= rest - 1)
    if (copy.sourceBytes[__builtin_ctz(rest)]) reading |= 1u << __builtin_ctz(rest);
  if (reading && !locateCopy(w, copy, reading, false, from)) return false;
  if (!locateCopy(w, copy, lanes, true, to)) return false;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    char *target = to.at<char>(l);
    if (copy.sourceBytes[l]) std::memcpy(target, from.at<char>(l), copy.sourceBytes[l]);
    std::memset(target + copy.sourceBytes[l], 0, copy.bytes - copy.sourceBytes[l]);
  }
  return true;
}

// Carries out what the active lanes wait for: groups older than the newest `keep`, or everything.
void finish(Warp &w, int64_t keep, bool everything) {
  for (size_t c = 0; c < w.copies.size(); ++c) {
    PendingCopy &copy = w.copies[c];
    uint32_t due = 0;
    for (uint32_t rest = copy.mask & w.active; rest; rest &= rest - 1) {
      int l = __builtin_ctz(rest);
      if (everything || static_cast<int64_t>(copy.group[l]) < static_cast<int64_t>(w.committed[l]) - keep) due |= 1u << l;
    }
    if (!due) continue;
    if (!carryOut(w, copy, due)) return;
    copy.mask &= ~due;
  }
  size_t kept = 0;
  for (size_t c = 0; c < w.copies.size(); ++c)
    if (w.copies[c].mask) w.copies[kept++] = w.copies[c];
  w.copies.resize(kept);
}

void waitGroup(Warp &w, const Inst &i) { finish(w, i.imm, false); }

void waitAll(Warp &w, const Inst &) { finish(w, 0, true); }

void decodeIssue(Encoder &e) {
  bool all = e.mods.take("ca");
  if (!all && !e.mods.take("cg")) e.unknown();
  if (!e.mods.take("shared") && !e.mods.take("shared::cta")) e.unknown();
  if (!e.mods.take("global")) e.unknown();
  e.mods.takeOneOf({"L2::64B", "L2::128B", "L2::256B"});
  e.arity(3, 4);
  uint64_t bytes = e.immediate(2);
  if (bytes != 16 && !(all && (bytes == 4 || bytes == 8))) e.fail("cp.async copies 4, 8 or 16 bytes (.cg: 16)");
  decodeAddress(e, e.operand(0), Space::shared, kWrite);
  e.out.b = e.out.a;
  e.out.target = e.out.flags & kAddress32;
  int64_t offset = e.out.imm;
  if (offset < INT32_MIN || offset > INT32_MAX) e.fail("offset too large");
  e.out.more = e.list({static_cast<Slot>(offset)});
  decodeAddress(e, e.operand(1), Space::global, kRead);
  if (e.operands() == 4) e.out.c = e.use(3, Type::u32);
  e.out.count = static_cast<uint8_t>(bytes);
  e.emit(issue, Class::global);
}

void decodeCopy(Encoder &e) {
  if (!e.mods.take("async")) e.unknown();
  if (e.mods.take("commit_group")) {
    e.arity(0);
    e.emit(commit, Class::control);
  } else if (e.mods.take("wait_group")) {
    e.arity(1);
    e.out.imm = static_cast<int64_t>(e.immediate(0));
    e.emit(waitGroup, Class::barrier);
  } else if (e.mods.take("wait_all")) {
    e.arity(0);
    e.emit(waitAll, Class::barrier);
  } else {
    decodeIssue(e);
  }
}

}  // namespace

void addAsyncFamily(DecodeTable &table) { table["cp"] = decodeCopy; }

}  // namespace limbeck
