// Instructions between the lanes of a warp: shfl, vote, match, redux, activemask, elect.
#include "exec/collective.h"
#include "exec/decode.h"

namespace limbeck {

using ptx::Operand;
using ptx::Type;

namespace {

enum Shuffle : uint32_t { kUp, kDown, kBfly, kIdx };

// a: value, more: {b, c operands, predicate or kNoSlot}, aux: mode.
void shuffle(Warp &w, const Inst &i) {
  together(w, i, [&](uint32_t lanes) {
    const uint32_t *a = w.lanes<uint32_t>(i.a), *by = w.lanes<uint32_t>(i.more[0]), *clamp = w.lanes<uint32_t>(i.more[1]);
    uint32_t *d = w.lanes<uint32_t>(i.d);
    uint32_t value[kLanes], valid = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      int b = static_cast<int>(by[lane] & 31), c = static_cast<int>(clamp[lane] & 31), segment = static_cast<int>(clamp[lane] >> 8 & 31);
      int last = (lane & segment) | (c & ~segment), first = lane & segment;
      int source = lane;
      bool inside = false;
      switch (i.aux) {
        case kUp: source = lane - b; inside = source >= last; break;
        case kDown: source = lane + b; inside = source <= last; break;
        case kBfly: source = lane ^ b; inside = source <= last; break;
        default: source = first | (b & ~segment); inside = source <= last; break;
      }
      if (!inside) source = lane;
      if (!(lanes >> source & 1)) return fault(w, Check::synccheck, 719, lane, "shfl reads lane " + std::to_string(source) + ", which does not take part");
      value[lane] = a[source];
      valid |= static_cast<uint32_t>(inside) << lane;
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) d[__builtin_ctz(rest)] = value[__builtin_ctz(rest)];
    if (i.more[2] != kNoSlot) {
      uint32_t &p = w.predicate(i.more[2]);
      p = (p & ~lanes) | valid;
    }
  });
}

void decodeShuffle(Encoder &e) {
  if (!e.mods.take("sync")) e.fail("shfl without .sync does not exist from compute capability 7.0 on");
  std::string_view mode = e.mods.takeOneOf({"up", "down", "bfly", "idx"});
  if (mode.empty() || e.type() != Type::b32) e.unknown();
  e.arity(5);
  const Operand &to = e.operand(0);
  e.out.a = e.use(1, Type::b32);
  Slot predicate = kNoSlot;
  Slot by = e.use(2, Type::b32), clamp = e.use(3, Type::b32);
  e.out.c = e.use(4, Type::b32);
  if (!to.items.empty()) predicate = e.defPredicate(to.items[0]);
  e.out.d = e.def(to, Type::b32);
  e.out.more = e.list({by, clamp, predicate});
  e.out.aux = mode == "up" ? kUp : mode == "down" ? kDown : mode == "bfly" ? kBfly : kIdx;
  e.emit(shuffle, Class::warp);
}

enum Vote : uint32_t { kAll, kAny, kUni, kBallot };

// a: the predicate; count != 0: negated.
void vote(Warp &w, const Inst &i) {
  together(w, i, [&](uint32_t lanes) {
    uint32_t p = (i.count ? ~w.predicate(i.a) : w.predicate(i.a)) & lanes;
    if (i.aux == kBallot) {
      for (uint32_t rest = lanes; rest; rest &= rest - 1) w.lanes<uint32_t>(i.d)[__builtin_ctz(rest)] = p;
      return;
    }
    bool holds = i.aux == kAll ? p == lanes : i.aux == kAny ? p != 0 : p == 0 || p == lanes;
    uint32_t &d = w.predicate(i.d);
    d = holds ? d | lanes : d & ~lanes;
  });
}

void decodeVote(Encoder &e) {
  if (!e.mods.take("sync")) e.fail("vote without .sync does not exist from compute capability 7.0 on");
  std::string_view mode = e.mods.takeOneOf({"all", "any", "uni", "ballot"});
  Type type = e.type();
  if (mode.empty() || type != (mode == "ballot" ? Type::b32 : Type::pred)) e.unknown();
  e.arity(3);
  Operand p = e.operand(1);
  e.out.count = p.negated;
  p.negated = false;
  e.out.a = e.usePredicate(p);
  e.out.c = e.use(2, Type::b32);
  e.out.d = e.def(0, type);
  e.out.aux = mode == "all" ? kAll : mode == "any" ? kAny : mode == "uni" ? kUni : kBallot;
  e.emit(vote, Class::warp);
}

// aux: 1: match.all, whose predicate is more[0].
template <class T>
void match(Warp &w, const Inst &i) {
  together(w, i, [&](uint32_t lanes) {
    const T *a = w.lanes<T>(i.a);
    uint32_t *d = w.lanes<uint32_t>(i.d);
    uint32_t result[kLanes];
    bool all = true;
    T first = a[__builtin_ctz(lanes)];
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      all = all && a[lane] == first;
      result[lane] = 0;
      for (uint32_t other = lanes; other; other &= other - 1)
        if (a[__builtin_ctz(other)] == a[lane]) result[lane] |= 1u << __builtin_ctz(other);
    }
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      int lane = __builtin_ctz(rest);
      d[lane] = i.aux ? (all ? lanes : 0) : result[lane];
    }
    if (i.aux && i.more[0] != kNoSlot) {
      uint32_t &p = w.predicate(i.more[0]);
      p = all ? p | lanes : p & ~lanes;
    }
  });
}

