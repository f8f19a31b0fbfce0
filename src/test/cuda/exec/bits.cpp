// Bit instructions: logic, shifts, fields, counting, permutation.
#include "exec/decode.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Type;

namespace {

template <class T>
struct And {
  static T of(T a, T b) { return a & b; }
};
template <class T>
struct Or {
  static T of(T a, T b) { return a | b; }
};
template <class T>
struct Xor {
  static T of(T a, T b) { return a ^ b; }
};
template <class T>
struct Not {
  static T of(T a) { return static_cast<T>(~a); }
};
template <class T>
struct CNot {
  static T of(T a) { return a == 0; }
};
// Shift amounts clamp at the width.
template <class T>
struct ShiftLeft {
  static T of(T a, uint32_t b) { return b >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << b); }
};
template <class T>
struct ShiftRight {
  static T of(T a, uint32_t b) { return b >= 8 * sizeof(T) ? static_cast<T>(a < 0 ? -1 : 0) : static_cast<T>(a >> b); }
};

enum Logic { kAnd, kOr, kXor };

template <int op>
void logicPredicate(Warp &w, const Inst &i) {
  uint32_t a = w.predicate(i.a), b = w.predicate(i.b);
  setPredicate(w, i.d, op == kAnd ? a & b : op == kOr ? a | b : a ^ b);
}

void notPredicate(Warp &w, const Inst &i) { setPredicate(w, i.d, ~w.predicate(i.a)); }

template <template <class> class Op, int op>
void decodeLogic(Encoder &e) {
  Type type = e.type();
  e.arity(3);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.d = e.def(0, type);
  Handler handler = nullptr;
  if (type == Type::pred) handler = logicPredicate<op>;
  if (type == Type::b16) handler = binary<Op<uint16_t>, uint16_t, uint16_t>;
  if (type == Type::b32) handler = binary<Op<uint32_t>, uint32_t, uint32_t>;
  if (type == Type::b64) handler = binary<Op<uint64_t>, uint64_t, uint64_t>;
  e.emit(handler, type == Type::pred ? Class::predicate : Class::integer);
}

template <template <class> class Op>
void decodeNot(Encoder &e) {
  Type type = e.type();
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  Handler handler = nullptr;
  if (type == Type::pred && e.mods.base() == "not") handler = notPredicate;
  if (type == Type::b16) handler = unary<Op<uint16_t>, uint16_t, uint16_t>;
  if (type == Type::b32) handler = unary<Op<uint32_t>, uint32_t, uint32_t>;
  if (type == Type::b64) handler = unary<Op<uint64_t>, uint64_t, uint64_t>;
  e.emit(handler, type == Type::pred ? Class::predicate : Class::integer);
}

void decodeShift(Encoder &e) {
  bool left = e.mods.base() == "shl";
  if (e.mods.take("wrap") || e.mods.take("clamp")) e.unknown();
  Type type = e.type();
  e.arity(3);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, Type::u32);
  e.out.d = e.def(0, type);
  Handler handler = nullptr;
  switch (type) {
    case Type::b16: handler = left ? binary<ShiftLeft<uint16_t>, uint16_t, uint16_t, uint32_t> : binary<ShiftRight<uint16_t>, uint16_t, uint16_t, uint32_t>; break;
    case Type::b32: handler = left ? binary<ShiftLeft<uint32_t>, uint32_t, uint32_t, uint32_t> : binary<ShiftRight<uint32_t>, uint32_t, uint32_t, uint32_t>; break;
    case Type::b64: handler = left ? binary<ShiftLeft<uint64_t>, uint64_t, uint64_t, uint32_t> : binary<ShiftRight<uint64_t>, uint64_t, uint64_t, uint32_t>; break;
    case Type::u16: handler = left ? nullptr : binary<ShiftRight<uint16_t>, uint16_t, uint16_t, uint32_t>; break;
    case Type::u32: handler = left ? nullptr : binary<ShiftRight<uint32_t>, uint32_t, uint32_t, uint32_t>; break;
    case Type::u64: handler = left ? nullptr : binary<ShiftRight<uint64_t>, uint64_t, uint64_t, uint32_t>; break;
    case Type::s16: handler = left ? nullptr : binary<ShiftRight<int16_t>, int16_t, int16_t, uint32_t>; break;
    case Type::s32: handler = left ? nullptr : binary<ShiftRight<int32_t>, int32_t, int32_t, uint32_t>; break;
    case Type::s64: handler = left ? nullptr : binary<ShiftRight<int64_t>, int64_t, int64_t, uint32_t>; break;
    default: break;
  }
  e.emit(handler, Class::integer);
}

