// mov (registers, constants, special registers, addresses, packing and unpacking), cvta, isspacep.
#include <chrono>

#include "exec/decode.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

template <class T>
void move(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a);
  T *d = w.lanes<T>(i.d);
  eachLane(w.active, [=](int l) { d[l] = a[l]; });
}

void movePredicate(Warp &w, const Inst &i) { setPredicate(w, i.d, w.predicate(i.a)); }

// A clock that counts this warp's instructions: the only time there is here, and the same in every run.
template <class T>
void readClock(Warp &w, const Inst &i) {
  T *d = w.lanes<T>(i.d);
  const uint64_t now = ++w.clock;
  eachLane(w.active, [=](int l) { d[l] = static_cast<T>(i.aux ? now >> 32 : now); });
}

void readTimer(Warp &w, const Inst &i) {
  uint64_t *d = w.lanes<uint64_t>(i.d);
  const uint64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  eachLane(w.active, [=](int l) { d[l] = now; });
}

// d = {elements}: the first element takes the low bits. E, D: element and whole.
template <class E, class D>
void pack(Warp &w, const Inst &i) {
  D *d = w.lanes<D>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    uint64_t whole = 0;
    for (int n = 0; n < i.count; ++n) whole |= static_cast<uint64_t>(w.lanes<E>(i.more[n])[l]) << (8 * sizeof(E) * n);
    d[l] = static_cast<D>(whole);
  }
}

template <class E, class D>
void unpack(Warp &w, const Inst &i) {
  const D *a = w.lanes<D>(i.a);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    uint64_t whole = a[l];
    for (int n = 0; n < i.count; ++n) w.lanes<E>(i.more[n])[l] = static_cast<E>(whole >> (8 * sizeof(E) * n));
  }
}

Handler packOf(int element, int whole) {
  if (element == 2 && whole == 4) return pack<uint16_t, uint32_t>;
  if (element == 2 && whole == 8) return pack<uint16_t, uint64_t>;
  if (element == 4 && whole == 8) return pack<uint32_t, uint64_t>;
  return nullptr;
}

Handler unpackOf(int element, int whole) {
  if (element == 2 && whole == 4) return unpack<uint16_t, uint32_t>;
  if (element == 2 && whole == 8) return unpack<uint16_t, uint64_t>;
  if (element == 4 && whole == 8) return unpack<uint32_t, uint64_t>;
  return nullptr;
}

void decodeVectorMove(Encoder &e, Type type, bool packs) {
  const Operand &vector = e.operand(packs ? 1 : 0);
  int whole = ptx::sizeOf(type), parts = static_cast<int>(vector.items.size());
  if (parts != 2 && parts != 4) e.unknown();
  int element = whole / parts;
  Type elementType = element == 2 ? Type::b16 : Type::b32;
  std::vector<Slot> slots;
  for (const Operand &item : vector.items) slots.push_back(packs ? e.use(item, element, elementType) : e.def(item, elementType));
  e.out.more = e.list(slots);
  if (packs) {
    e.out.d = e.def(0, type);
  } else {
    e.out.a = e.use(1, type);
  }
  e.emit(packs ? packOf(element, whole) : unpackOf(element, whole), Class::move);
}

bool decodeClock(Encoder &e, Type type) {
  if (e.operand(1).kind != Operand::Kind::special) return false;
  int bytes = ptx::sizeOf(type);
  switch (e.operand(1).special) {
    case ptx::Special::clock:
    case ptx::Special::clock_hi:
      e.out.aux = e.operand(1).special == ptx::Special::clock_hi;
      e.out.d = e.def(0, type);
      e.emit(bytes == 4 ? readClock<uint32_t> : nullptr, Class::move);
      return true;
    case ptx::Special::clock64:
      e.out.d = e.def(0, type);
      e.emit(bytes == 8 ? readClock<uint64_t> : nullptr, Class::move);
      return true;
    case ptx::Special::globaltimer:
      e.out.d = e.def(0, type);
      e.emit(bytes == 8 ? readTimer : nullptr, Class::move);
      return true;
    default: return false;
  }
}

// The address a variable's name stands for, within its own space.
uint64_t addressOf(Encoder &e, const Operand &operand) {
  const ptx::Variable &v = *operand.variable;
  bool global = v.space == Space::global || v.space == Space::constant;
  return (global ? v.place : e.builder.place(v)) + operand.offset;
}

