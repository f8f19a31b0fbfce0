// Elementwise operations and sums of columns on BF16: computed in F32, rounded to nearest when stored.
//
//   axpy_bf16     y ← a·x + y (Axpy.java)
//   add_bf16      y = a + b, all of one shape (Binary.java)
//   affine_bf16   y = p·x + q (Unary.java)
//   column_sums_bf16  the F32 sums over runs of rows of a matrix, which reduce.cu then adds up
//
// Elementwise: one thread for eight elements at a time, 16 bytes, grid-stride; 2 bytes per element and
// operand. Columns: a thread has four of them and every lanes-th row of its run; 2 bytes per element.

#include "bf16.cuh"

/** f of the lower halves of two words, and of the upper ones. */
template <class F>
__device__ __forceinline__ unsigned both(unsigned a, unsigned b, F f) {
  return bf16_pair(f(bf16_low(a), bf16_low(b)), f(bf16_high(a), bf16_high(b)));
}

/** y[i] = f(a[i], b[i]); y may be a or b. */
template <class F>
__device__ __forceinline__ void map(int n, const Bf16* a, const Bf16* b, Bf16* y, F f) {
  for (unsigned i = grid_first(); i < n / 8; i += grid_stride()) {
    uint4 u = reinterpret_cast<const uint4*>(a)[i];
    uint4 v = reinterpret_cast<const uint4*>(b)[i];
    reinterpret_cast<uint4*>(y)[i] = make_uint4(
        both(u.x, v.x, f), both(u.y, v.y, f), both(u.z, v.z, f), both(u.w, v.w, f));
  }
  unsigned i = (n & ~7) + grid_first();
  if (i < n) {
    y[i].bits = float_bf16(f(as_float(a[i]), as_float(b[i])));
  }
}

extern "C" __global__ void axpy_bf16(int n, float a, const Bf16* __restrict__ x, Bf16* y) {
  map(n, x, y, y, [=](float u, float v) { return fmaf(a, u, v); });
}

extern "C" __global__ void add_bf16(int n, const Bf16* a, const Bf16* b, Bf16* y) {
  map(n, a, b, y, [](float u, float v) { return u + v; });
}

extern "C" __global__ void affine_bf16(int n, float p, float q, const Bf16* x, Bf16* y) {
  map(n, x, x, y, [=](float u, float) { return fmaf(p, u, q); });
}

extern "C" __global__ void __launch_bounds__(256) column_sums_bf16(
    int count, int inner, int run, int units, int tiles, const Bf16* __restrict__ x,
    float* __restrict__ sums) {
  extern __shared__ float shared[];
  unsigned lanes = blockDim.x / units;
  unsigned lane = threadIdx.x / units;
  unsigned column = (blockIdx.x % tiles * units + threadIdx.x % units) * 4;
  unsigned split = blockIdx.x / tiles;
  unsigned to = min((split + 1) * run, static_cast<unsigned>(count));
  bool live = column < inner;
  float v[4] = {};
  if (live && lane < lanes) {
#pragma unroll 4
    for (unsigned r = split * run + lane; r < to; r += lanes) {
      float w[4];
      load(x + static_cast<size_t>(r) * inner + column, w);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        v[k] += w[k];
      }
    }
  }
  sum_rows(v, units, lanes, shared);
  if (live && lane == 0) {
    store(sums + static_cast<size_t>(split) * inner + column, v);
  }
}
