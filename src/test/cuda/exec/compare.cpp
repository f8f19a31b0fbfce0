// setp, set, selp, slct.
#include <cmath>

#include "exec/decode.h"
#include "exec/half.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Operand;
using ptx::Type;

namespace {

enum Comparison { kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan, kComparisons };

// The u forms are true where an operand is a NaN, the others false (ne, too).
template <int comparison, class T>
inline bool compare(T a, T b) {
  switch (comparison) {
    case kEq: return a == b;
    case kNe: return a < b || a > b;
    case kLt: return a < b;
    case kLe: return a <= b;
    case kGt: return a > b;
    case kGe: return a >= b;
    case kEqu: return !(a < b || a > b);
    case kNeu: return !(a == b);
    case kLtu: return !(a >= b);
    case kLeu: return !(a > b);
    case kGtu: return !(a <= b);
    case kGeu: return !(a < b);
    case kNum: return a == a && b == b;
    default: return a != a || b != b;
  }
}

// Loads of a type a comparison works on.
template <class T>
struct Plain {
  using Raw = T;
  static T load(T x) { return x; }
};
struct Flushed {
  using Raw = float;
  static float load(float x) { return flushed(x); }
};
template <class H>
struct Half {
  using Raw = uint16_t;
  static float load(uint16_t x) { return H::wide(x); }
};

enum Combine { kAlone, kAnd, kOr, kXor };

// aux: how the result combines with predicate c; 4: c negated. imm: slot of the second destination.
inline void finish(Warp &w, const Inst &i, uint32_t result) {
  uint32_t other = 0;
  uint32_t combine = i.aux & 3;
  if (combine) other = i.aux & 4 ? ~w.predicate(i.c) : w.predicate(i.c);
  auto with = [&](uint32_t r) { return combine == kAnd ? r & other : combine == kOr ? r | other : combine == kXor ? r ^ other : r; };
  uint32_t first = with(result), second = with(~result);
  setPredicate(w, i.d, first);
  if (i.imm != kNoSlot) setPredicate(w, static_cast<Slot>(i.imm), second);
}

template <int comparison, class L>
void setPredicateOf(Warp &w, const Inst &i) {
  const typename L::Raw *a = w.lanes<typename L::Raw>(i.a), *b = w.lanes<typename L::Raw>(i.b);
  finish(w, i, laneMask([=](int l) { return compare<comparison>(L::load(a[l]), L::load(b[l])); }));
}

// set d, a, b: all ones (or 1.0) where the comparison holds. count: bytes of d, or 0 for f32.
template <int comparison, class L>
void setValueOf(Warp &w, const Inst &i) {
  const typename L::Raw *a = w.lanes<typename L::Raw>(i.a), *b = w.lanes<typename L::Raw>(i.b);
  uint32_t bits = laneMask([=](int l) { return compare<comparison>(L::load(a[l]), L::load(b[l])); });
  uint32_t combine = i.aux & 3;
  if (combine) {
    uint32_t other = i.aux & 4 ? ~w.predicate(i.c) : w.predicate(i.c);
    bits = combine == kAnd ? bits & other : combine == kOr ? bits | other : bits ^ other;
  }
  uint32_t yes = static_cast<uint32_t>(i.imm);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    bool holds = bits >> l & 1;
    if (i.count == 2) {
      w.lanes<uint16_t>(i.d)[l] = static_cast<uint16_t>(holds ? yes : 0);
    } else {
      w.lanes<uint32_t>(i.d)[l] = holds ? yes : 0;
    }
  }
}

// Two halves at once: setp gives p for the low and q for the high one, set gives a half per half.
template <int comparison, class H>
void setPredicatePair(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b);
  auto half = [&](int shift) {
    return laneMask([=](int l) { return compare<comparison>(H::wide(static_cast<uint16_t>(a[l] >> shift)), H::wide(static_cast<uint16_t>(b[l] >> shift))); });
  };
  uint32_t low = half(0), high = half(16), combine = i.aux & 3;
  if (combine) {
    uint32_t other = i.aux & 4 ? ~w.predicate(i.c) : w.predicate(i.c);
    low = combine == kAnd ? low & other : combine == kOr ? low | other : low ^ other;
    high = combine == kAnd ? high & other : combine == kOr ? high | other : high ^ other;
  }
  setPredicate(w, i.d, low);
  if (i.imm != kNoSlot) setPredicate(w, static_cast<Slot>(i.imm), high);
}

