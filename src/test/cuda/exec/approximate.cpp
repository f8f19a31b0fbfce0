// The approximate functions. Computed more exactly than a GPU does, and then, in the noise mode, moved by a seeded error inside the bound
// the PTX manual gives, so that no test passes by exactness alone. The error depends on the seed and the argument only: like the
// hardware's it is the same wherever the same argument comes up.
#include <cmath>

#include "exec/decode.h"
#include "exec/half.h"
#include "exec/lanes.h"
#include "exec/schedule.h"

namespace limbeck {

using ptx::Type;

namespace {

constexpr uint32_t kFlush = 1;

// 2^x by the series of e^(f ln 2) around the nearest integer. |f| <= 1/2, so nine terms leave less than 2^-31.
struct Exp2 {
  static constexpr double kRelative = 0x1p-22, kAbsolute = 0;
  static float of(float x) {
    double clamped = x < -160.0f ? -160.0 : x > 130.0f ? 130.0 : static_cast<double>(x);
    // Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits.
    double shifted = clamped + 0x1.8p52;
    double f = (clamped - (shifted - 0x1.8p52)) * 0x1.62e42fefa39efp-1;
    double p = 1.0 + f * (1.0 + f * (1.0 / 2 + f * (1.0 / 6 + f * (1.0 / 24 + f * (1.0 / 120 + f * (1.0 / 720 + f * (1.0 / 5040 + f / 40320)))))));
    uint64_t bits = bitsOf(p) + (bitsOf(shifted) << 52);
    float r = static_cast<float>(doubleOf(bits));
    return x != x ? floatOf(kNan32) : r;
  }
};
struct Log2 {
  static constexpr double kRelative = 0x1p-22, kAbsolute = 0x1p-22;
  static float of(float x) { return canonical(static_cast<float>(std::log2(static_cast<double>(x)))); }
};
struct Sine {
  static constexpr double kRelative = 0, kAbsolute = 0x1p-20;
  static float of(float x) { return canonical(static_cast<float>(std::sin(static_cast<double>(x)))); }
};
struct Cosine {
  static constexpr double kRelative = 0, kAbsolute = 0x1p-20;
  static float of(float x) { return canonical(static_cast<float>(std::cos(static_cast<double>(x)))); }
};
struct Tangent {
  static constexpr double kRelative = 0x1p-11, kAbsolute = 0;
  static float of(float x) { return canonical(std::tanh(x)); }
};
struct Reciprocal {
  static constexpr double kRelative = 0x1p-23, kAbsolute = 0;
  static float of(float x) { return canonical(1.0f / x); }
};
struct Root {
  static constexpr double kRelative = 0x1p-23, kAbsolute = 0;
  static float of(float x) { return canonical(std::sqrt(x)); }
};
struct ReciprocalRoot {
  static constexpr double kRelative = 0x1p-22, kAbsolute = 0;
  static float of(float x) { return canonical(static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)))); }
};

// Moves r by at most the bound; zeros, infinities and NaN stay.
float disturb(float r, uint64_t seed, uint64_t argument, double relative, double absolute) {
  if (r == 0 || !std::isfinite(r)) return r;
  double u = static_cast<double>(mix(seed ^ mix(argument)) >> 11) * 0x1p-52 - 1.0;  // in [-1, 1)
  double bound = std::fabs(r) * relative > absolute ? std::fabs(r) * relative : absolute;
  // Half a unit in the last place of the rounding below belongs to the bound.
  double room = bound - std::fabs(r) * 0x1p-24;
  float moved = static_cast<float>(r + u * (room > 0 ? room : 0));
  return std::isfinite(moved) ? moved : r;
}

template <class F>
void approximate(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a);
  float *d = w.lanes<float>(i.d);
  const uint64_t seed = w.launch->noiseSeed;
  const bool flush = i.aux & kFlush;
  if (!seed && w.active == kAllLanes && flush) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) d[l] = flushed(F::of(flushed(a[l])));
    return;
  }
  eachLane(w.active, [&](int l) {
    float x = flush ? flushed(a[l]) : a[l];
    float r = F::of(x);
    if (seed) r = disturb(r, seed, bitsOf(x), F::kRelative, F::kAbsolute);
    d[l] = flush ? flushed(r) : r;
  });
}

// div.approx and div.full: within 2 units in the last place; approx gives 0 for divisors in (2^126, 2^128).
template <bool full>
void divide(Warp &w, const Inst &i) {
  const float *a = w.lanes<float>(i.a), *b = w.lanes<float>(i.b);
  float *d = w.lanes<float>(i.d);
  const uint64_t seed = w.launch->noiseSeed;
  const bool flush = i.aux & kFlush;
  eachLane(w.active, [&](int l) {
    float x = flush ? flushed(a[l]) : a[l], y = flush ? flushed(b[l]) : b[l];
    float r = canonical(x / y);
    if (!full && std::fabs(y) > 0x1p126f && std::isfinite(y)) r = std::isinf(x) ? floatOf(kNan32) : std::copysign(0.0f, r);
    if (seed) r = disturb(r, seed, bitsOf(x) ^ static_cast<uint64_t>(bitsOf(y)) << 32, 0x1p-22, 0);
    d[l] = flush ? flushed(r) : r;
  });
}

