// Compiled with -frounding-math: the compiler must neither fold nor move arithmetic across a change of the rounding mode.
#include "exec/rounding.h"

#include <immintrin.h>

#include <cfenv>

#include "exec/half.h"

namespace limbeck {

namespace {

// Restores the mode even where a handler leaves early: the JVM above relies on rounding to nearest.
class Mode {
 public:
#ifdef __FMA__
  // All arithmetic here is SSE, so its own control register is enough; fesetround would also change the x87 unit, at ten times the cost.
  explicit Mode(Round mode) : before_(static_cast<int>(_mm_getcsr())) {
    _MM_SET_ROUNDING_MODE(mode == Round::zero ? _MM_ROUND_TOWARD_ZERO : mode == Round::down ? _MM_ROUND_DOWN : mode == Round::up ? _MM_ROUND_UP : _MM_ROUND_NEAREST);
  }
  ~Mode() { _mm_setcsr(static_cast<unsigned>(before_)); }
#else
  explicit Mode(Round mode) : before_(std::fegetround()) {
    std::fesetround(mode == Round::zero ? FE_TOWARDZERO : mode == Round::down ? FE_DOWNWARD : mode == Round::up ? FE_UPWARD : FE_TONEAREST);
  }
  ~Mode() { std::fesetround(before_); }
#endif
  Mode(const Mode &) = delete;
  Mode &operator=(const Mode &) = delete;

 private:
  int before_;
};

template <class T>
T apply(RoundedOp op, T a, T b, T c) {
  switch (op) {
    case RoundedOp::add: return a + b;
    case RoundedOp::subtract: return a - b;
    case RoundedOp::multiply: return a * b;
    case RoundedOp::divide: return a / b;
    case RoundedOp::fma: return std::fma(a, b, c);
    case RoundedOp::root: return std::sqrt(a);
    default: return T{1} / a;
  }
}

template <class T>
void run(Warp &w, const Inst &i) {
  RoundedOp op = static_cast<RoundedOp>(i.imm >> 8);
  Mode mode(static_cast<Round>(i.imm & 255));
  const T *a = w.lanes<T>(i.a);
  const T *b = i.b == kNoSlot ? a : w.lanes<T>(i.b);
  const T *c = i.c == kNoSlot ? a : w.lanes<T>(i.c);
  T *d = w.lanes<T>(i.d);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    T x = a[l], y = b[l], z = c[l];
    if constexpr (sizeof(T) == 4) {
      if (i.aux & 1) {
        x = flushed(x);
        y = flushed(y);
        z = flushed(z);
      }
    }
    T r = canonical(apply<T>(op, x, y, z));
    if constexpr (sizeof(T) == 4) {
      if (i.aux & 1) r = flushed(r);
      if (i.aux & 2) r = r > 0 ? (r < 1 ? r : T{1}) : T{0};
    }
    d[l] = r;
  }
}

}  // namespace

void roundedFloat(Warp &w, const Inst &i) { run<float>(w, i); }

void roundedDouble(Warp &w, const Inst &i) { run<double>(w, i); }

}  // namespace limbeck
