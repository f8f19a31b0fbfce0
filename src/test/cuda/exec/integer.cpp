// Integer arithmetic: add, sub, mul, mad, div, rem, min, max, abs, neg, sad, carries, dot products.
#include "exec/lanes.h"
#include "exec/decode.h"

namespace limbeck {

using ptx::Type;

namespace {

// Two's complement wraps around, which unsigned arithmetic does and signed arithmetic may not.
template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Work = std::conditional_t<(sizeof(T) < 4), uint32_t, Unsigned<T>>;

template <class T>
struct Add {
  static T of(T a, T b) { return static_cast<T>(Work<T>(a) + Work<T>(b)); }
};
template <class T>
struct AddSaturating {
  static T of(T a, T b) {
    int64_t sum = static_cast<int64_t>(a) + b;
    return static_cast<T>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
  }
};
template <class T>
struct Subtract {
  static T of(T a, T b) { return static_cast<T>(Work<T>(a) - Work<T>(b)); }
};
template <class T>
struct SubtractSaturating {
  static T of(T a, T b) {
    int64_t sum = static_cast<int64_t>(a) - b;
    return static_cast<T>(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
  }
};
template <class T>
struct MultiplyLow {
  static T of(T a, T b) { return static_cast<T>(Work<T>(a) * Work<T>(b)); }
};
template <class T>
struct MultiplyHigh {
  static T of(T a, T b) {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    using Product = std::conditional_t<sizeof(T) == 8, Wide, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
    return static_cast<T>(static_cast<Product>(a) * static_cast<Product>(b) >> (8 * sizeof(T)));
  }
};
template <class T>
struct Minimum {
  static T of(T a, T b) { return a < b ? a : b; }
};
template <class T>
struct Maximum {
  static T of(T a, T b) { return a > b ? a : b; }
};
template <class T>
struct Absolute {
  static T of(T a) { return a < 0 ? static_cast<T>(-Work<T>(a)) : a; }
};
template <class T>
struct Negate {
  static T of(T a) { return static_cast<T>(-Work<T>(a)); }
};
template <class T>
struct MadLow {
  static T of(T a, T b, T c) { return Add<T>::of(MultiplyLow<T>::of(a, b), c); }
};
template <class T>
struct MadHigh {
  static T of(T a, T b, T c) { return Add<T>::of(MultiplyHigh<T>::of(a, b), c); }
};
template <class T>
struct SumOfDifferences {
  static T of(T a, T b, T c) { return Add<T>::of(c, a < b ? Subtract<T>::of(b, a) : Subtract<T>::of(a, b)); }
};
template <class T, class D>
struct MultiplyWide {
  static D of(T a, T b) { return static_cast<D>(a) * static_cast<D>(b); }
};
template <class T, class D>
struct MadWide {
  static D of(T a, T b, D c) { return Add<D>::of(static_cast<D>(a) * static_cast<D>(b), c); }
};
template <class T>
struct Low24 {
  static int64_t cut(int64_t a) { return std::is_signed_v<T> ? static_cast<int64_t>(static_cast<uint64_t>(a) << 40) >> 40 : a & 0xffffff; }
};
template <class T>
struct Multiply24Low {
  static T of(T a, T b) { return static_cast<T>(Low24<T>::cut(a) * Low24<T>::cut(b)); }
};
template <class T>
struct Multiply24High {  // bits 47..16 of the 48-bit product
  static T of(T a, T b) { return static_cast<T>(Low24<T>::cut(a) * Low24<T>::cut(b) >> 16); }
};
template <class T>
struct Mad24Low {
  static T of(T a, T b, T c) { return Add<T>::of(Multiply24Low<T>::of(a, b), c); }
};
template <class T>
struct Mad24High {
  static T of(T a, T b, T c) { return Add<T>::of(Multiply24High<T>::of(a, b), c); }
};

// No GPU traps on a division by zero; its result is unspecified, so using it is a bug worth a finding.
template <class T, bool remainder>
void divide(Warp &w, const Inst &i) {
  T *d = w.lanes<T>(i.d);
  const T *a = w.lanes<T>(i.a);
  const T *b = w.lanes<T>(i.b);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    if (b[l] == 0) {
      report(w, Check::arithmetic, l, "integer division by zero");
      d[l] = remainder ? a[l] : static_cast<T>(-1);
    } else if (std::is_signed_v<T> && b[l] == static_cast<T>(-1)) {
      d[l] = remainder ? T{0} : Negate<T>::of(a[l]);
    } else {
      d[l] = static_cast<T>(remainder ? a[l] % b[l] : a[l] / b[l]);
    }
  }
}

// a + b + carry, and whether that leaves T.
template <class T>
T addCarry(T a, T b, bool carryIn, bool &carryOut) {
  T sum = static_cast<T>(a + b);
  T result = static_cast<T>(sum + (carryIn ? 1 : 0));
  carryOut = sum < a || result < sum;
  return result;
}

constexpr uint32_t kCarryIn = 1, kCarryOut = 2, kSubtract = 4;

template <class T>
inline void carried(Warp &w, const Inst &i, int lane, T a, T b, T *d) {
  // The hardware subtracts by adding the complement, so after sub.cc the flag says "no borrow".
  bool in = (i.aux & kCarryIn) ? w.carry >> lane & 1 : (i.aux & kSubtract) != 0;
  bool out;
  d[lane] = addCarry<T>(a, (i.aux & kSubtract) ? static_cast<T>(~b) : b, in, out);
  if (i.aux & kCarryOut) w.carry = (w.carry & ~(1u << lane)) | static_cast<uint32_t>(out) << lane;
}

template <class T>
void addWithCarry(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  T *d = w.lanes<T>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    carried<T>(w, i, l, a[l], b[l], d);
  }
}

// T: the type of the product (its sign decides the high half).
template <class T, bool high>
void madWithCarry(Warp &w, const Inst &i) {
  using U = Unsigned<T>;
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  const U *c = w.lanes<U>(i.c);
  U *d = w.lanes<U>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    carried<U>(w, i, l, static_cast<U>(high ? MultiplyHigh<T>::of(a[l], b[l]) : MultiplyLow<T>::of(a[l], b[l])), c[l], d);
  }
}

