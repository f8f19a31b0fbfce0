// The FP32 loop of a tiled product: exact products and sums, in the order of k, on any device.
//
// A block of 256 (128) threads computes a tile of 128×128 (64×64) of C in registers, 8×8 (8×4) a
// thread, in steps of 8 (BF16: 16) along k; lanes form 4×8, so that a step along k takes 4 (3) 16-byte loads
// from shared memory for 64 (32) multiply-adds: all lanes with the same rows share a broadcast, and
// neighbouring columns make one conflict-free 128-byte read. While a tile is multiplied, the next one is on
// its way from global memory into registers and goes to the other half of shared memory: one
// barrier per step. Operands that run along k are transposed on the way; lines of ROWS + 4 floats
// make these stores conflict-free (2 chunks along k × 16 rows fall into 32 banks).
// ~120 registers and 17 KiB of shared memory: two large tiles per multiprocessor.
#pragma once

namespace product {

/** 32 bytes along k, so that every thread has a chunk of 16 to move. */
template <class T>
constexpr int FFMA_DEPTH = 32 / sizeof(T);

/** Registers between global and shared memory for one operand. */
template <class Operand, int ROWS, int THREADS>
struct Stage {
  using W = Window<Operand, ROWS, FFMA_DEPTH<typename Operand::T>, THREADS>;
  static constexpr int LINE = ROWS + 4;
  static constexpr int PER = CHUNK<typename Operand::T>;
  W window;
  float v[W::COUNT][PER];

  __device__ __forceinline__ Stage(const Operand& operand, int first) : window(operand, first) {}

  __device__ __forceinline__ void load(int k) {
    using T = typename Operand::T;
    window.each(
        k,
        [&](int i, const T* p) {
          struct alignas(16) Whole {
            T e[PER];
          };
          uint4 bits = p ? __ldg(reinterpret_cast<const uint4*>(p)) : make_uint4(0, 0, 0, 0);
          Whole whole = *reinterpret_cast<Whole*>(&bits);
#pragma unroll
          for (int e = 0; e < PER; e++) {
            v[i][e] = as_float(whole.e[e]);
          }
        },
        [&](int i, int e, const T* p) {
          float value = p ? as_float(*p) : 0.0f;
#pragma unroll
          for (int q = 0; q < PER; q++) {
            v[i][q] = q == e ? value : v[i][q];
          }
        });
  }

  __device__ __forceinline__ void store(float* tile) const {
#pragma unroll
    for (int i = 0; i < W::COUNT; i++) {
      if constexpr (Operand::K_RUNS) {
#pragma unroll
        for (int e = 0; e < PER; e++) {
          tile[(W::run() * PER + e) * LINE + W::line(i)] = v[i][e];
        }
      } else {
        float* to = tile + W::line(i) * LINE + W::run() * PER;
#pragma unroll
        for (int e = 0; e < PER; e += 4) {
          *reinterpret_cast<float4*>(to + e) =
              make_float4(v[i][e], v[i][e + 1], v[i][e + 2], v[i][e + 3]);
        }
      }
    }
  }
};

/**
 * One tile of SIZE × SIZE; each sum is one chain in the order of k. c answers the Result, and is asked at
 * the end: made before the loop, it would lie in registers all the time.
 */
template <int SIZE>
struct Ffma {
  static constexpr int M = SIZE;
  static constexpr int N = SIZE;
  static constexpr int THREADS = SIZE * 2;
  static constexpr int BLOCKS = SIZE == 128 ? 2 : 4;
  static constexpr int COLUMNS = SIZE / 16;

  template <class A, class B, class C>
  __device__ static __forceinline__ void run(const A& a, const B& b, const C& c, const Place& at) {
    constexpr int DEPTH = FFMA_DEPTH<typename A::T>;
    constexpr int LINE = SIZE + 4;
    alignas(16) __shared__ float as[2][DEPTH * LINE];
    alignas(16) __shared__ float bs[2][DEPTH * LINE];
    int warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    int row = warp / 2 * 32 + lane / 8 * 4;
    int column = warp % 2 * (SIZE / 2) + lane % 8 * 4;
    float sums[8][COLUMNS] = {};
    Stage<A, SIZE, THREADS> left(a, at.row);
    Stage<B, SIZE, THREADS> right(b, at.column);
    if (at.from < at.to) {
      left.load(at.from);
      right.load(at.from);
      left.store(as[0]);
      right.store(bs[0]);
    }
    int half = 0;
#pragma unroll 1
    for (int k = at.from; k < at.to; k += DEPTH, half ^= 1) {
      __syncthreads();
      bool more = k + DEPTH < at.to;
      if (more) {
        left.load(k + DEPTH);
        right.load(k + DEPTH);
      }
      multiply<DEPTH>(as[half] + row, bs[half] + column, sums);
      if (more) {
        left.store(as[half ^ 1]);
        right.store(bs[half ^ 1]);
      }
    }
    store(c(), at.row + row, at.column + column, sums);
  }

 private:
  /** A warp's second half of rows follows 16 rows later, of columns 32 columns later. */
  template <class C>
  __device__ static __forceinline__ void store(
      const C& c, int row, int column, const float (&sums)[8][COLUMNS]) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < COLUMNS; j += 4) {
        Run<float, 4> v{{sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]}};
        c.store(row + i % 4 + i / 4 * 16, column + j * 8, v);
      }
    }
  }

  template <int DEPTH>
  __device__ static __forceinline__ void multiply(
      const float* a, const float* b, float (&sums)[8][COLUMNS]) {
    constexpr int LINE = SIZE + 4;
    // Unrolled further, large tiles run out of registers: the compiler reads far ahead.
#pragma unroll(SIZE == 128 ? 2 : 8)
    for (int k = 0; k < DEPTH; k++) {
      float u[8];
      float v[COLUMNS];
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        read(a + k * LINE + i * 4, u + i);
      }
#pragma unroll
      for (int j = 0; j < COLUMNS; j += 4) {
        read(b + k * LINE + j * 8, v + j);
      }
#pragma unroll
      for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
          sums[i][j] = fmaf(u[i], v[j], sums[i][j]);
        }
      }
    }
  }

  __device__ static __forceinline__ void read(const float* from, float* v) {
    float4 u = *reinterpret_cast<const float4*>(from);
    v[0] = u.x;
    v[1] = u.y;
    v[2] = u.z;
    v[3] = u.w;
  }
};

}  // namespace product
