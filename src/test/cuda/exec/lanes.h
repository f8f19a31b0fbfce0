// Loops over the lanes of a warp that g++ turns into vector code when every lane is active.
#ifndef LIMBECK_EXEC_LANES_H
#define LIMBECK_EXEC_LANES_H

#include "exec/warp.h"

namespace limbeck {

template <class F>
inline __attribute__((always_inline)) void eachLane(uint32_t mask, F f) {
  if (__builtin_expect(mask == kAllLanes, 1)) {
    // Registers are distinct or identical, never shifted against each other, so a lane depends on no other lane.
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) f(lane);
  } else {
    for (uint32_t rest = mask; rest; rest &= rest - 1) f(__builtin_ctz(rest));
  }
}

template <class Op, class D, class A>
void unary(Warp &w, const Inst &i) {
  D *d = w.lanes<D>(i.d);
  const A *a = w.lanes<A>(i.a);
  eachLane(w.active, [=](int l) { d[l] = Op::of(a[l]); });
}

template <class Op, class D, class A, class B = A>
void binary(Warp &w, const Inst &i) {
  D *d = w.lanes<D>(i.d);
  const A *a = w.lanes<A>(i.a);
  const B *b = w.lanes<B>(i.b);
  eachLane(w.active, [=](int l) { d[l] = Op::of(a[l], b[l]); });
}

template <class Op, class D, class A, class B = A, class C = A>
void ternary(Warp &w, const Inst &i) {
  D *d = w.lanes<D>(i.d);
  const A *a = w.lanes<A>(i.a);
  const B *b = w.lanes<B>(i.b);
  const C *c = w.lanes<C>(i.c);
  eachLane(w.active, [=](int l) { d[l] = Op::of(a[l], b[l], c[l]); });
}

// One bit per lane.
template <class F>
inline __attribute__((always_inline)) uint32_t laneMask(F f) {
  uint32_t bits = 0;
#pragma GCC ivdep
  for (int lane = 0; lane < kLanes; ++lane) bits |= static_cast<uint32_t>(static_cast<bool>(f(lane))) << lane;
  return bits;
}

inline void setPredicate(Warp &w, Slot slot, uint32_t bits) {
  uint32_t &p = w.predicate(slot);
  p = (p & ~w.active) | (bits & w.active);
}

}  // namespace limbeck

#endif