void decodeMove(Encoder &e) {
  Type type = e.type();
  e.arity(2);
  if (e.operand(1).kind == Operand::Kind::vector) return decodeVectorMove(e, type, true);
  if (e.operand(0).kind == Operand::Kind::vector) return decodeVectorMove(e, type, false);
  if (decodeClock(e, type)) return;
  const Operand &from = e.operand(1);
  if (type == Type::pred) {
    e.out.a = e.usePredicate(from);
    e.out.d = e.defPredicate(e.operand(0));
    e.emit(movePredicate, Class::predicate);
    return;
  }
  int bytes = ptx::sizeOf(type);
  if (from.kind == Operand::Kind::variable) {
    bool small = from.variable->space == Space::shared || from.variable->space == Space::local || from.variable->space == Space::param;
    if (bytes != 8 && !(bytes == 4 && small)) e.fail("an address needs 64 bits");
    e.out.a = e.constant(addressOf(e, from), bytes);
  } else if (from.kind == Operand::Kind::function || from.kind == Operand::Kind::label) {
    int number = e.builder.numberOf(from.name);
    if (number < 0 || bytes != 8) e.fail("unknown name " + from.name);
    e.out.a = e.constant(kFunctionWindow | static_cast<uint64_t>(number) * 16, 8);
  } else {
    e.out.a = e.use(from, type);
  }
  e.out.d = e.def(0, type);
  e.emit(bytes == 2 ? move<uint16_t> : bytes == 4 ? move<uint32_t> : bytes == 8 ? move<uint64_t> : nullptr, Class::move);
}

// imm: the window to add or to take off.
template <bool toSpace>
void convertAddress(Warp &w, const Inst &i) {
  const uint64_t *a = w.lanes<uint64_t>(i.a);
  uint64_t *d = w.lanes<uint64_t>(i.d);
  const uint64_t window = static_cast<uint64_t>(i.imm);
  eachLane(w.active, [=](int l) { d[l] = toSpace ? (window ? a[l] & ~kWindowMask : a[l]) : a[l] | window; });
}

uint64_t windowOf(Space space) {
  switch (space) {
    case Space::shared: return kSharedWindow;
    case Space::local: return kLocalWindow;
    case Space::param: return kParamWindow;
    default: return 0;
  }
}

Space takeNamedSpace(Encoder &e) {
  static const std::pair<std::string_view, Space> names[] = {{"global", Space::global}, {"shared", Space::shared}, {"shared::cta", Space::shared},
                                                             {"local", Space::local},   {"param", Space::param},   {"const", Space::constant}};
  for (const auto &name : names)
    if (e.mods.take(name.first)) return name.second;
  e.unknown();
}

void decodeConvertAddress(Encoder &e) {
  bool toSpace = e.mods.take("to");
  Space space = takeNamedSpace(e);
  if (e.type() != Type::u64) e.unknown();
  e.arity(2);
  const Operand &from = e.operand(1);
  if (from.kind == Operand::Kind::variable) {
    e.out.a = e.constant(addressOf(e, from), 8);
  } else {
    e.out.a = e.use(1, Type::u64);
  }
  // Parameters of a function that is called lie in local memory.
  if (space == Space::param && !e.function.isEntry) space = Space::local;
  e.out.d = e.def(0, Type::u64);
  e.out.imm = static_cast<int64_t>(windowOf(space));
  e.emit(toSpace ? convertAddress<true> : convertAddress<false>, Class::move);
}

void isInSpace(Warp &w, const Inst &i) {
  const uint64_t *a = w.lanes<uint64_t>(i.a);
  const uint64_t window = static_cast<uint64_t>(i.imm);
  setPredicate(w, i.d, laneMask([=](int l) { return (a[l] & kWindowMask) == window; }));
}

void decodeIsInSpace(Encoder &e) {
  Space space = takeNamedSpace(e);
  if (space == Space::constant) e.unknown();
  e.arity(2);
  e.out.a = e.use(1, Type::u64);
  e.out.d = e.defPredicate(e.operand(0));
  e.out.imm = static_cast<int64_t>(windowOf(space));
  e.emit(isInSpace, Class::predicate);
}

}  // namespace

void addMoveFamily(DecodeTable &table) {
  table["mov"] = decodeMove;
  table["cvta"] = decodeConvertAddress;
  table["isspacep"] = decodeIsInSpace;
}

}  // namespace limbeck
