// cvt between every pair of types, in every rounding mode. The pairs that fill kernels have vector code; the others go through one
// exact wide value per lane and are rounded once.
#include <cmath>

#include "exec/decode.h"
#include "exec/half.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Operand;
using ptx::Type;

namespace {

// Inst::imm of the general conversion.
struct Spec {
  uint8_t to, from;   // Type
  Round mode;
  bool toIntegral;    // .rni and so on: to an integer, or to an integral value of the same type
  bool saturate, flush, relu;
};
static_assert(sizeof(Spec) <= sizeof(int64_t));

uint64_t rawOf(Warp &w, Slot slot, int bytes, int lane) {
  switch (bytes) {
    case 2: return w.lanes<uint16_t>(slot)[lane];
    case 4: return w.lanes<uint32_t>(slot)[lane];
    default: return w.lanes<uint64_t>(slot)[lane];
  }
}

void writeRaw(Warp &w, Slot slot, int bytes, int lane, uint64_t value) {
  switch (bytes) {
    case 2: w.lanes<uint16_t>(slot)[lane] = static_cast<uint16_t>(value); break;
    case 4: w.lanes<uint32_t>(slot)[lane] = static_cast<uint32_t>(value); break;
    default: w.lanes<uint64_t>(slot)[lane] = value;
  }
}

__int128 integerOf(uint64_t raw, Type type) {
  switch (type) {
    case Type::u8: return static_cast<uint8_t>(raw);
    case Type::s8: return static_cast<int8_t>(raw);
    case Type::u16: return static_cast<uint16_t>(raw);
    case Type::s16: return static_cast<int16_t>(raw);
    case Type::u32: return static_cast<uint32_t>(raw);
    case Type::s32: return static_cast<int32_t>(raw);
    case Type::s64: return static_cast<int64_t>(raw);
    default: return raw;
  }
}

long double realOf(uint64_t raw, Type type, bool flush) {
  switch (type) {
    case Type::f16: return halfToFloat(static_cast<uint16_t>(raw));
    case Type::bf16: return bfloatToFloat(static_cast<uint16_t>(raw));
    case Type::f32: return flush ? flushed(floatOf(static_cast<uint32_t>(raw))) : floatOf(static_cast<uint32_t>(raw));
    default: return doubleOf(raw);
  }
}

__int128 lowest(Type type) {
  return ptx::isSigned(type) ? -(static_cast<__int128>(1) << (8 * ptx::sizeOf(type) - 1)) : 0;
}

__int128 highest(Type type) {
  int bits = 8 * ptx::sizeOf(type) - (ptx::isSigned(type) ? 1 : 0);
  return (static_cast<__int128>(1) << bits) - 1;
}

// The value is already in the format or out of its range.
uint64_t encode(long double value, Type type, bool flush) {
  switch (type) {
    case Type::f16: return floatToHalf(static_cast<float>(value));
    case Type::bf16: return floatToBfloat(static_cast<float>(value));
    case Type::f32: {
      float narrow = canonical(static_cast<float>(value));
      return bitsOf(flush ? flushed(narrow) : narrow);
    }
    case Type::tf32: return value != value ? kNan32 : bitsOf(static_cast<float>(value));
    default: return bitsOf(canonical(static_cast<double>(value)));
  }
}

const Format &formatOf(Type type) {
  switch (type) {
    case Type::f16: return kFormatF16;
    case Type::bf16: return kFormatBf16;
    case Type::tf32: return kFormatTf32;
    case Type::f32: return kFormatF32;
    default: return kFormatF64;
  }
}

uint64_t toReal(long double value, const Spec &spec) {
  Type to = static_cast<Type>(spec.to);
  if (spec.toIntegral) {
    value = value != value || std::isinf(value) ? value : __builtin_copysignl(roundIntegral(value, spec.mode), value);
  } else {
    value = roundTo(value, formatOf(to), spec.mode);
  }
  if (spec.saturate) value = value > 0 ? (value < 1 ? value : 1.0L) : 0.0L;
  if (spec.relu && value < 0) value = 0;
  return encode(value, to, spec.flush);
}

uint64_t toInteger(long double value, const Spec &spec) {
  Type to = static_cast<Type>(spec.to);
  if (value != value) return ptx::sizeOf(to) == 8 ? 1ull << 63 : 0;
  long double whole = std::isinf(value) ? value : roundIntegral(value, spec.mode);
  if (whole <= static_cast<long double>(lowest(to))) return static_cast<uint64_t>(lowest(to));
  if (whole >= static_cast<long double>(highest(to))) return static_cast<uint64_t>(highest(to));
  return static_cast<uint64_t>(static_cast<__int128>(whole));
}

uint64_t convertOne(uint64_t raw, const Spec &spec) {
  Type to = static_cast<Type>(spec.to), from = static_cast<Type>(spec.from);
  if (ptx::isFloat(from)) {
    long double value = realOf(raw, from, spec.flush);
    return ptx::isFloat(to) ? toReal(value, spec) : toInteger(value, spec);
  }
  __int128 value = integerOf(raw, from);
  if (ptx::isFloat(to)) return toReal(static_cast<long double>(value), spec);
  if (spec.saturate) value = value < lowest(to) ? lowest(to) : value > highest(to) ? highest(to) : value;
  return static_cast<uint64_t>(integerOf(static_cast<uint64_t>(value), to));
}

// count: bytes of d << 4 | bytes of a.
void convert(Warp &w, const Inst &i) {
  Spec spec;
  std::memcpy(&spec, &i.imm, sizeof spec);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    writeRaw(w, i.d, i.count >> 4, l, convertOne(rawOf(w, i.a, i.count & 15, l), spec));
  }
}