template <int comparison, class H>
void setValuePair(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  uint32_t yes = static_cast<uint32_t>(i.imm);
  eachLane(w.active, [=](int l) {
    bool low = compare<comparison>(H::wide(static_cast<uint16_t>(a[l])), H::wide(static_cast<uint16_t>(b[l])));
    bool high = compare<comparison>(H::wide(static_cast<uint16_t>(a[l] >> 16)), H::wide(static_cast<uint16_t>(b[l] >> 16)));
    d[l] = (low ? yes : 0) | (high ? yes << 16 : 0);
  });
}

template <class L, bool value, int... all>
Handler pick(int comparison, std::integer_sequence<int, all...>) {
  static constexpr Handler handlers[] = {(value ? setValueOf<all, L> : setPredicateOf<all, L>)...};
  return handlers[comparison];
}

template <class H, bool value, int... all>
Handler pickPair(int comparison, std::integer_sequence<int, all...>) {
  static constexpr Handler handlers[] = {(value ? setValuePair<all, H> : setPredicatePair<all, H>)...};
  return handlers[comparison];
}

template <class T, bool value>
Handler integer(int comparison) {
  // Integers have only the first six.
  return comparison < kEqu ? pick<Plain<T>, value>(comparison, std::make_integer_sequence<int, 6>()) : nullptr;
}

template <bool value>
Handler handlerFor(Type type, int comparison, bool flush) {
  using All = std::make_integer_sequence<int, kComparisons>;
  switch (type) {
    case Type::b16:
      if (comparison > kNe) return nullptr;
      [[fallthrough]];
    case Type::u16: return integer<uint16_t, value>(comparison);
    case Type::s16: return integer<int16_t, value>(comparison);
    case Type::b32:
      if (comparison > kNe) return nullptr;
      [[fallthrough]];
    case Type::u32: return integer<uint32_t, value>(comparison);
    case Type::s32: return integer<int32_t, value>(comparison);
    case Type::b64:
      if (comparison > kNe) return nullptr;
      [[fallthrough]];
    case Type::u64: return integer<uint64_t, value>(comparison);
    case Type::s64: return integer<int64_t, value>(comparison);
    case Type::f32: return flush ? pick<Flushed, value>(comparison, All()) : pick<Plain<float>, value>(comparison, All());
    case Type::f64: return pick<Plain<double>, value>(comparison, All());
    case Type::f16: return pick<Half<F16>, value>(comparison, All());
    case Type::bf16: return pick<Half<Bf16>, value>(comparison, All());
    case Type::f16x2: return pickPair<F16, value>(comparison, All());
    case Type::bf16x2: return pickPair<Bf16, value>(comparison, All());
    default: return nullptr;
  }
}

int takeComparison(Encoder &e, bool &unsignedName) {
  static const std::pair<std::string_view, int> names[] = {
      {"eq", kEq}, {"ne", kNe}, {"lt", kLt}, {"le", kLe}, {"gt", kGt}, {"ge", kGe}, {"equ", kEqu}, {"neu", kNeu}, {"ltu", kLtu},
      {"leu", kLeu}, {"gtu", kGtu}, {"geu", kGeu}, {"num", kNum}, {"nan", kNan}};
  static const std::pair<std::string_view, int> unsignedNames[] = {{"lo", kLt}, {"ls", kLe}, {"hi", kGt}, {"hs", kGe}};
  for (const auto &name : names)
    if (e.mods.take(name.first)) return name.second;
  for (const auto &name : unsignedNames)
    if (e.mods.take(name.first)) {
      unsignedName = true;
      return name.second;
    }
  e.unknown();
}

uint32_t takeCombine(Encoder &e) {
  std::string_view name = e.mods.takeOneOf({"and", "or", "xor"});
  return name == "and" ? kAnd : name == "or" ? kOr : name == "xor" ? kXor : kAlone;
}

bool isUnsignedInteger(Type t) { return t == Type::u16 || t == Type::u32 || t == Type::u64; }

void combineOperand(Encoder &e, uint32_t combine) {
  e.out.aux = combine;
  e.arity(combine ? 4 : 3);
  if (!combine) return;
  Operand other = e.operand(3);
  if (other.negated) e.out.aux |= 4;
  other.negated = false;
  e.out.c = e.usePredicate(other);
}

