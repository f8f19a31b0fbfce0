// f32 and f64 arithmetic as IEEE 754 has it. The plain forms (to nearest, no flush, no saturation) are vector code; the others look at
// their flags per lane. Modes other than to nearest are in rounding.cpp, which is compiled for a changing rounding mode.
#include <cmath>

#include "exec/decode.h"
#include "exec/half.h"
#include "exec/lanes.h"
#include "exec/rounding.h"

namespace limbeck {

using ptx::Type;

namespace {

constexpr uint32_t kFlush = 1, kSaturate = 2;

template <class T>
struct Add {
  static T of(T a, T b) { return canonical(a + b); }
};
template <class T>
struct Subtract {
  static T of(T a, T b) { return canonical(a - b); }
};
template <class T>
struct Multiply {
  static T of(T a, T b) { return canonical(a * b); }
};
template <class T>
struct Divide {
  static T of(T a, T b) { return canonical(a / b); }
};
template <class T>
struct MultiplyAdd {
  static T of(T a, T b, T c) { return canonical(std::fma(a, b, c)); }
};
// A NaN loses against a number, and -0 is less than +0.
template <class T>
struct Minimum {
  static T of(T a, T b) {
    T smaller = a < b || (a == b && std::signbit(a)) ? a : b;
    smaller = a != a ? b : smaller;
    return canonical(b != b ? a : smaller);
  }
};
template <class T>
struct Maximum {
  static T of(T a, T b) {
    T larger = a > b || (a == b && !std::signbit(a)) ? a : b;
    larger = a != a ? b : larger;
    return canonical(b != b ? a : larger);
  }
};
template <class T>
struct MinimumNan {
  static T of(T a, T b) { return a != a || b != b ? canonical(a + b) : Minimum<T>::of(a, b); }
};
template <class T>
struct MaximumNan {
  static T of(T a, T b) { return a != a || b != b ? canonical(a + b) : Maximum<T>::of(a, b); }
};
template <class T>
struct Negate {
  static T of(T a) { return -a; }
};
template <class T>
struct Absolute {
  static T of(T a) { return std::fabs(a); }
};
template <class T>
struct Root {
  static T of(T a) { return canonical(std::sqrt(a)); }
};
template <class T>
struct Reciprocal {
  static T of(T a) { return canonical(T{1} / a); }
};
// copysign d, a, b: the sign of a, the magnitude of b.
template <class T>
struct CopySign {
  static T of(T a, T b) { return std::copysign(b, a); }
};

inline float adjust(float x, uint32_t flags) {
  if (flags & kFlush) x = flushed(x);
  if (flags & kSaturate) x = x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;  // a NaN becomes +0
  return x;
}

inline float enter(float x, uint32_t flags) { return flags & kFlush ? flushed(x) : x; }

template <class Op>
void flaggedUnary(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a);
  float *d = w.lanes<float>(i.d);
  eachLane(w.active, [&](int l) { d[l] = adjust(Op::of(enter(a[l], i.aux)), i.aux); });
}

template <class Op>
void flaggedBinary(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a), *b = w.lanes<float>(i.b);
  float *d = w.lanes<float>(i.d);
  eachLane(w.active, [&](int l) { d[l] = adjust(Op::of(enter(a[l], i.aux), enter(b[l], i.aux)), i.aux); });
}

template <class Op>
void flaggedTernary(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a), *b = w.lanes<float>(i.b), *c = w.lanes<float>(i.c);
  float *d = w.lanes<float>(i.d);
  eachLane(w.active, [&](int l) { d[l] = adjust(Op::of(enter(a[l], i.aux), enter(b[l], i.aux), enter(c[l], i.aux)), i.aux); });
}

struct Forms {
  Handler f32, f64, flagged;
};

template <template <class> class Op>
constexpr Forms unaryForms() {
  return {unary<Op<float>, float, float>, unary<Op<double>, double, double>, flaggedUnary<Op<float>>};
}

template <template <class> class Op>
constexpr Forms binaryForms() {
  return {binary<Op<float>, float, float>, binary<Op<double>, double, double>, flaggedBinary<Op<float>>};
}

template <template <class> class Op>
constexpr Forms ternaryForms() {
  return {ternary<Op<float>, float, float>, ternary<Op<double>, double, double>, flaggedTernary<Op<float>>};
}

struct FloatOp {
  const char *name;
  int sources;
  Forms forms;
  RoundedOp rounded;  // none: no rounding modifier
  bool needsMode;     // .rn and so on must be given
  bool flush, saturate;
};

