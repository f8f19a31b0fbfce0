// y = f(a, b), one function per entry of Binary.Op, and y = c ≠ 0 ? a : b (Where.java), for n
// elements; y may be an operand that is not broadcast, so nothing is __restrict__.
//
// name_f32: operands as long as y. One thread for four elements at a time, grid-stride; 12 bytes per
// element.
//
// name_broadcast_f32: each operand lies under y's four axes with a stride for each, 0 where it is
// repeated; the last one is 1 or 0 (Broadcast.java). With quads set, four neighbours of the last
// axis are one 16-byte access, or one number four times; the caller sets it if each group of four
// lies in one row and starts at a multiple of four elements, or if there is but one row. Else one
// thread for one element, neighbours in neighbouring lanes. An index is taken apart by three
// multiplications: 16 instructions of PTX per element by fours and some 40 one by one, where 12 bytes
// leave an H100 time for about 100. Repeated operands come from the caches, so that memory moves 8 to 12 bytes per element.

/** Sizes of y's last three axes, each with multiplier and shift; the first follows. */
#define AXES                                                                                      \
  unsigned s3, unsigned m3, int h3, unsigned s2, unsigned m2, int h2, unsigned s1, unsigned m1,   \
      int h1
#define STRIDES(x) int x##0, int x##1, int x##2, int x##3

/** Where an element stands along the four axes. */
struct Place {
  unsigned i0, i1, i2, i3;
};

struct Axes {
  unsigned s3, m3;
  int h3;
  unsigned s2, m2;
  int h2;
  unsigned s1, m1;
  int h1;

  __device__ __forceinline__ Place place(unsigned i) const {
    unsigned outer = quotient(i, m3, h3);
    unsigned upper = quotient(outer, m2, h2);
    unsigned top = quotient(upper, m1, h1);
    return {top, upper - top * s1, outer - upper * s2, i - outer * s3};
  }
};

/** A broadcast operand. */
struct Operand {
  const float* x;
  int t0, t1, t2, t3;

  __device__ __forceinline__ const float* at(Place p) const {
    return x + (p.i0 * t0 + p.i1 * t1 + p.i2 * t2 + p.i3 * t3);
  }

  __device__ __forceinline__ float one(Place p) const { return *at(p); }

  __device__ __forceinline__ float4 four(Place p) const {
    if (t3 == 0) {
      float v = one(p);
      return make_float4(v, v, v, v);
    }
    return *reinterpret_cast<const float4*>(at(p));
  }
};

/** four(place, i) writes elements 4i to 4i + 3, one(place, i) element i. */
template <class Four, class One>
__device__ __forceinline__ void places(int n, int quads, Axes axes, Four four, One one) {
  unsigned whole = quads ? n / 4 : 0;
  for (unsigned i = grid_first(); i < whole; i += grid_stride()) {
    four(axes.place(4 * i), i);
  }
  for (unsigned i = 4 * whole + grid_first(); i < n; i += grid_stride()) {
    one(axes.place(i), i);
  }
}

template <class F>
__device__ __forceinline__ void broadcast(
    int n, int quads, Axes axes, Operand a, Operand b, float* y, F f) {
  places(
      n, quads, axes,
      [=](Place p, unsigned i) {
        float4 u = a.four(p);
        float4 v = b.four(p);
        reinterpret_cast<float4*>(y)[i] =
            make_float4(f(u.x, v.x), f(u.y, v.y), f(u.z, v.z), f(u.w, v.w));
      },
      [=](Place p, unsigned i) { y[i] = f(a.one(p), b.one(p)); });
}

#define BINARY(name, value)                                                                       \
  extern "C" __global__ void name##_f32(int n, const float* a, const float* b, float* y) {        \
    map(n, a, b, y, [=](float a, float b) -> float { return value; });                            \
  }                                                                                               \
  extern "C" __global__ void name##_broadcast_f32(                                                \
      int n, int quads, AXES, STRIDES(a), STRIDES(b), const float* a, const float* b, float* y) { \
    broadcast(n, quads, {s3, m3, h3, s2, m2, h2, s1, m1, h1}, {a, a0, a1, a2, a3},                \
              {b, b0, b1, b2, b3}, y, [=](float a, float b) -> float { return value; });          \
  }

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a * b)
BINARY(div, a / b)
BINARY(maximum, mathf::max_nan(a, b))
BINARY(minimum, mathf::min_nan(a, b))
BINARY(greater_equal, a >= b ? 1.0f : 0.0f)

__device__ __forceinline__ float choose(float c, float a, float b) { return c != 0.0f ? a : b; }

extern "C" __global__ void where_f32(
    int n, const float* c, const float* a, const float* b, float* y) {
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float4 w = reinterpret_cast<const float4*>(c)[i];
    float4 u = reinterpret_cast<const float4*>(a)[i];
    float4 v = reinterpret_cast<const float4*>(b)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(
        choose(w.x, u.x, v.x), choose(w.y, u.y, v.y), choose(w.z, u.z, v.z), choose(w.w, u.w, v.w));
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = choose(c[i], a[i], b[i]);
  }
}

extern "C" __global__ void where_broadcast_f32(
    int n, int quads, AXES, STRIDES(c), STRIDES(a), STRIDES(b), const float* c, const float* a,
    const float* b, float* y) {
  Operand condition = {c, c0, c1, c2, c3};
  Operand first = {a, a0, a1, a2, a3};
  Operand second = {b, b0, b1, b2, b3};
  places(
      n, quads, {s3, m3, h3, s2, m2, h2, s1, m1, h1},
      [=](Place p, unsigned i) {
        float4 w = condition.four(p);
        float4 u = first.four(p);
        float4 v = second.four(p);
        reinterpret_cast<float4*>(y)[i] = make_float4(
            choose(w.x, u.x, v.x), choose(w.y, u.y, v.y), choose(w.z, u.z, v.z),
            choose(w.w, u.w, v.w));
      },
      [=](Place p, unsigned i) { y[i] = choose(condition.one(p), first.one(p), second.one(p)); });
}