// aux: 1: wrap, 0: clamp.
template <bool left>
void funnelShift(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  eachLane(w.active, [&](int l) {
    uint32_t n = i.aux ? c[l] & 31 : (c[l] > 32 ? 32 : c[l]);
    uint64_t both = static_cast<uint64_t>(b[l]) << 32 | a[l];
    d[l] = static_cast<uint32_t>(left ? both << n >> 32 : both >> n);
  });
}

void decodeFunnel(Encoder &e) {
  std::string_view side = e.mods.takeOneOf({"l", "r"});
  std::string_view mode = e.mods.takeOneOf({"wrap", "clamp"});
  if (side.empty() || mode.empty() || e.type() != Type::b32) e.unknown();
  e.arity(4);
  e.out.a = e.use(1, Type::b32);
  e.out.b = e.use(2, Type::b32);
  e.out.c = e.use(3, Type::u32);
  e.out.d = e.def(0, Type::b32);
  e.out.aux = mode == "wrap";
  e.emit(side == "l" ? funnelShift<true> : funnelShift<false>, Class::integer);
}

template <class T>
struct Popcount {
  static uint32_t of(T a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
};
template <class T>
struct LeadingZeros {
  static uint32_t of(T a) { return a == 0 ? 8 * sizeof(T) : static_cast<uint32_t>(__builtin_clzll(a)) - (64 - 8 * sizeof(T)); }
};
template <class T>
struct Reverse {
  static T of(T a) {
    T r = 0;
    for (size_t k = 0; k < 8 * sizeof(T); ++k) r = static_cast<T>(r << 1 | (a >> k & 1));
    return r;
  }
};
// The most significant bit that differs from the sign; all ones if there is none.
template <class T>
struct FindBit {
  static uint32_t of(T a) {
    using U = std::make_unsigned_t<T>;
    U u = static_cast<U>(a < 0 ? ~a : a);
    return u == 0 ? ~0u : 63u - static_cast<uint32_t>(__builtin_clzll(u));
  }
};
template <class T>
struct FindShift {
  static uint32_t of(T a) {
    uint32_t bit = FindBit<T>::of(a);
    return bit == ~0u ? bit : 8 * sizeof(T) - 1 - bit;
  }
};

template <template <class> class Op>
void decodeCount(Encoder &e) {
  Type type = e.type();
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, Type::u32);
  e.emit(type == Type::b32 ? unary<Op<uint32_t>, uint32_t, uint32_t> : type == Type::b64 ? unary<Op<uint64_t>, uint32_t, uint64_t> : nullptr, Class::integer);
}

void decodeReverse(Encoder &e) {
  Type type = e.type();
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  e.emit(type == Type::b32 ? unary<Reverse<uint32_t>, uint32_t, uint32_t> : type == Type::b64 ? unary<Reverse<uint64_t>, uint64_t, uint64_t> : nullptr, Class::integer);
}

template <template <class> class Op>
Handler findOf(Type type) {
  switch (type) {
    case Type::u32: return unary<Op<uint32_t>, uint32_t, uint32_t>;
    case Type::s32: return unary<Op<int32_t>, uint32_t, int32_t>;
    case Type::u64: return unary<Op<uint64_t>, uint32_t, uint64_t>;
    case Type::s64: return unary<Op<int64_t>, uint32_t, int64_t>;
    default: return nullptr;
  }
}