// d = {a: high, b: low}
void convertPair(Warp &w, const Inst &i) {
  Spec spec;
  std::memcpy(&spec, &i.imm, sizeof spec);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    uint32_t high = static_cast<uint32_t>(convertOne(w.lanes<uint32_t>(i.a)[l], spec)) & 0xffff;
    uint32_t low = static_cast<uint32_t>(convertOne(w.lanes<uint32_t>(i.b)[l], spec)) & 0xffff;
    d[l] = high << 16 | low;
  }
}

void convertPairBf16(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a), *b = w.lanes<float>(i.b);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  eachLane(w.active, [=](int l) { d[l] = static_cast<uint32_t>(floatToBfloat(a[l])) << 16 | floatToBfloat(b[l]); });
}

template <class D, class A>
struct Cast {
  static D of(A a) { return static_cast<D>(a); }
};
struct ToBf16 {
  static uint16_t of(float a) { return floatToBfloat(a); }
};
struct FromBf16 {
  static float of(uint16_t a) { return canonical(bfloatToFloat(a)); }
};
struct ToF16 {
  static uint16_t of(float a) { return floatToHalf(a); }
};
struct FromF16 {
  static float of(uint16_t a) { return canonical(halfToFloat(a)); }
};
// Rounds to the 10 bits of a tf32 by integer arithmetic: half away from zero.
struct ToTf32 {
  static uint32_t of(uint32_t a) { return (a & 0x7fffffff) > 0x7f800000 ? kNan32 : (a & 0x7f800000) == 0x7f800000 ? a : (a + 0x1000) & ~0x1fffu; }
};
struct Widen {
  static double of(float a) { return canonical(static_cast<double>(a)); }
};
struct Narrow {
  static float of(double a) { return canonical(static_cast<float>(a)); }
};
template <class D>
struct Truncate {
  static D of(float a) {
    // x86 gives one "indefinite" value out of range; a GPU saturates.
    constexpr float kEnd = 2147483648.0f;
    return a != a ? 0 : a >= kEnd ? INT32_MAX : a < -kEnd ? INT32_MIN : static_cast<D>(a);
  }
};
struct Saturate {
  static float of(float a) { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }
};
struct RoundEven {
  static float of(float a) { return canonical(std::nearbyint(a)); }
};
struct Floor {
  static float of(float a) { return canonical(std::floor(a)); }
};

Handler fastHandler(const Spec &s, int toBytes, int fromBytes) {
  Type to = static_cast<Type>(s.to), from = static_cast<Type>(s.from);
  if (s.saturate && !s.flush && !s.toIntegral && to == Type::f32 && from == Type::f32) return unary<Saturate, float, float>;
  if (s.saturate || s.flush || s.relu) return nullptr;
  if (toBytes != std::max(2, ptx::sizeOf(to)) || fromBytes != std::max(2, ptx::sizeOf(from))) return nullptr;
  auto is = [&](Type t, Type f) { return to == t && from == f; };
  if (is(Type::s64, Type::s32)) return unary<Cast<int64_t, int32_t>, int64_t, int32_t>;
  if (is(Type::u64, Type::u32) || is(Type::s64, Type::u32)) return unary<Cast<uint64_t, uint32_t>, uint64_t, uint32_t>;
  if (!ptx::isFloat(to) && !ptx::isFloat(from) && ptx::sizeOf(to) == 4 && ptx::sizeOf(from) == 8) return unary<Cast<uint32_t, uint64_t>, uint32_t, uint64_t>;
  if (is(Type::u16, Type::u32)) return unary<Cast<uint16_t, uint32_t>, uint16_t, uint32_t>;
  if (is(Type::u32, Type::u16)) return unary<Cast<uint32_t, uint16_t>, uint32_t, uint16_t>;
  if (is(Type::f64, Type::f32)) return unary<Widen, double, float>;
  if (is(Type::f32, Type::bf16)) return unary<FromBf16, float, uint16_t>;
  if (is(Type::f32, Type::f16)) return unary<FromF16, float, uint16_t>;
  if (s.mode == Round::nearest && !s.toIntegral) {
    if (is(Type::f32, Type::s32)) return unary<Cast<float, int32_t>, float, int32_t>;
    if (is(Type::f32, Type::u32)) return unary<Cast<float, uint32_t>, float, uint32_t>;
    if (is(Type::f32, Type::f64)) return unary<Narrow, float, double>;
    if (is(Type::bf16, Type::f32)) return unary<ToBf16, uint16_t, float>;
    if (is(Type::f16, Type::f32)) return unary<ToF16, uint16_t, float>;
  }
  if (is(Type::tf32, Type::f32) && s.mode == Round::away) return unary<ToTf32, uint32_t, uint32_t>;
  if (is(Type::s32, Type::f32) && s.toIntegral && s.mode == Round::zero) return unary<Truncate<int32_t>, int32_t, float>;
  if (is(Type::f32, Type::f32) && s.toIntegral && s.mode == Round::nearest) return unary<RoundEven, float, float>;
  if (is(Type::f32, Type::f32) && s.toIntegral && s.mode == Round::down) return unary<Floor, float, float>;
  return nullptr;
}

