// ld and st of every space, type and vector length; prefetch and the other hints do nothing here.
#include "exec/access.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

// Whether the lanes touch one run of memory, lane after lane: the common case, a plain copy.
inline bool contiguous(const Access &x, uint32_t bytes) {
  uint64_t wrong = 0;
  for (int l = 0; l < kLanes; ++l) wrong |= x.address[l] ^ (x.address[0] + static_cast<uint64_t>(l) * bytes);
  return wrong == 0;
}

template <class T, class R>
void load(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, sizeof(T), x)) return;
  R *d = w.lanes<R>(i.d);
  if (w.active == kAllLanes && contiguous(x, sizeof(T))) {
    const T *from = x.at<T>(0);
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) d[l] = static_cast<R>(from[l]);
    return;
  }
  eachLane(w.active, [&](int l) { d[l] = static_cast<R>(*x.at<T>(l)); });
}

template <class T, class R, int N>
void loadVector(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, sizeof(T) * N, x)) return;
  R *d[N];
  for (int n = 0; n < N; ++n) d[n] = w.lanes<R>(i.more[n]);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    const T *from = x.at<T>(l);
    for (int n = 0; n < N; ++n) d[n][l] = static_cast<R>(from[n]);
  }
}

// A kernel parameter read at a fixed place is the same for every lane.
template <class T, class R>
void loadParameter(Warp &w, const Inst &i) {
  T value;
  std::memcpy(&value, w.launch->parameters.data() + i.imm, sizeof(T));
  R *d = w.lanes<R>(i.d);
  eachLane(w.active, [=](int l) { d[l] = static_cast<R>(value); });
}

template <class T, class R>
void store(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, sizeof(T), x)) return;
  const R *b = w.lanes<R>(i.b);
  if (w.active == kAllLanes && contiguous(x, sizeof(T))) {
    T *to = x.at<T>(0);
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) to[l] = static_cast<T>(b[l]);
    return;
  }
  // In lane order: where lanes write one place the last one wins, as on no particular GPU.
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    *x.at<T>(l) = static_cast<T>(b[l]);
  }
}

template <class T, class R, int N>
void storeVector(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, sizeof(T) * N, x)) return;
  const R *b[N];
  for (int n = 0; n < N; ++n) b[n] = w.lanes<R>(i.more[n]);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    T *to = x.at<T>(l);
    for (int n = 0; n < N; ++n) to[n] = static_cast<T>(b[n][l]);
  }
}

void nothing(Warp &, const Inst &) {}

template <class T, class R>
Handler loadOf(int n, bool parameter) {
  if (parameter) return loadParameter<T, R>;
  return n == 1 ? load<T, R> : n == 2 ? loadVector<T, R, 2> : loadVector<T, R, 4>;
}

template <class T, class R>
Handler storeOf(int n) {
  return n == 1 ? store<T, R> : n == 2 ? storeVector<T, R, 2> : storeVector<T, R, 4>;
}

// By the size of the register; signed types extend their sign.
template <class U, class S>
Handler loadFor(int registerBytes, bool isSigned, int n, bool parameter) {
  if (registerBytes == static_cast<int>(sizeof(U)) || !isSigned) {
    if constexpr (sizeof(U) <= 2)
      if (registerBytes == 2) return isSigned ? loadOf<S, int16_t>(n, parameter) : loadOf<U, uint16_t>(n, parameter);
    if constexpr (sizeof(U) <= 4)
      if (registerBytes == 4) return loadOf<U, uint32_t>(n, parameter);
    return registerBytes == 8 ? loadOf<U, uint64_t>(n, parameter) : nullptr;
  }
  if constexpr (sizeof(U) == 1)
    if (registerBytes == 2) return loadOf<S, int16_t>(n, parameter);
  if constexpr (sizeof(U) <= 2)
    if (registerBytes == 4) return loadOf<S, int32_t>(n, parameter);
  if constexpr (sizeof(U) <= 4)
    if (registerBytes == 8) return loadOf<S, int64_t>(n, parameter);
  return nullptr;
}

Handler loadHandler(Type type, int registerBytes, int n, bool parameter) {
  bool isSigned = ptx::isSigned(type) && !ptx::isFloat(type);
  switch (ptx::sizeOf(type)) {
    case 1: return loadFor<uint8_t, int8_t>(registerBytes, isSigned, n, parameter);
    case 2: return loadFor<uint16_t, int16_t>(registerBytes, isSigned, n, parameter);
    case 4: return loadFor<uint32_t, int32_t>(registerBytes, isSigned, n, parameter);
    case 8: return registerBytes == 8 ? loadOf<uint64_t, uint64_t>(n, parameter) : nullptr;
    default: return nullptr;
  }
}

Handler storeHandler(Type type, int registerBytes, int n) {
  switch (ptx::sizeOf(type) * 16 + registerBytes) {
    case 0x12: return storeOf<uint8_t, uint16_t>(n);
    case 0x14: return storeOf<uint8_t, uint32_t>(n);
    case 0x18: return storeOf<uint8_t, uint64_t>(n);
    case 0x22: return storeOf<uint16_t, uint16_t>(n);
    case 0x24: return storeOf<uint16_t, uint32_t>(n);
    case 0x28: return storeOf<uint16_t, uint64_t>(n);
    case 0x44: return storeOf<uint32_t, uint32_t>(n);
    case 0x48: return storeOf<uint32_t, uint64_t>(n);
    case 0x88: return storeOf<uint64_t, uint64_t>(n);
    default: return nullptr;
  }
}

