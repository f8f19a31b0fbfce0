// y[s,i,j,:] = Σₐ Σ_b rows(i,a)·columns(j,b)·x[s,a,b,:], x [N,H,W,C], y [N,out rows,out columns,C].
//
// An axis is a table: start[out + 1], source[taps], weight[taps] as bits; output i has the taps from
// start[i] to start[i + 1], in this order (Resample.Axis).
//
// One thread per output element, or per four channels where C is a multiple of 4 (f32x4, and bf16x4 for
// images in BF16, whose sums are F32: n and channels count four elements); grid-stride. Neighbouring lanes have neighbouring channels, then
// neighbouring pixels, so that reads and writes are whole runs; pixels that several outputs share
// come from L1 and L2, the tables (a few hundred words) from L1. 4 (2) bytes per element of x and of y, 2
// flops per output element and pair of taps.

#include "bf16.cuh"

/** Four elements in BF16. */
struct Bf16x4 {
  uint2 pairs;
};

/** The type of sums. */
template <class T>
struct Sums {
  using S = T;
};

template <>
struct Sums<Bf16x4> {
  using S = float4;
};

__device__ __forceinline__ void put(float sum, float* y) { *y = sum; }
__device__ __forceinline__ void put(float4 sum, float4* y) { *y = sum; }
__device__ __forceinline__ void put(float4 sum, Bf16x4* y) {
  y->pairs = make_uint2(bf16_pair(sum.x, sum.y), bf16_pair(sum.z, sum.w));
}

__device__ __forceinline__ float add_scaled(float v, float w, float sum) { return fmaf(v, w, sum); }
__device__ __forceinline__ float4 add_scaled(float4 v, float w, float4 sum) {
  return make_float4(
      fmaf(v.x, w, sum.x), fmaf(v.y, w, sum.y), fmaf(v.z, w, sum.z), fmaf(v.w, w, sum.w));
}

__device__ __forceinline__ float4 add_scaled(Bf16x4 v, float w, float4 sum) {
  float4 wide = make_float4(bf16_low(v.pairs.x), bf16_high(v.pairs.x), bf16_low(v.pairs.y),
                            bf16_high(v.pairs.y));
  return add_scaled(wide, w, sum);
}

/** One axis' table at one output. */
struct Taps {
  int from;
  int to;
  const int* source;
  const int* weight;

  __device__ __forceinline__ Taps(const int* table, int out, unsigned i) {
    from = table[i];
    to = table[i + 1];
    source = table + out + 1;
    weight = source + table[out];
  }
};

template <class T>
__device__ __forceinline__ void resample(
    int n, unsigned channels, unsigned mc, int hc, unsigned columns, unsigned mj, int hj,
    unsigned rows, unsigned mi, int hi, int in_rows, int in_columns, const int* row_table,
    const int* column_table, const T* x, T* y) {
  for (unsigned at = grid_first(); at < n; at += grid_stride()) {
    unsigned pixel = quotient(at, mc, hc);
    unsigned line = quotient(pixel, mj, hj);
    unsigned sample = quotient(line, mi, hi);
    Taps high(row_table, rows, line - sample * rows);
    Taps wide(column_table, columns, pixel - line * columns);
    const T* image = x + sample * in_rows * in_columns * channels + (at - pixel * channels);
    typename Sums<T>::S sum = {};
    for (int a = high.from; a < high.to; a++) {
      float w = __int_as_float(high.weight[a]);
      const T* row = image + high.source[a] * in_columns * channels;
      for (int b = wide.from; b < wide.to; b++) {
        sum = add_scaled(row[wide.source[b] * channels], w * __int_as_float(wide.weight[b]), sum);
      }
    }
    put(sum, y + at);
  }
}

#define RESAMPLE(name, T)                                                                         \
  extern "C" __global__ void resample_##name(                                                     \
      int n, unsigned channels, unsigned mc, int hc, unsigned columns, unsigned mj, int hj,       \
      unsigned rows, unsigned mi, int hi, int in_rows, int in_columns,                            \
      const int* __restrict__ row_table, const int* __restrict__ column_table,                    \
      const T* __restrict__ x, T* __restrict__ y) {                                               \
    resample(n, channels, mc, hc, columns, mj, hj, rows, mi, hi, in_rows, in_columns, row_table,  \
             column_table, x, y);                                                                 \
  }

RESAMPLE(f32, float)
RESAMPLE(f32x4, float4)
RESAMPLE(bf16x4, Bf16x4)
