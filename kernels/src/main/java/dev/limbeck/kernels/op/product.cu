// C = (C) + (bias) + Σ_s P_s (+ residual), in this order and that of s: the second pass of a product
// whose sum was cut into parts, P_s [size] each, or, without parts, what a library left out. C has n
// columns, like the bias, and counts if accumulate.
//
// One thread per four elements where n and size are multiples of four, else per element, grid-stride;
// 4·parts + 4 bytes per element and once more for each operand. The parts were written just before and
// lie in the L2 cache as far as they fit.

#include "product.cuh"

using namespace product;

template <class E>
__device__ __forceinline__ float4 four(const E* from, unsigned i) {
  Run<E, 4> v = reinterpret_cast<const Run<E, 4>*>(from)[i];
  return make_float4(as_float(v.e[0]), as_float(v.e[1]), as_float(v.e[2]), as_float(v.e[3]));
}

__device__ __forceinline__ float4 plus(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

template <class E>
__device__ __forceinline__ void add(
    int size, int n, int parts, bool accumulate, const float* partial, const float* bias,
    const E* residual, E* c) {
  if (n % 4 == 0) {
    for (unsigned i = grid_first(); i < size / 4; i += grid_stride()) {
      float4 v = accumulate ? four(c, i) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      v = bias ? plus(v, four(bias, i % (n / 4))) : v;
      const float* from = partial;
      for (int s = 0; s < parts; s++, from += size) {
        v = plus(v, four(from, i));
      }
      v = residual ? plus(v, four(residual, i)) : v;
      Run<E, 4> all{{from_float(E(), v.x), from_float(E(), v.y), from_float(E(), v.z),
                     from_float(E(), v.w)}};
      reinterpret_cast<Run<E, 4>*>(c)[i] = all;
    }
    return;
  }
  for (unsigned i = grid_first(); i < size; i += grid_stride()) {
    float v = accumulate ? as_float(c[i]) : 0.0f;
    v = bias ? v + bias[i % n] : v;
    const float* from = partial + i;
    for (int s = 0; s < parts; s++, from += size) {
      v += *from;
    }
    c[i] = from_float(E(), residual ? v + as_float(residual[i]) : v);
  }
}

#define PARTS(symbol, E)                                                                           \
  extern "C" __global__ void symbol(                                                               \
      int size, int n, int parts, int accumulate, const float* __restrict__ partial,               \
      const float* __restrict__ bias, const E* __restrict__ residual, E* c) {                      \
    add(size, n, parts, accumulate != 0, partial, bias, residual, c);                              \
  }

PARTS(product_parts_f32, float)
PARTS(product_parts_bf16, Bf16)