const FloatOp *find(std::string_view name) {
  static const FloatOp ops[] = {
      {"add", 2, binaryForms<Add>(), RoundedOp::add, false, true, true},
      {"sub", 2, binaryForms<Subtract>(), RoundedOp::subtract, false, true, true},
      {"mul", 2, binaryForms<Multiply>(), RoundedOp::multiply, false, true, true},
      {"div", 2, binaryForms<Divide>(), RoundedOp::divide, true, true, false},
      {"fma", 3, ternaryForms<MultiplyAdd>(), RoundedOp::fma, true, true, true},
      {"mad", 3, ternaryForms<MultiplyAdd>(), RoundedOp::fma, true, true, true},
      {"sqrt", 1, unaryForms<Root>(), RoundedOp::root, true, true, false},
      {"rcp", 1, unaryForms<Reciprocal>(), RoundedOp::reciprocal, true, true, false},
      {"min", 2, binaryForms<Minimum>(), RoundedOp::none, false, true, false},
      {"max", 2, binaryForms<Maximum>(), RoundedOp::none, false, true, false},
      {"neg", 1, unaryForms<Negate>(), RoundedOp::none, false, true, false},
      {"abs", 1, unaryForms<Absolute>(), RoundedOp::none, false, true, false},
      {"copysign", 2, binaryForms<CopySign>(), RoundedOp::none, false, false, false},
  };
  for (const FloatOp &op : ops)
    if (name == op.name) return &op;
  return nullptr;
}

Round takeRounding(Encoder &e, bool &given) {
  std::string_view mode = e.mods.takeOneOf({"rn", "rz", "rm", "rp"});
  given = !mode.empty();
  return mode == "rz" ? Round::zero : mode == "rm" ? Round::down : mode == "rp" ? Round::up : Round::nearest;
}

void decodeTest(Encoder &e);

void decodeFloatOp(Encoder &e) {
  Type type = e.type();
  if (!decodeFloat(e, type) && !decodeHalf(e, type)) e.unknown();
}

// testp: one bit per lane.
template <class T, int kind>
void testProperty(Warp &w, const Inst &i) {
  const T *a = w.lanes<T>(i.a);
  setPredicate(w, i.d, laneMask([&](int l) {
                 int c = std::fpclassify(a[l]);
                 switch (kind) {
                   case 0: return c != FP_INFINITE && c != FP_NAN;
                   case 1: return c == FP_INFINITE;
                   case 2: return c != FP_NAN;
                   case 3: return c == FP_NAN;
                   case 4: return c == FP_NORMAL;
                   default: return c == FP_SUBNORMAL;
                 }
               }));
}

template <int kind>
Handler testOf(Type type) {
  return type == Type::f32 ? testProperty<float, kind> : type == Type::f64 ? testProperty<double, kind> : nullptr;
}

void decodeTest(Encoder &e) {
  std::string_view kind = e.mods.takeOneOf({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  Type type = e.type();
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.defPredicate(e.operand(0));
  Handler handler = nullptr;
  if (kind == "finite") handler = testOf<0>(type);
  if (kind == "infinite") handler = testOf<1>(type);
  if (kind == "number") handler = testOf<2>(type);
  if (kind == "notanumber") handler = testOf<3>(type);
  if (kind == "normal") handler = testOf<4>(type);
  if (kind == "subnormal") handler = testOf<5>(type);
  e.emit(handler, Class::floating);
}

}  // namespace

bool decodeFloat(Encoder &e, Type type) {
  if (type != Type::f32 && type != Type::f64) return false;
  if (type == Type::f32 && e.mods.base() == "div") {
    if (e.mods.take("approx")) return decodeApproximateDivision(e, false), true;
    if (e.mods.take("full")) return decodeApproximateDivision(e, true), true;
  }
  const FloatOp *op = find(e.mods.base());
  if (!op) e.unknown();
  e.arity(op->sources + 1);
  e.out.a = e.use(1, type);
  if (op->sources > 1) e.out.b = e.use(2, type);
  if (op->sources > 2) e.out.c = e.use(3, type);
  e.out.d = e.def(0, type);
  Class cls = type == Type::f32 ? Class::floating : Class::fp64;
  bool given = false;
  Round mode = Round::nearest;
  if (op->rounded != RoundedOp::none) mode = takeRounding(e, given);
  if (op->needsMode && !given) e.unknown();
  uint32_t flags = 0;
  if (op->flush && type == Type::f32 && e.mods.take("ftz")) flags |= kFlush;
  if (op->saturate && type == Type::f32 && e.mods.take("sat")) flags |= kSaturate;
  Forms forms = op->forms;
  if (e.mods.take("NaN")) {
    if (type != Type::f32 || op->rounded != RoundedOp::none || op->sources != 2) e.unknown();
    forms = e.mods.base() == "min" ? binaryForms<MinimumNan>() : binaryForms<MaximumNan>();
  }
  e.out.aux = flags;
  if (mode != Round::nearest) {
    e.out.imm = static_cast<int64_t>(op->rounded) << 8 | static_cast<int64_t>(mode);
    e.emit(type == Type::f32 ? roundedFloat : roundedDouble, cls);
  } else {
    e.emit(type == Type::f64 ? forms.f64 : flags ? forms.flagged : forms.f32, cls);
  }
  return true;
}

void addFloatFamily(DecodeTable &table) {
  for (const char *name : {"fma", "copysign"}) table[name] = decodeFloatOp;
  table["testp"] = decodeTest;
}

}  // namespace limbeck