void takeRounding(Encoder &e, Spec &spec, bool &given) {
  given = true;
  std::string_view mode = e.mods.takeOneOf({"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"});
  spec.toIntegral = mode.size() == 3 && mode[2] == 'i';
  if (mode.empty()) {
    given = false;
    spec.mode = Round::nearest;
  } else {
    spec.mode = mode == "rna" ? Round::away : mode[1] == 'z' ? Round::zero : mode[1] == 'm' ? Round::down : mode[1] == 'p' ? Round::up : Round::nearest;
  }
}

void decodeConvertPair(Encoder &e, Spec spec, Type to) {
  if (static_cast<Type>(spec.from) != Type::f32 || spec.toIntegral || (spec.mode != Round::nearest && spec.mode != Round::zero)) e.unknown();
  e.arity(3);
  e.out.a = e.use(1, Type::f32);
  e.out.b = e.use(2, Type::f32);
  e.out.d = e.def(0, Type::b32);
  spec.to = static_cast<uint8_t>(to == Type::f16x2 ? Type::f16 : Type::bf16);
  std::memcpy(&e.out.imm, &spec, sizeof spec);
  bool fast = to == Type::bf16x2 && spec.mode == Round::nearest && !spec.relu && !spec.saturate && !spec.flush;
  e.emit(fast ? convertPairBf16 : convertPair, Class::conversion);
}

// Rules of the PTX manual on which modifiers a pair of types takes.
void checkModifiers(Encoder &e, const Spec &spec, bool given) {
  Type to = static_cast<Type>(spec.to), from = static_cast<Type>(spec.from);
  bool toReal = ptx::isFloat(to), fromReal = ptx::isFloat(from);
  bool narrowing = toReal && fromReal && (ptx::sizeOf(to) < ptx::sizeOf(from) || (to != from && ptx::sizeOf(to) == ptx::sizeOf(from)));
  bool needs = (toReal && !fromReal) || (!toReal && fromReal) || narrowing;
  if (needs && !given) e.fail("a rounding modifier is needed");
  if (given && !toReal && !spec.toIntegral) e.fail("an integer result needs .rni, .rzi, .rmi or .rpi");
  if (given && !toReal && !fromReal) e.unknown();
  if (given && toReal && spec.toIntegral && to != from) e.unknown();
  if (given && toReal && fromReal && !spec.toIntegral && !narrowing) e.unknown();
  if (to == Type::tf32 && from != Type::f32) e.unknown();
  if (from == Type::tf32 || ptx::sizeOf(from) == 0 || to == Type::pred || from == Type::pred) e.unknown();
  if (spec.relu && to != Type::f16 && to != Type::bf16 && to != Type::tf32) e.unknown();
}

void decodeConvert(Encoder &e) {
  Spec spec{};
  bool given;
  takeRounding(e, spec, given);
  spec.saturate = e.mods.take("sat");
  spec.flush = e.mods.take("ftz");
  spec.relu = e.mods.take("relu");
  Type to = e.type(), from = e.type();
  spec.to = static_cast<uint8_t>(to);
  spec.from = static_cast<uint8_t>(from);
  if (to == Type::f16x2 || to == Type::bf16x2) {
    decodeConvertPair(e, spec, to);
    return;
  }
  bool bits = to == Type::b8 || to == Type::b16 || to == Type::b64 || to == Type::b32 || from == Type::b8 || from == Type::b16 || from == Type::b32 || from == Type::b64;
  if (bits) e.unknown();
  checkModifiers(e, spec, given);
  e.arity(2);
  Type toRegister = to == Type::tf32 ? Type::b32 : to;
  e.out.a = e.use(e.operand(1), ptx::sizeOf(from) == 1 ? 2 : ptx::sizeOf(from), from, true);
  e.out.d = e.def(e.operand(0), toRegister, true);
  int toBytes = e.operand(0).kind == Operand::Kind::reg ? e.registerBytes(e.operand(0)) : std::max(2, ptx::sizeOf(to));
  int fromBytes = e.operand(1).kind == Operand::Kind::reg ? e.registerBytes(e.operand(1)) : std::max(2, ptx::sizeOf(from));
  std::memcpy(&e.out.imm, &spec, sizeof spec);
  e.out.count = static_cast<uint8_t>(toBytes << 4 | fromBytes);
  Handler fast = fastHandler(spec, toBytes, fromBytes);
  e.emit(fast ? fast : convert, Class::conversion);
}

}  // namespace

void addConvertFamily(DecodeTable &table) { table["cvt"] = decodeConvert; }

}  // namespace limbeck