template <template <class> class Op>
Handler binaryOf(Type type) {
  switch (type) {
    case Type::u16: return binary<Op<uint16_t>, uint16_t, uint16_t>;
    case Type::s16: return binary<Op<int16_t>, int16_t, int16_t>;
    case Type::u32: return binary<Op<uint32_t>, uint32_t, uint32_t>;
    case Type::s32: return binary<Op<int32_t>, int32_t, int32_t>;
    case Type::u64: return binary<Op<uint64_t>, uint64_t, uint64_t>;
    case Type::s64: return binary<Op<int64_t>, int64_t, int64_t>;
    default: return nullptr;
  }
}

template <template <class> class Op>
Handler ternaryOf(Type type) {
  switch (type) {
    case Type::u16: return ternary<Op<uint16_t>, uint16_t, uint16_t>;
    case Type::s16: return ternary<Op<int16_t>, int16_t, int16_t>;
    case Type::u32: return ternary<Op<uint32_t>, uint32_t, uint32_t>;
    case Type::s32: return ternary<Op<int32_t>, int32_t, int32_t>;
    case Type::u64: return ternary<Op<uint64_t>, uint64_t, uint64_t>;
    case Type::s64: return ternary<Op<int64_t>, int64_t, int64_t>;
    default: return nullptr;
  }
}

template <template <class> class Op>
Handler unarySigned(Type type) {
  switch (type) {
    case Type::s16: return unary<Op<int16_t>, int16_t, int16_t>;
    case Type::s32: return unary<Op<int32_t>, int32_t, int32_t>;
    case Type::s64: return unary<Op<int64_t>, int64_t, int64_t>;
    default: return nullptr;
  }
}

template <bool remainder>
Handler divideOf(Type type) {
  switch (type) {
    case Type::u16: return divide<uint16_t, remainder>;
    case Type::s16: return divide<int16_t, remainder>;
    case Type::u32: return divide<uint32_t, remainder>;
    case Type::s32: return divide<int32_t, remainder>;
    case Type::u64: return divide<uint64_t, remainder>;
    case Type::s64: return divide<int64_t, remainder>;
    default: return nullptr;
  }
}

void three(Encoder &e, Type type) {
  e.arity(3);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.d = e.def(0, type);
}

void decodeAddSub(Encoder &e, bool subtract) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (!decodeFloat(e, type) && !decodeHalf(e, type)) e.unknown();
    return;
  }
  three(e, type);
  if (e.mods.take("cc")) {
    e.out.aux = kCarryOut | (subtract ? kSubtract : 0);
    e.emit(ptx::sizeOf(type) == 4 ? addWithCarry<uint32_t> : ptx::sizeOf(type) == 8 ? addWithCarry<uint64_t> : nullptr, Class::integer);
  } else if (e.mods.take("sat")) {
    if (type != Type::s32) e.unknown();
    e.emit(subtract ? binary<SubtractSaturating<int32_t>, int32_t, int32_t> : binary<AddSaturating<int32_t>, int32_t, int32_t>, Class::integer);
  } else {
    e.emit(subtract ? binaryOf<Subtract>(type) : binaryOf<Add>(type), Class::integer);
  }
}

void decodeCarry(Encoder &e, bool subtract) {
  Type type = e.type();
  three(e, type);
  e.out.aux = kCarryIn | (e.mods.take("cc") ? kCarryOut : 0) | (subtract ? kSubtract : 0);
  e.emit(ptx::isFloat(type) ? nullptr : ptx::sizeOf(type) == 4 ? addWithCarry<uint32_t> : ptx::sizeOf(type) == 8 ? addWithCarry<uint64_t> : nullptr, Class::integer);
}

