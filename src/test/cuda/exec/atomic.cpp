// atom and red. Lanes take turns in lane order. A kernel whose result can depend on the order of its blocks is marked as ordered.
#include "exec/access.h"
#include "exec/half.h"

namespace limbeck {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

enum class Op : uint8_t { add, exchange, compare, minimum, maximum, bitAnd, bitOr, bitXor, increment, decrement };

template <class T, Op op>
T combine(T old, T b, T c) {
  switch (op) {
    case Op::add: return static_cast<T>(old + b);
    case Op::exchange: return b;
    case Op::compare: return old == b ? c : old;
    case Op::minimum: return old < b ? old : b;
    case Op::maximum: return old > b ? old : b;
    default: break;
  }
  if constexpr (std::is_integral_v<T>) {
    switch (op) {
      case Op::bitAnd: return old & b;
      case Op::bitOr: return old | b;
      case Op::bitXor: return old ^ b;
      case Op::increment: return old >= b ? T{0} : static_cast<T>(old + 1);
      default: return old == 0 || old > b ? b : static_cast<T>(old - 1);
    }
  }
  return old;
}

template <class T>
T canonicalOf(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return canonical(x);
  } else {
    return x;
  }
}

template <class T>
using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

// Other workers may be at the same word: the exchange is a real one.
template <class T, class F>
T exchange(T *where, F next) {
  auto *word = reinterpret_cast<Bits<T> *>(where);
  Bits<T> seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  for (;;) {
    T old;
    std::memcpy(&old, &seen, sizeof(T));
    T fresh = next(old);
    Bits<T> wanted;
    std::memcpy(&wanted, &fresh, sizeof(T));
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return old;
  }
}

template <class T, Op op>
void atomic(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, sizeof(T), x)) return;
  const T *b = w.lanes<T>(i.b);
  const T *c = i.c == kNoSlot ? b : w.lanes<T>(i.c);
  T *d = w.lanes<T>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    d[l] = exchange(x.at<T>(l), [&](T old) { return canonicalOf(combine<T, op>(old, b[l], c[l])); });
  }
}

template <class H>
uint16_t addHalf(uint16_t a, uint16_t b) {
  return H::narrow(floatToOdd(sumToOdd(H::wide(a), H::wide(b))));
}

template <class H>
void addHalves(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, 2, x)) return;
  const uint16_t *b = w.lanes<uint16_t>(i.b);
  uint16_t *d = w.lanes<uint16_t>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    d[l] = exchange(x.at<uint16_t>(l), [&](uint16_t old) { return addHalf<H>(old, b[l]); });
  }
}

template <class H>
void addPairs(Warp &w, const Inst &i) {
  Access x;
  if (!locate(w, i, 4, x)) return;
  const uint32_t *b = w.lanes<uint32_t>(i.b);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    d[l] = exchange(x.at<uint32_t>(l), [&](uint32_t old) {
      uint32_t low = addHalf<H>(static_cast<uint16_t>(old), static_cast<uint16_t>(b[l]));
      return low | static_cast<uint32_t>(addHalf<H>(static_cast<uint16_t>(old >> 16), static_cast<uint16_t>(b[l] >> 16))) << 16;
    });
  }
}

Handler addHandler(Type type) {
  switch (type) {
    case Type::u32:
    case Type::s32: return atomic<uint32_t, Op::add>;
    case Type::u64:
    case Type::s64: return atomic<uint64_t, Op::add>;
    case Type::f32: return atomic<float, Op::add>;
    case Type::f64: return atomic<double, Op::add>;
    case Type::f16: return addHalves<F16>;
    case Type::bf16: return addHalves<Bf16>;
    case Type::f16x2: return addPairs<F16>;
    case Type::bf16x2: return addPairs<Bf16>;
    default: return nullptr;
  }
}

template <Op op>
Handler minMaxHandler(Type type) {
  switch (type) {
    case Type::u32: return atomic<uint32_t, op>;
    case Type::s32: return atomic<int32_t, op>;
    case Type::u64: return atomic<uint64_t, op>;
    case Type::s64: return atomic<int64_t, op>;
    default: return nullptr;
  }
}

template <Op op>
Handler bitsHandler(Type type) {
  return type == Type::b32 ? atomic<uint32_t, op> : type == Type::b64 ? atomic<uint64_t, op> : nullptr;
}

Handler handlerFor(Op op, Type type) {
  switch (op) {
    case Op::add: return addHandler(type);
    case Op::minimum: return minMaxHandler<Op::minimum>(type);
    case Op::maximum: return minMaxHandler<Op::maximum>(type);
    case Op::exchange: return bitsHandler<Op::exchange>(type);
    case Op::bitAnd: return bitsHandler<Op::bitAnd>(type);
    case Op::bitOr: return bitsHandler<Op::bitOr>(type);
    case Op::bitXor: return bitsHandler<Op::bitXor>(type);
    case Op::compare: return type == Type::b16 ? atomic<uint16_t, Op::compare> : bitsHandler<Op::compare>(type);
    case Op::increment: return type == Type::u32 ? atomic<uint32_t, Op::increment> : nullptr;
    default: return type == Type::u32 ? atomic<uint32_t, Op::decrement> : nullptr;
  }
}

Op takeOp(Encoder &e) {
  static const std::pair<std::string_view, Op> names[] = {{"add", Op::add}, {"exch", Op::exchange}, {"cas", Op::compare}, {"min", Op::minimum}, {"max", Op::maximum},
                                                          {"and", Op::bitAnd}, {"or", Op::bitOr}, {"xor", Op::bitXor}, {"inc", Op::increment}, {"dec", Op::decrement}};
  for (const auto &name : names)
    if (e.mods.take(name.first)) return name.second;
  e.unknown();
}

void decode(Encoder &e, bool returns) {
  e.mods.takeOneOf({"relaxed", "acquire", "release", "acq_rel"});
  e.mods.takeOneOf({"cta", "cluster", "gpu", "sys"});
  Space space = takeSpace(e);
  if (space != Space::generic && space != Space::global && space != Space::shared) e.unknown();
  Op op = takeOp(e);
  bool noFlush = e.mods.take("noftz");
  Type type = e.type();
  bool half = ptx::isFloat(type) && type != Type::f32 && type != Type::f64;
  if (half != noFlush) e.unknown();
  size_t first = returns ? 1 : 0;
  e.arity(first + (op == Op::compare ? 3 : 2));
  decodeAddress(e, e.operand(first), space, kRead | kWrite | kAtomic);
  e.out.b = e.use(first + 1, type);
  if (op == Op::compare) e.out.c = e.use(first + 2, type);
  e.out.d = returns ? e.def(0, type) : e.builder.trashSlot();
  // Sums of integers, minima and bit sets come out the same in any order, as long as nobody looks at the values in between.
  bool looks = returns && e.operand(0).kind == Operand::Kind::reg && e.builder.isRead(e.function, e.operand(0).reg);
  bool commutes = !ptx::isFloat(type) && op != Op::exchange && op != Op::compare && op != Op::increment && op != Op::decrement;
  if (space != Space::shared && (looks || !commutes)) e.builder.kernel().ordered = true;
  e.emit(handlerFor(op, type), Class::atomic);
}

}  // namespace

void addAtomicFamily(DecodeTable &table) {
  table["atom"] = [](Encoder &e) { decode(e, true); };
  table["red"] = [](Encoder &e) { decode(e, false); };
}

}  // namespace limbeck
