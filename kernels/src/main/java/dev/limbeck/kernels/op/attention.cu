// Attention on fused multiply-adds, for every device: attention.cuh with an engine whose threads have
// 8x4 weights and 8 x width/16 results in registers.
//
// Per 4 features, 12 reads of 16 bytes from shared memory feed 128 fmaf; 8 of the 12 are broadcasts
// to 16 lanes. The pitches, 4 modulo 32 words, put the columns that 8 lanes read side by side on
// different banks, and the two rows of a warp too, so that no read has a conflict; single weights
// are stored two to a bank, 1 of 40 accesses. Weights go through shared memory, in the place of the
// features, and never leave their warp. 22 to 27 KB of it: 3 blocks per multiprocessor at up to 168
// registers; 2 on sm_75, where a block has 128 features, and for the gradient of 64.
#include "attention.cuh"

namespace attention {

/** Products by fmaf: 64 rows; a thread has rows tid/16 + 8i and columns tid%16 + 16j. */
template <int W>
struct Ffma {
  static constexpr int WIDTH = W;
  static constexpr int ROWS = 64;
  static constexpr int R = 8;                     // rows of a thread
  static constexpr int E = 4;                     // weights of a thread's row
  static constexpr int C = W / 16;                // results of a thread's row
  static constexpr int VECTOR = C < 4 ? C : 4;    // of which so many stand side by side
  static constexpr int LANES = 16;                // that share a row
  static constexpr int PITCH = RUN + 4;
  static constexpr int WEIGHTS = COLUMNS + 4;
  static constexpr int VALUES = W < 32 ? 64 : 2048 / W;  // rows of values at a time
  static constexpr int VALUE_PITCH = W;
  static constexpr int VALUES_AT = (ROWS + COLUMNS) * PITCH;
  static constexpr int SHARED = VALUES_AT + VALUES * W;
  static constexpr int UNROLL = 1;
  static constexpr int BLOCKS = HAS_COPY && W < 128 ? 3 : 2;  // per multiprocessor
  static constexpr int GRAD_BLOCKS = HAS_COPY && W < 64 ? 3 : 2;
  static constexpr bool ASYNCHRONOUS = HAS_COPY;
  static_assert(ROWS * WEIGHTS <= VALUES_AT, "weights take the place of rows and columns");

  static __device__ int first_row() { return threadIdx.x / 32 * 2; }
  static __device__ int row(int i) { return threadIdx.x / 16 + 8 * i; }
  static __device__ int column(int j) { return threadIdx.x % 16 + 16 * j; }
  static __device__ int result(int c) {
    return c / VECTOR * 16 * VECTOR + threadIdx.x % 16 * VECTOR + c % VECTOR;
  }
  static __device__ float round(float v) { return v; }

  static __device__ void multiply(const float* a, const float* b, int run, float (&s)[R][E]) {
#pragma unroll 1
    for (int k = 0; k < run; k += 4) {
      float y[E][4];
#pragma unroll
      for (int j = 0; j < E; j++) {
        load<4>(b + column(j) * PITCH + k, y[j]);
      }
#pragma unroll
      for (int i = 0; i < R; i++) {
        float x[4];
        load<4>(a + row(i) * PITCH + k, x);
#pragma unroll
        for (int u = 0; u < 4 * E; u++) {
          s[i][u % E] = fmaf(x[u / E], y[u % E][u / E], s[i][u % E]);
        }
      }
    }
  }

  /** Puts the weights where accumulate finds them; a row belongs to 16 lanes of one warp. */
  static __device__ void keep(float* shared, float (&s)[R][E]) {
#pragma unroll
    for (int i = 0; i < R; i++) {
#pragma unroll
      for (int j = 0; j < E; j++) {
        shared[row(i) * WEIGHTS + column(j)] = s[i][j];
      }
    }
  }

  /** Adds the weights of columns first to first + VALUES times the values. */
  static __device__ void accumulate(
      const float* shared, const float (&)[R][E], int first, float (&acc)[R][C]) {
#pragma unroll 1
    for (int k = 0; k < VALUES; k += 4) {
      float v[4][C];
#pragma unroll
      for (int u = 0; u < 4 * C; u += VECTOR) {
        const float* row = shared + VALUES_AT + (k + u / C) * VALUE_PITCH;
        load<VECTOR>(row + result(u % C), &v[u / C][u % C]);
      }
#pragma unroll
      for (int i = 0; i < R; i++) {
        float w[4];
        load<4>(shared + row(i) * WEIGHTS + first + k, w);
#pragma unroll
        for (int u = 0; u < 4 * C; u++) {
          acc[i][u % C] = fmaf(w[u / C], v[u / C][u % C], acc[i][u % C]);
        }
      }
    }
  }
};

/** dots[n,h,t] = Σ do∘o for each row of a head; one warp a row. */
extern "C" __global__ void attention_dots_f32(
    int rows, int queries, int heads, int features, const float* __restrict__ o,
    const float* __restrict__ g, float* __restrict__ dots) {
  for (int i = grid_first() / 32; i < rows; i += grid_stride() / 32) {
    float sum = 0.0f;
    for (int c = threadIdx.x % 32; c < features; c += 32) {
      sum = fmaf(o[i * features + c], g[i * features + c], sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
      const int at = i / heads;
      dots[(at / queries * heads + i % heads) * queries + at % queries] = sum;
    }
  }
}

ATTENTION(16_f32, Ffma<16>, Ffma<16>)
ATTENTION(32_f32, Ffma<32>, Ffma<32>)
ATTENTION(64_f32, Ffma<64>, Ffma<64>)
ATTENTION(128_f32, Ffma<128>, Ffma<128>)

}  // namespace attention