void decodeMatch(Encoder &e) {
  std::string_view mode = e.mods.takeOneOf({"any", "all"});
  if (mode.empty() || !e.mods.take("sync")) e.unknown();
  Type type = e.type();
  e.arity(3);
  e.out.a = e.use(1, type);
  e.out.c = e.use(2, Type::b32);
  e.out.aux = mode == "all";
  const Operand &to = e.operand(0);
  e.out.more = e.list({to.items.empty() ? kNoSlot : e.defPredicate(to.items[0])});
  e.out.d = e.def(to, Type::b32);
  e.emit(type == Type::b32 ? match<uint32_t> : type == Type::b64 ? match<uint64_t> : nullptr, Class::warp);
}

enum Reduce : uint32_t { kAdd, kMin, kMax, kAnd, kOr, kXor };

template <class T>
T reduceStep(uint32_t op, T x, T y) {
  switch (op) {
    case kAdd: return static_cast<T>(static_cast<uint32_t>(x) + static_cast<uint32_t>(y));
    case kMin: return x < y ? x : y;
    case kMax: return x > y ? x : y;
    case kAnd: return x & y;
    case kOr: return x | y;
    default: return x ^ y;
  }
}

template <class T>
void reduce(Warp &w, const Inst &i) {
  together(w, i, [&](uint32_t lanes) {
    const T *a = w.lanes<T>(i.a);
    T *d = w.lanes<T>(i.d);
    T sum = a[__builtin_ctz(lanes)];
    for (uint32_t rest = lanes & (lanes - 1); rest; rest &= rest - 1) sum = reduceStep<T>(i.aux, sum, a[__builtin_ctz(rest)]);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) d[__builtin_ctz(rest)] = sum;
  });
}

void decodeReduce(Encoder &e) {
  if (!e.mods.take("sync")) e.unknown();
  static const std::pair<std::string_view, uint32_t> ops[] = {{"add", kAdd}, {"min", kMin}, {"max", kMax}, {"and", kAnd}, {"or", kOr}, {"xor", kXor}};
  bool found = false;
  for (const auto &op : ops)
    if (e.mods.take(op.first)) {
      found = true;
      e.out.aux = op.second;
    }
  Type type = e.type();
  bool bits = e.out.aux >= kAnd;
  if (!found || (bits ? type != Type::b32 : type != Type::u32 && type != Type::s32)) e.unknown();
  e.arity(3);
  e.out.a = e.use(1, type);
  e.out.c = e.use(2, Type::b32);
  e.out.d = e.def(0, type);
  e.emit(type == Type::s32 ? reduce<int32_t> : reduce<uint32_t>, Class::warp);
}

void activeMask(Warp &w, const Inst &i) {
  uint32_t *d = w.lanes<uint32_t>(i.d);
  const uint32_t mask = w.active;
  eachLane(w.active, [=](int l) { d[l] = mask; });
}

void decodeActiveMask(Encoder &e) {
  if (e.type() != Type::b32) e.unknown();
  e.arity(1);
  e.out.d = e.def(0, Type::b32);
  e.emit(activeMask, Class::warp);
}

// more[0]: predicate that is true in the elected lane only.
void elect(Warp &w, const Inst &i) {
  together(w, i, [&](uint32_t lanes) {
    uint32_t leader = lanes & (0 - lanes);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) w.lanes<uint32_t>(i.d)[__builtin_ctz(rest)] = static_cast<uint32_t>(__builtin_ctz(leader));
    uint32_t &p = w.predicate(i.more[0]);
    p = (p & ~lanes) | leader;
  });
}

void decodeElect(Encoder &e) {
  if (!e.mods.take("sync")) e.unknown();
  e.arity(2);
  const Operand &to = e.operand(0);
  if (to.items.empty()) e.fail("elect needs d|p");
  e.out.c = e.use(1, Type::b32);
  e.out.more = e.list({e.defPredicate(to.items[0])});
  e.out.d = to.kind == Operand::Kind::sink ? e.builder.trashSlot() : e.def(to, Type::b32);
  e.emit(elect, Class::warp);
}

}  // namespace

void addWarpFamily(DecodeTable &table) {
  table["shfl"] = decodeShuffle;
  table["vote"] = decodeVote;
  table["match"] = decodeMatch;
  table["redux"] = decodeReduce;
  table["activemask"] = decodeActiveMask;
  table["elect"] = decodeElect;
}

}  // namespace limbeck