Type widened(Type type) {
  switch (type) {
    case Type::u16: return Type::u32;
    case Type::s16: return Type::s32;
    case Type::u32: return Type::u64;
    case Type::s32: return Type::s64;
    default: return Type::none;
  }
}

void decodeMul(Encoder &e) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (!decodeFloat(e, type) && !decodeHalf(e, type)) e.unknown();
    return;
  }
  std::string_view part = e.mods.takeOneOf({"lo", "hi", "wide"});
  if (part.empty()) e.fail("mul of integers needs .lo, .hi or .wide");
  if (part != "wide") {
    three(e, type);
    e.emit(part == "lo" ? binaryOf<MultiplyLow>(type) : binaryOf<MultiplyHigh>(type), Class::integer);
    return;
  }
  e.arity(3);
  Type wide = widened(type);
  if (wide == Type::none) e.unknown();
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.d = e.def(0, wide);
  Handler handler = nullptr;
  if (type == Type::u16) handler = binary<MultiplyWide<uint16_t, uint32_t>, uint32_t, uint16_t>;
  if (type == Type::s16) handler = binary<MultiplyWide<int16_t, int32_t>, int32_t, int16_t>;
  if (type == Type::u32) handler = binary<MultiplyWide<uint32_t, uint64_t>, uint64_t, uint32_t>;
  if (type == Type::s32) handler = binary<MultiplyWide<int32_t, int64_t>, int64_t, int32_t>;
  e.emit(handler, Class::integer);
}

Handler carryMad(Type type, bool high) {
  switch (type) {
    case Type::u32: return high ? madWithCarry<uint32_t, true> : madWithCarry<uint32_t, false>;
    case Type::s32: return high ? madWithCarry<int32_t, true> : madWithCarry<int32_t, false>;
    case Type::u64: return high ? madWithCarry<uint64_t, true> : madWithCarry<uint64_t, false>;
    case Type::s64: return high ? madWithCarry<int64_t, true> : madWithCarry<int64_t, false>;
    default: return nullptr;
  }
}

void decodeMadOf(Encoder &e, bool carryIn) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (carryIn || !decodeFloat(e, type)) e.unknown();
    return;
  }
  std::string_view part = e.mods.takeOneOf({"lo", "hi", "wide"});
  if (part.empty()) e.fail("mad of integers needs .lo, .hi or .wide");
  e.arity(4);
  Type wide = part == "wide" ? widened(type) : type;
  if (wide == Type::none) e.unknown();
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.c = e.use(3, wide);
  e.out.d = e.def(0, wide);
  bool carryOut = e.mods.take("cc");
  if (carryIn || carryOut) {
    e.out.aux = (carryIn ? kCarryIn : 0) | (carryOut ? kCarryOut : 0);
    e.emit(part == "wide" ? nullptr : carryMad(type, part == "hi"), Class::integer);
    return;
  }
  Handler handler = part == "lo" ? ternaryOf<MadLow>(type) : part == "hi" ? ternaryOf<MadHigh>(type) : nullptr;
  if (part == "wide") {
    if (type == Type::u16) handler = ternary<MadWide<uint16_t, uint32_t>, uint32_t, uint16_t, uint16_t, uint32_t>;
    if (type == Type::s16) handler = ternary<MadWide<int16_t, int32_t>, int32_t, int16_t, int16_t, int32_t>;
    if (type == Type::u32) handler = ternary<MadWide<uint32_t, uint64_t>, uint64_t, uint32_t, uint32_t, uint64_t>;
    if (type == Type::s32) handler = ternary<MadWide<int32_t, int64_t>, int64_t, int32_t, int32_t, int64_t>;
  }
  e.emit(handler, Class::integer);
}

void decodeMul24(Encoder &e, bool add) {
  Type type = e.type();
  std::string_view part = e.mods.takeOneOf({"lo", "hi"});
  if (part.empty() || ptx::isFloat(type) || ptx::sizeOf(type) != 4) e.unknown();
  e.arity(add ? 4 : 3);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  if (add) e.out.c = e.use(3, type);
  e.out.d = e.def(0, type);
  bool low = part == "lo", isSigned = type == Type::s32;
  Handler handler;
  if (add) {
    handler = isSigned ? (low ? ternary<Mad24Low<int32_t>, int32_t, int32_t> : ternary<Mad24High<int32_t>, int32_t, int32_t>)
                       : (low ? ternary<Mad24Low<uint32_t>, uint32_t, uint32_t> : ternary<Mad24High<uint32_t>, uint32_t, uint32_t>);
  } else {
    handler = isSigned ? (low ? binary<Multiply24Low<int32_t>, int32_t, int32_t> : binary<Multiply24High<int32_t>, int32_t, int32_t>)
                       : (low ? binary<Multiply24Low<uint32_t>, uint32_t, uint32_t> : binary<Multiply24High<uint32_t>, uint32_t, uint32_t>);
  }
  e.emit(handler, Class::integer);
}