void decodeFind(Encoder &e) {
  bool shift = e.mods.take("shiftamt");
  Type type = e.type();
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, Type::u32);
  e.emit(shift ? findOf<FindShift>(type) : findOf<FindBit>(type), Class::integer);
}

// bfe: position and length take their low 8 bits; bits beyond the value repeat the sign.
template <class T>
struct Extract {
  static T of(T a, uint32_t b, uint32_t c) {
    constexpr uint32_t width = 8 * sizeof(T);
    uint32_t position = b & 255, length = c & 255;
    if (length == 0) return 0;
    using U = std::make_unsigned_t<T>;
    uint32_t last = position + length - 1 > width - 1 ? width - 1 : position + length - 1;
    bool sign = std::is_signed_v<T> && (static_cast<U>(a) >> last & 1);
    U field = position >= width ? U{0} : static_cast<U>(static_cast<U>(a) >> position);
    U keep = length >= width ? ~U{0} : (U{1} << length) - 1;
    field &= keep;
    uint32_t present = position >= width ? 0 : width - position;
    uint32_t filled = length < present ? length : present;
    if (sign && filled < width) field |= static_cast<U>(~U{0} << filled);
    return static_cast<T>(field);
  }
};

void decodeExtract(Encoder &e) {
  Type type = e.type();
  e.arity(4);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, Type::u32);
  e.out.c = e.use(3, Type::u32);
  e.out.d = e.def(0, type);
  Handler handler = nullptr;
  if (type == Type::u32) handler = ternary<Extract<uint32_t>, uint32_t, uint32_t, uint32_t, uint32_t>;
  if (type == Type::s32) handler = ternary<Extract<int32_t>, int32_t, int32_t, uint32_t, uint32_t>;
  if (type == Type::u64) handler = ternary<Extract<uint64_t>, uint64_t, uint64_t, uint32_t, uint32_t>;
  if (type == Type::s64) handler = ternary<Extract<int64_t>, int64_t, int64_t, uint32_t, uint32_t>;
  e.emit(handler, Class::integer);
}

// bfi: the low c2 bits of a into b at c; more: position, length.
template <class T>
void insertBits(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a), *b = w.lanes<T>(i.b);
  const uint32_t *at = w.lanes<uint32_t>(i.more[0]), *count = w.lanes<uint32_t>(i.more[1]);
  T *d = w.lanes<T>(i.d);
  constexpr uint32_t width = 8 * sizeof(T);
  eachLane(w.active, [&](int l) {
    uint32_t position = at[l] & 255, length = count[l] & 255;
    T keep = length >= width ? ~T{0} : (T{1} << length) - 1;
    T mask = position >= width ? T{0} : static_cast<T>(keep << position);
    T value = position >= width ? T{0} : static_cast<T>(a[l] << position);
    d[l] = (b[l] & ~mask) | (value & mask);
  });
}

void decodeInsert(Encoder &e) {
  Type type = e.type();
  e.arity(5);
  e.out.a = e.use(1, type);
  e.out.b = e.use(2, type);
  e.out.more = e.list({e.use(3, Type::u32), e.use(4, Type::u32)});
  e.out.d = e.def(0, type);
  e.emit(type == Type::b32 ? insertBits<uint32_t> : type == Type::b64 ? insertBits<uint64_t> : nullptr, Class::integer);
}

void fieldMask(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  eachLane(w.active, [&](int l) {
    uint32_t position = i.aux ? a[l] & 31 : a[l], length = i.aux ? b[l] & 31 : b[l];
    uint64_t ones = length >= 32 ? 0xffffffffull : (1ull << length) - 1;
    d[l] = position >= 32 ? 0 : static_cast<uint32_t>(ones << position);
  });
}

void decodeFieldMask(Encoder &e) {
  std::string_view mode = e.mods.takeOneOf({"clamp", "wrap"});
  if (mode.empty() || e.type() != Type::b32) e.unknown();
  e.arity(3);
  e.out.a = e.use(1, Type::b32);
  e.out.b = e.use(2, Type::b32);
  e.out.d = e.def(0, Type::b32);
  e.out.aux = mode == "wrap";
  e.emit(fieldMask, Class::integer);
}

