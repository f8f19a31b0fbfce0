// Attention on tensor cores (compute_80 and above; operands rounded to TF32, sums in F32):
// attention.cuh with an engine whose warps have 16 or 32 rows, in fragments of mma.m16n8k8.
//
// The order of the terms of a sum is free, so k-index t of a fragment stands for feature 2t and
// k-index t + 4 for feature 2t + 1: a thread reads both at once, 8 bytes, and the weights that the
// first product leaves in a thread are what the second needs there; they never leave registers. Two
// products of values go side by side, column 2g of the one and 2g + 1 of the other, so that reads
// are 8 bytes again and results 16. Pitches of 8 modulo 32 words for features and 4 modulo 16 for
// values spread all of these over the banks. Operands are rounded once, on their way into shared
// memory: rounding fragments would cost each element as often as it is read.
//
// Per 8 features, a warp of 32 rows reads 12 fragments for 16 products, one of 16 rows 10 for 8;
// values, 2 reads for 4 or 2 products; no read has a bank conflict. 20 to 30 KB of shared memory; 3
// blocks per multiprocessor at up to 168 registers, 2 for warps of 32 rows and for the gradient of 128
// features.
#include "attention.cuh"

#if __CUDA_ARCH__ >= 800
namespace attention {

__device__ __forceinline__ float tf32(float v) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
  return __uint_as_float(bits);
}

/** Adds a·b, 16x8 times 8x8: c0, c1 are two columns of row lane/4, c2, c3 of the row 8 below. */
__device__ __forceinline__ void multiply_add(
    float& c0, float& c1, float& c2, float& c3, const float (&a)[4], float b0, float b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

/** Products on tensor cores: M times 16 rows for each warp; four lanes share a row. */
template <int W, int M>
struct Mma {
  static constexpr int WIDTH = W;
  static constexpr int ROWS = 64 * M;
  static constexpr int R = 2 * M;
  static constexpr int E = COLUMNS / 4;
  static constexpr int C = W / 4;
  static constexpr int VECTOR = 4;
  static constexpr int LANES = 4;
  static constexpr int PITCH = RUN + 8;
  static constexpr int VALUES = W > 64 ? 16 : 64;
  static constexpr int VALUE_PITCH = W + 4;
  static constexpr int VALUES_AT = 0;  // in the place of rows and columns
  static constexpr int SHARED = (ROWS + COLUMNS) * PITCH;
  static constexpr int UNROLL = COLUMNS / VALUES;  // weights are in registers: no index at run time
  static constexpr int BLOCKS = 4 - M;  // per multiprocessor
  static constexpr int GRAD_BLOCKS = W < 128 ? 3 : 2;
  static constexpr bool ASYNCHRONOUS = false;  // rounds on the way
  static_assert(VALUES * VALUE_PITCH <= SHARED, "values take the place of rows and columns");

  static __device__ int group() { return threadIdx.x % 32 / 4; }
  static __device__ int pair() { return threadIdx.x % 4 * 2; }
  static __device__ int first_row() { return threadIdx.x / 32 * 16 * M; }
  static __device__ int row(int i) { return first_row() + 8 * i + group(); }
  static __device__ int column(int j) { return j / 2 * 8 + pair() + j % 2; }
  static __device__ int result(int c) { return c / 4 * 16 + pair() * 2 + c % 4; }
  static __device__ float round(float v) { return tf32(v); }

  static __device__ void multiply(const float* a, const float* b, int run, float (&s)[R][E]) {
#pragma unroll 1
    for (int k = 0; k < run; k += 8) {
      float x[M][4];
#pragma unroll
      for (int i = 0; i < R; i++) {
        float v[2];
        load<2>(a + row(i) * PITCH + k + pair(), v);
        x[i / 2][i % 2] = v[0];
        x[i / 2][i % 2 + 2] = v[1];
      }
#pragma unroll
      for (int j = 0; j < E; j += 2) {
        float y[2];
        load<2>(b + (j * 4 + group()) * PITCH + k + pair(), y);
#pragma unroll
        for (int m = 0; m < M; m++) {
          float(&top)[E] = s[2 * m];
          float(&low)[E] = s[2 * m + 1];
          multiply_add(top[j], top[j + 1], low[j], low[j + 1], x[m], y[0], y[1]);
        }
      }
    }
  }

  static __device__ void keep(float*, float (&s)[R][E]) {
#pragma unroll
    for (int u = 0; u < R * E; u++) {
      s[u / E][u % E] = tf32(s[u / E][u % E]);
    }
  }

  /** Two products side by side: column 2g of the values is one's column g, 2g + 1 the other's. */
  static __device__ void accumulate(
      const float* shared, const float (&s)[R][E], int first, float (&acc)[R][C]) {
#pragma unroll
    for (int k = 0; k < VALUES; k += 8) {
      const int j = (first + k) / 4;
      const float* v = shared + VALUES_AT + (k + pair()) * VALUE_PITCH + 2 * group();
#pragma unroll
      for (int c = 0; c < C; c += 4) {
        float y0[2];
        float y1[2];
        load<2>(v + c * 4, y0);
        load<2>(v + c * 4 + VALUE_PITCH, y1);
#pragma unroll
        for (int m = 0; m < M; m++) {
          float(&top)[C] = acc[2 * m];
          float(&low)[C] = acc[2 * m + 1];
          float x[4] = {s[2 * m][j], s[2 * m + 1][j], s[2 * m][j + 1], s[2 * m + 1][j + 1]};
          multiply_add(top[c], top[c + 2], low[c], low[c + 2], x, y0[0], y1[0]);
          multiply_add(top[c + 1], top[c + 3], low[c + 1], low[c + 3], x, y0[1], y1[1]);
        }
      }
    }
  }
};
#define COMMA ,
ATTENTION(16_tf32, Mma<16 COMMA 2>, Mma<16 COMMA 1>)
ATTENTION(32_tf32, Mma<32 COMMA 2>, Mma<32 COMMA 1>)
ATTENTION(64_tf32, Mma<64 COMMA 2>, Mma<64 COMMA 1>)
ATTENTION(128_tf32, Mma<128 COMMA 1>, Mma<128 COMMA 1>)

}  // namespace attention
#endif