void decodeSetPredicate(Encoder &e) {
  bool unsignedName = false;
  int comparison = takeComparison(e, unsignedName);
  combineOperand(e, takeCombine(e));
  bool flush = e.mods.take("ftz");
  Type type = e.type();
  if ((unsignedName && !isUnsignedInteger(type)) || (flush && type != Type::f32 && type != Type::f16 && type != Type::f16x2)) e.unknown();
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  const Operand &to = e.operand(0);
  e.out.imm = to.items.empty() ? kNoSlot : e.defPredicate(to.items[0]);
  e.out.d = e.defPredicate(to);
  e.emit(handlerFor<false>(type, comparison, flush), Class::predicate);
}

void decodeSet(Encoder &e) {
  bool unsignedName = false;
  int comparison = takeComparison(e, unsignedName);
  combineOperand(e, takeCombine(e));
  bool flush = e.mods.take("ftz");
  Type to = e.type(), from = e.type();
  if (unsignedName && !isUnsignedInteger(from)) e.unknown();
  bool pair = from == Type::f16x2 || from == Type::bf16x2;
  switch (to) {
    case Type::u32:
    case Type::s32: e.out.imm = pair ? 0xffff : 0xffffffff; break;
    case Type::u16:
    case Type::s16: e.out.imm = 0xffff; break;
    case Type::f32: e.out.imm = 0x3f800000; break;
    case Type::f16: e.out.imm = 0x3c00; break;
    case Type::bf16: e.out.imm = 0x3f80; break;
    case Type::f16x2: e.out.imm = 0x3c00; break;
    case Type::bf16x2: e.out.imm = 0x3f80; break;
    default: e.unknown();
  }
  if (pair != (to == Type::f16x2 || to == Type::bf16x2 || (pair && ptx::sizeOf(to) == 4 && to != Type::f32))) e.unknown();
  if (pair && (e.out.aux & 3)) e.unknown();
  e.out.a = e.use(1, from);
  e.out.b = e.use(2, from);
  e.out.d = e.def(0, to);
  e.out.count = static_cast<uint8_t>(ptx::sizeOf(to));
  e.emit(handlerFor<true>(from, comparison, flush), Class::predicate);
}

template <class T>
void select(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  T *d = w.lanes<T>(i.d);
  const uint32_t p = w.predicate(i.c);
  eachLane(w.active, [=](int l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}

Handler bySize(Handler two, Handler four, Handler eight, int bytes) {
  return bytes == 2 ? two : bytes == 4 ? four : bytes == 8 ? eight : nullptr;
}

void decodeSelect(Encoder &e) {
  Type type = e.type();
  e.arity(4);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.c = e.usePredicate(e.operand(3));
  e.out.d = e.def(0, type);
  int bytes = type == Type::pred ? 0 : ptx::sizeOf(type);
  e.emit(bySize(select<uint16_t>, select<uint32_t>, select<uint64_t>, bytes), Class::move);
}

template <class T, bool real>
void selectBySign(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  T *d = w.lanes<T>(i.d);
  eachLane(w.active, [&](int l) {
    bool first = real ? (i.aux ? flushed(w.lanes<float>(i.c)[l]) : w.lanes<float>(i.c)[l]) >= 0 : w.lanes<int32_t>(i.c)[l] >= 0;
    d[l] = first ? a[l] : b[l];
  });
}

void decodeSelectBySign(Encoder &e) {
  e.out.aux = e.mods.take("ftz");
  Type type = e.type(), control = e.type();
  if (control != Type::s32 && control != Type::f32) e.unknown();
  e.arity(4);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.c = e.use(3, control);
  e.out.d = e.def(0, type);
  int bytes = type == Type::pred ? 0 : ptx::sizeOf(type);
  e.emit(control == Type::f32 ? bySize(selectBySign<uint16_t, true>, selectBySign<uint32_t, true>, selectBySign<uint64_t, true>, bytes)
                              : bySize(selectBySign<uint16_t, false>, selectBySign<uint32_t, false>, selectBySign<uint64_t, false>, bytes),
         Class::move);
}

}  // namespace

void addCompareFamily(DecodeTable &table) {
  table["setp"] = decodeSetPredicate;
  table["set"] = decodeSet;
  table["selp"] = decodeSelect;
  table["slct"] = decodeSelectBySign;
}

}  // namespace limbeck