enum Permute { kGeneric, kForward4, kBackward4, kReplicate8, kEdgeClampLeft, kEdgeClampRight, kReplicate16 };

uint32_t permuteControl(uint32_t mode, uint32_t c) {
  static const uint16_t tables[7][4] = {{0, 0, 0, 0},
                                        {0x3210, 0x4321, 0x5432, 0x6543},
                                        {0x5670, 0x6701, 0x7012, 0x0123},
                                        {0x0000, 0x1111, 0x2222, 0x3333},
                                        {0x3210, 0x3211, 0x3222, 0x3333},
                                        {0x0000, 0x1110, 0x2210, 0x3210},
                                        {0x1010, 0x3232, 0x1010, 0x3232}};
  return mode == kGeneric ? c : tables[mode][c & 3];
}

void permute(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  eachLane(w.active, [&](int l) {
    uint64_t both = static_cast<uint64_t>(b[l]) << 32 | a[l];
    uint32_t control = permuteControl(i.aux, c[l]), result = 0;
    for (int k = 0; k < 4; ++k) {
      uint32_t selector = control >> (4 * k) & 15;
      uint32_t byte = both >> (8 * (selector & 7)) & 255;
      if (selector & 8) byte = byte & 128 ? 255 : 0;
      result |= byte << (8 * k);
    }
    d[l] = result;
  });
}

void decodePermute(Encoder &e) {
  if (e.type() != Type::b32) e.unknown();
  e.arity(4);
  e.out.a = e.use(1, Type::b32);
  e.out.b = e.use(2, Type::b32);
  e.out.c = e.use(3, Type::b32);
  e.out.d = e.def(0, Type::b32);
  static const std::pair<std::string_view, uint32_t> modes[] = {{"f4e", kForward4}, {"b4e", kBackward4}, {"rc8", kReplicate8},
                                                                {"ecl", kEdgeClampLeft}, {"ecr", kEdgeClampRight}, {"rc16", kReplicate16}};
  for (const auto &mode : modes)
    if (e.mods.take(mode.first)) e.out.aux = mode.second;
  e.emit(permute, Class::integer);
}

void lookUpTable(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a), *b = w.lanes<uint32_t>(i.b), *c = w.lanes<uint32_t>(i.c);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  const uint32_t table = i.aux;
  eachLane(w.active, [&](int l) {
    uint32_t r = 0;
    for (uint32_t k = 0; k < 8; ++k)
      if (table >> k & 1) r |= (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? c[l] : ~c[l]);
    d[l] = r;
  });
}

void decodeLookUp(Encoder &e) {
  if (e.type() != Type::b32) e.unknown();
  e.arity(5);
  e.out.a = e.use(1, Type::b32);
  e.out.b = e.use(2, Type::b32);
  e.out.c = e.use(3, Type::b32);
  e.out.d = e.def(0, Type::b32);
  e.out.aux = static_cast<uint32_t>(e.immediate(4)) & 255;
  e.emit(lookUpTable, Class::integer);
}

}  // namespace

void addBitFamily(DecodeTable &table) {
  table["and"] = decodeLogic<And, kAnd>;
  table["or"] = decodeLogic<Or, kOr>;
  table["xor"] = decodeLogic<Xor, kXor>;
  table["not"] = decodeNot<Not>;
  table["cnot"] = decodeNot<CNot>;
  table["shl"] = decodeShift;
  table["shr"] = decodeShift;
  table["shf"] = decodeFunnel;
  table["popc"] = decodeCount<Popcount>;
  table["clz"] = decodeCount<LeadingZeros>;
  table["brev"] = decodeReverse;
  table["bfind"] = decodeFind;
  table["bfe"] = decodeExtract;
  table["bfi"] = decodeInsert;
  table["bmsk"] = decodeFieldMask;
  table["prmt"] = decodePermute;
  table["lop3"] = decodeLookUp;
}

}  // namespace limbeck