// The f64 forms see and give only the high half of a double: a first guess for Newton's method.
template <bool root>
void approximateDouble(Warp &w, const Inst &i) {
  const double *a = w.lanes<double>(i.a);
  double *d = w.lanes<double>(i.d);
  eachLane(w.active, [&](int l) {
    double x = doubleOf(bitsOf(a[l]) & 0xffffffff00000000ull);
    if (std::fabs(x) < 0x1p-1022) x = std::copysign(0.0, x);
    double r = root ? 1.0 / std::sqrt(x) : 1.0 / x;
    uint64_t bits = bitsOf(canonical(r));
    if (r == r && !std::isinf(r)) bits = (bits + 0x80000000ull) & 0xffffffff00000000ull;
    if (std::fabs(r) < 0x1p-1022) bits = bitsOf(std::copysign(0.0, r));
    d[l] = doubleOf(bits);
  });
}

// 16-bit forms, one or two per register.
template <class F, class H>
uint16_t halfOf(uint16_t x, uint64_t seed, double relative) {
  float r = F::of(H::wide(x));
  if (seed) r = disturb(r, seed, x, relative, 0);
  return H::narrow(r);
}

// The manual's bounds for the 16-bit forms are about one unit in their last place.
template <class H>
constexpr double kHalfBound = H::format.precision == 11 ? 0x1p-10 : 0x1p-7;

template <class F, class H>
void approximateHalf(Warp &w, const Inst &i) {
  const uint16_t *a = w.lanes<uint16_t>(i.a);
  uint16_t *d = w.lanes<uint16_t>(i.d);
  eachLane(w.active, [&](int l) { d[l] = halfOf<F, H>(a[l], w.launch->noiseSeed, kHalfBound<H>); });
}

template <class F, class H>
void approximatePair(Warp &w, const Inst &i) {
  const uint32_t *a = w.lanes<uint32_t>(i.a);
  uint32_t *d = w.lanes<uint32_t>(i.d);
  eachLane(w.active, [&](int l) {
    uint32_t low = halfOf<F, H>(static_cast<uint16_t>(a[l]), w.launch->noiseSeed, kHalfBound<H>);
    uint32_t high = halfOf<F, H>(static_cast<uint16_t>(a[l] >> 16), w.launch->noiseSeed, kHalfBound<H>);
    d[l] = high << 16 | low;
  });
}

template <class F>
Handler halfHandler(Type type) {
  switch (type) {
    case Type::f16: return approximateHalf<F, F16>;
    case Type::bf16: return approximateHalf<F, Bf16>;
    case Type::f16x2: return approximatePair<F, F16>;
    case Type::bf16x2: return approximatePair<F, Bf16>;
    default: return nullptr;
  }
}

template <class F, bool halves>
void decodeUnary(Encoder &e) {
  if (!e.mods.take("approx")) e.unknown();
  Type type = e.type();
  e.out.aux = e.mods.take("ftz") ? kFlush : 0;
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  Handler handler = type == Type::f32 ? approximate<F> : nullptr;
  if constexpr (halves)
    if (type != Type::f32) handler = halfHandler<F>(type);
  e.emit(handler, Class::special);
}

void decodeReciprocalRoot(Encoder &e) {
  if (!e.mods.take("approx")) e.unknown();
  Type type = e.type();
  e.out.aux = e.mods.take("ftz") ? kFlush : 0;
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  e.emit(type == Type::f32 ? approximate<ReciprocalRoot> : type == Type::f64 ? approximateDouble<true> : nullptr, Class::special);
}

// rcp and sqrt have an approximate and an exact form.
template <class F>
void decodeEither(Encoder &e) {
  bool approximates = e.mods.take("approx");
  Type type = e.type();
  if (!approximates) {
    if (!decodeFloat(e, type)) e.unknown();
    return;
  }
  bool flush = e.mods.take("ftz");
  e.out.aux = flush ? kFlush : 0;
  e.arity(2);
  e.out.a = e.use(1, type);
  e.out.d = e.def(0, type);
  Handler handler = type == Type::f32 ? approximate<F> : nullptr;
  if (type == Type::f64 && flush && e.mods.base() == "rcp") handler = approximateDouble<false>;
  e.emit(handler, Class::special);
}

}  // namespace

void decodeApproximateDivision(Encoder &e, bool full) {
  e.out.aux = e.mods.take("ftz") ? kFlush : 0;
  e.arity(3);
  e.out.a = e.use(1, Type::f32);
  e.out.b = e.use(2, Type::f32);
  e.out.d = e.def(0, Type::f32);
  e.emit(full ? divide<true> : divide<false>, Class::special);
}

void addApproximateFamily(DecodeTable &table) {
  table["ex2"] = decodeUnary<Exp2, true>;
  table["tanh"] = decodeUnary<Tangent, true>;
  table["lg2"] = decodeUnary<Log2, false>;
  table["sin"] = decodeUnary<Sine, false>;
  table["cos"] = decodeUnary<Cosine, false>;
  table["rsqrt"] = decodeReciprocalRoot;
  table["rcp"] = decodeEither<Reciprocal>;
  table["sqrt"] = decodeEither<Root>;
}

}  // namespace limbeck
