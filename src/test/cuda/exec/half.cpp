// Arithmetic in f16 and bf16, alone and in pairs: each result is the exact one, rounded once.
#include "exec/half.h"

#include "exec/decode.h"
#include "exec/lanes.h"

namespace limbeck {

using ptx::Type;

namespace {

constexpr uint32_t kSaturate = 1, kRelu = 2, kPropagate = 4;

template <class H>
uint16_t finish(uint16_t r, uint32_t flags) {
  float x = H::wide(r);
  if (flags & kSaturate) return H::narrow(x > 0 ? (x < 1 ? x : 1.0f) : 0.0f);
  if ((flags & kRelu) && !(x > 0) && x == x) return 0;
  return x != x ? kNan16 : r;
}

template <class H>
uint16_t once(double product, double c) {
  return H::narrow(floatToOdd(sumToOdd(product, c)));
}

enum class Op { add, subtract, multiply, fma, minimum, maximum, negate, absolute };

template <class H, Op op>
uint16_t apply(uint16_t x, uint16_t y, uint16_t z, uint32_t flags) {
  if (op == Op::negate) return x ^ 0x8000;
  if (op == Op::absolute) return x & 0x7fff;
  float a = H::wide(x), b = H::wide(y);
  switch (op) {
    case Op::add: return finish<H>(once<H>(a, b), flags);
    case Op::subtract: return finish<H>(once<H>(a, -b), flags);
    // Adding -0 leaves every product as it is, its zeros included.
    case Op::multiply: return finish<H>(once<H>(static_cast<double>(a) * b, -0.0), flags);
    case Op::fma: return finish<H>(once<H>(static_cast<double>(a) * b, H::wide(z)), flags);
    default: break;
  }
  if (a != a || b != b) {
    if ((flags & kPropagate) || (a != a && b != b)) return kNan16;
    return a != a ? y : x;
  }
  bool first = op == Op::minimum ? a < b || (a == b && std::signbit(a)) : a > b || (a == b && !std::signbit(a));
  return first ? x : y;
}

template <class H, Op op>
void single(Warp &w, const Inst &i) {
  const uint16_t *a = w.lanes<uint16_t>(i.a);
  const uint16_t *b = i.b == kNoSlot ? a : w.lanes<uint16_t>(i.b);
  const uint16_t *c = i.c == kNoSlot ? a : w.lanes<uint16_t>(i.c);
  uint16_t *d = w.lanes<uint16_t>(i.d);
  eachLane(w.active, [&](int l) { d[l] = apply<H, op>(a[l], b[l], c[l], i.aux); });
}

template <class H, Op op>
void pair(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a);
  const uint32_t *b = i.b == kNoSlot ? a : w.lanes<uint32_t>(i.b);
  const uint32_t *c = i.c == kNoSlot ? a : w.lanes<uint32_t>(i.c);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  auto at = [](uint32_t word, int shift) { return static_cast<uint16_t>(word >> shift); };
  eachLane(w.active, [&](int l) {
    uint32_t low = apply<H, op>(at(a[l], 0), at(b[l], 0), at(c[l], 0), i.aux);
    uint32_t high = apply<H, op>(at(a[l], 16), at(b[l], 16), at(c[l], 16), i.aux);
    d[l] = high << 16 | low;
  });
}

template <Op op>
Handler handlerFor(Type type) {
  switch (type) {
    case Type::f16: return single<F16, op>;
    case Type::bf16: return single<Bf16, op>;
    case Type::f16x2: return pair<F16, op>;
    case Type::bf16x2: return pair<Bf16, op>;
    default: return nullptr;
  }
}

struct HalfOp {
  const char *name;
  int sources;
  Handler (*handler)(Type);
};

constexpr HalfOp kOps[] = {
    {"add", 2, handlerFor<Op::add>},     {"sub", 2, handlerFor<Op::subtract>}, {"mul", 2, handlerFor<Op::multiply>}, {"fma", 3, handlerFor<Op::fma>},
    {"min", 2, handlerFor<Op::minimum>}, {"max", 2, handlerFor<Op::maximum>},  {"neg", 1, handlerFor<Op::negate>},   {"abs", 1, handlerFor<Op::absolute>},
};

}  // namespace

bool decodeHalf(Encoder &e, Type type) {
  if (type != Type::f16 && type != Type::bf16 && type != Type::f16x2 && type != Type::bf16x2) return false;
  for (const HalfOp &op : kOps) {
    if (e.mods.base() != op.name) continue;
    e.arity(op.sources + 1);
    e.out.a = e.use(1, type);
    if (op.sources > 1) e.out.b = e.use(2, type);
    if (op.sources > 2) e.out.c = e.use(3, type);
    e.out.d = e.def(0, type);
    bool arithmetic = op.name != std::string_view("min") && op.name != std::string_view("max") && op.sources > 1;
    if (arithmetic) {
      bool rounds = e.mods.take("rn");
      if (op.sources == 3 && !rounds) e.unknown();
      if (e.mods.take("sat")) e.out.aux |= kSaturate;
      if (op.sources == 3 && e.mods.take("relu")) e.out.aux |= kRelu;
    } else if (op.sources == 2 && e.mods.take("NaN")) {
      e.out.aux |= kPropagate;
    }
    e.emit(op.handler(type), Class::floating);
    return true;
  }
  return false;
}

void addHalfFamily(DecodeTable &) {
  // add, sub, mul, fma, min, max, neg and abs arrive by decodeHalf: integers and f32 share their names.
}

}  // namespace limbeck