uint32_t takeAccessModifiers(Encoder &e) {
  uint32_t flags = 0;
  if (!e.mods.takeOneOf({"volatile", "relaxed", "acquire", "release", "mmio"}).empty()) flags |= kVolatile;
  e.mods.take("weak");
  e.mods.takeOneOf({"cta", "cluster", "gpu", "sys"});
  e.mods.takeOneOf({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  e.mods.takeOneOf({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  e.mods.takeOneOf({"L2::64B", "L2::128B", "L2::256B"});
  return flags;
}

Class classOf(Space space) {
  switch (space) {
    case Space::shared: return Class::shared;
    case Space::local: return Class::local;
    case Space::param: return Class::parameter;
    default: return Class::global;
  }
}

// The elements of a vector operand, or the one register.
std::vector<const Operand *> elements(Encoder &e, const Operand &operand, int n) {
  std::vector<const Operand *> result;
  if (n == 1 && operand.kind != Operand::Kind::vector) {
    result.push_back(&operand);
    return result;
  }
  if (operand.kind != Operand::Kind::vector || static_cast<int>(operand.items.size()) != n) e.fail("expected a vector of " + std::to_string(n));
  for (const Operand &item : operand.items) result.push_back(&item);
  return result;
}

int takeVector(Encoder &e) {
  if (e.mods.take("v2")) return 2;
  return e.mods.take("v4") ? 4 : 1;
}

void decodeLoad(Encoder &e) {
  e.arity(2);
  Type type = e.type();
  uint32_t flags = kRead | takeAccessModifiers(e);
  if (e.mods.take("nc")) flags |= kNonCoherent;
  Space space = takeSpace(e);
  int n = takeVector(e);
  if (n * ptx::sizeOf(type) > 16 || type == Type::pred) e.unknown();
  if ((flags & kNonCoherent) && space != Space::global) e.unknown();
  decodeAddress(e, e.operand(1), space, flags);
  std::vector<Slot> to;
  int bytes = 0;
  for (const Operand *element : elements(e, e.operand(0), n)) {
    to.push_back(e.def(*element, type, true));
    if (element->kind == Operand::Kind::reg) bytes = e.registerBytes(*element);
    if (element->kind == Operand::Kind::reg && e.registerBytes(*element) != bytes) e.fail("vector of registers of different widths");
  }
  if (bytes == 0) bytes = std::max(2, ptx::sizeOf(type));
  e.out.d = to[0];
  if (n > 1) e.out.more = e.list(to);
  bool parameter = e.out.aux == static_cast<uint32_t>(Space::param) && e.out.a == kNoSlot && n == 1;
  if (parameter && (e.out.imm < 0 || e.out.imm + ptx::sizeOf(type) > e.builder.kernel().parameterBytes)) e.fail("parameter read out of bounds");
  if (parameter && e.out.imm % ptx::sizeOf(type)) e.fail("misaligned parameter read");
  e.emit(loadHandler(type, bytes, n, parameter), classOf(static_cast<Space>(e.out.aux)));
}

void decodeStore(Encoder &e) {
  e.arity(2);
  Type type = e.type();
  uint32_t flags = kWrite | takeAccessModifiers(e);
  Space space = takeSpace(e);
  int n = takeVector(e);
  if (n * ptx::sizeOf(type) > 16 || type == Type::pred || space == Space::constant) e.unknown();
  decodeAddress(e, e.operand(0), space, flags);
  if (e.out.aux == static_cast<uint32_t>(Space::param)) e.fail("a kernel's parameters cannot be written");
  std::vector<const Operand *> values = elements(e, e.operand(1), n);
  int bytes = 0;
  for (const Operand *value : values) {
    if (value->kind != Operand::Kind::reg) continue;
    if (bytes && e.registerBytes(*value) != bytes) e.fail("vector of registers of different widths");
    bytes = e.registerBytes(*value);
  }
  if (bytes == 0) bytes = std::max(2, ptx::sizeOf(type));
  std::vector<Slot> from;
  for (const Operand *value : values) {
    // Registers may be wider than what is stored; a constant among them takes their width.
    if (value->kind == Operand::Kind::reg) {
      from.push_back(e.use(*value, ptx::sizeOf(type), type, true));
    } else if (value->kind == Operand::Kind::integer || (value->kind == Operand::Kind::real && value->realSize == ptx::sizeOf(type))) {
      from.push_back(e.constant(value->bits, bytes));
    } else {
      e.fail("a register or a constant of the right type is needed");
    }
  }
  e.out.b = from[0];
  if (n > 1) e.out.more = e.list(from);
  e.emit(storeHandler(type, bytes, n), classOf(static_cast<Space>(e.out.aux)));
}

void decodePrefetch(Encoder &e) {
  e.arity(1);
  takeSpace(e);
  if (e.mods.takeOneOf({"L1", "L2", "L2::evict_last", "L2::evict_normal"}).empty()) e.unknown();
  e.emit(nothing, Class::global);
}

}  // namespace

void addMemoryFamily(DecodeTable &table) {
  table["ld"] = decodeLoad;
  table["ldu"] = decodeLoad;
  table["st"] = decodeStore;
  table["prefetch"] = decodePrefetch;
  table["prefetchu"] = decodePrefetch;
}

}  // namespace limbeck