void decodeDivRem(Encoder &e, bool remainder) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (remainder || !decodeFloat(e, type)) e.unknown();
    return;
  }
  three(e, type);
  e.emit(remainder ? divideOf<true>(type) : divideOf<false>(type), Class::integer);
}

void decodeMinMax(Encoder &e, bool maximum) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (!decodeFloat(e, type) && !decodeHalf(e, type)) e.unknown();
    return;
  }
  three(e, type);
  e.emit(maximum ? binaryOf<Maximum>(type) : binaryOf<Minimum>(type), Class::integer);
}

void decodeAbsNeg(Encoder &e, bool negate) {
  Type type = e.type();
  if (ptx::isFloat(type)) {
    if (!decodeFloat(e, type) && !decodeHalf(e, type)) e.unknown();
    return;
  }
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  e.emit(negate ? unarySigned<Negate>(type) : unarySigned<Absolute>(type), Class::integer);
}

void decodeSad(Encoder &e) {
  Type type = e.type();
  e.arity(4);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.c = e.use(3, type);
  e.out.d = e.def(0, type);
  e.emit(ternaryOf<SumOfDifferences>(type), Class::integer);
}

// aux: bit 0, 1: a, b signed; bit 2: the high half of b (dp2a).
template <int parts>
void dotProduct(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  constexpr int bits = parts == 4 ? 8 : 16;
  eachLane(w.active, [&](int l) {
    int64_t sum = 0;
    for (int k = 0; k < parts; ++k) {
      uint32_t x = a[l] >> (bits * k);
      uint32_t y = b[l] >> (8 * k + (i.aux & 4 ? 16 : 0));
      int64_t p = bits == 8 ? ((i.aux & 1) ? static_cast<int8_t>(x) : static_cast<uint8_t>(x)) : ((i.aux & 1) ? static_cast<int16_t>(x) : static_cast<uint16_t>(x));
      int64_t q = (i.aux & 2) ? static_cast<int8_t>(y) : static_cast<uint8_t>(y);
      sum += p * q;
    }
    d[l] = c[l] + static_cast<uint32_t>(sum);
  });
}

void decodeDot(Encoder &e, int parts) {
  Type a = e.type(), b = e.type();
  auto legal = [](Type t) { return t == Type::u32 || t == Type::s32; };
  if (!legal(a) || !legal(b)) e.unknown();
  e.arity(4);
  e.out.a = e.use(1, Type::b32);
  e.out.b = e.use(2, Type::b32);
  e.out.c = e.use(3, Type::b32);
  e.out.d = e.def(0, Type::b32);
  e.out.aux = (a == Type::s32 ? 1 : 0) | (b == Type::s32 ? 2 : 0);
  if (parts == 2) {
    std::string_view half = e.mods.takeOneOf({"lo", "hi"});
    if (half.empty()) e.unknown();
    if (half == "hi") e.out.aux |= 4;
  }
  e.emit(parts == 4 ? dotProduct<4> : dotProduct<2>, Class::integer);
}

}  // namespace

void addIntegerFamily(DecodeTable &table) {
  table["add"] = [](Encoder &e) { decodeAddSub(e, false); };
  table["sub"] = [](Encoder &e) { decodeAddSub(e, true); };
  table["addc"] = [](Encoder &e) { decodeCarry(e, false); };
  table["subc"] = [](Encoder &e) { decodeCarry(e, true); };
  table["mul"] = decodeMul;
  table["mad"] = [](Encoder &e) { decodeMadOf(e, false); };
  table["madc"] = [](Encoder &e) { decodeMadOf(e, true); };
  table["mul24"] = [](Encoder &e) { decodeMul24(e, false); };
  table["mad24"] = [](Encoder &e) { decodeMul24(e, true); };
  table["div"] = [](Encoder &e) { decodeDivRem(e, false); };
  table["rem"] = [](Encoder &e) { decodeDivRem(e, true); };
  table["min"] = [](Encoder &e) { decodeMinMax(e, false); };
  table["max"] = [](Encoder &e) { decodeMinMax(e, true); };
  table["abs"] = [](Encoder &e) { decodeAbsNeg(e, false); };
  table["neg"] = [](Encoder &e) { decodeAbsNeg(e, true); };
  table["sad"] = decodeSad;
  table["dp4a"] = [](Encoder &e) { decodeDot(e, 4); };
  table["dp2a"] = [](Encoder &e) { decodeDot(e, 2); };
}

}  // namespace limbeck
