// The tensor-core loop of a tiled product, for F32 operands rounded to TF32 and for BF16 operands;
// sums are F32. From compute_80 on.
//
// A block of 256 (128) threads computes a tile of 128×128 (64×64) of C, a warp 64×32 (32×32) of it by
// mma.sync m16n8k8 (TF32) or m16n8k16 (BF16). Both take 32 bytes along k, and a step of the loop takes
// 64: so the two types differ in little but the instruction. Three stages of shared memory, filled by
// cp.async two steps ahead, one barrier per step.
//
// Stage of an operand that runs along k: lines of 64 bytes (one r), 16-byte chunk c of line r at
// c ^ (r/2 mod 4): ldmatrix reads eight lines from all 32 banks, and cp.async writes whole 128-byte rows.
// An ldmatrix row of 8 × 16 bits is 4 × TF32, and what a lane receives is what m16n8k8 asks of it.
// Stage of an operand that runs along r: lines of one k. BF16: chunk c of line k at c ^ (k mod 8), read
// by ldmatrix.trans. TF32: chunk c at c ^ 2·(k mod 4), read as single words: 4 values of k × 8 of r fall into
// 32 banks.
// 48 KiB of shared memory (24) and at most 128 registers: two large tiles per multiprocessor; 64 mma per
// warp and step pair against 12 ldmatrix.
#pragma once

#if __CUDA_ARCH__ >= 800

namespace product {

// ---- the instructions ----

/** 16 bytes to shared memory, in the background; zeros if from is null. */
__device__ __forceinline__ void copy_async(unsigned to, const void* from, const void* any) {
  int bytes = from ? 16 : 0;
  const void* source = from ? from : any;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(source), "r"(bytes)
               : "memory");
}

/** 4 bytes to shared memory, in the background; zeros if from is null. */
__device__ __forceinline__ void copy_async_word(unsigned to, const void* from, const void* any) {
  int bytes = from ? 4 : 0;
  const void* source = from ? from : any;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(source), "r"(bytes)
               : "memory");
}

/** Ends a group of copies. */
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits for this thread's copies but the latest N groups. */
template <int N>
__device__ __forceinline__ void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/** Four 8×8 matrices of 16 bits; lane l names row l mod 8 of matrix l/8. */
template <bool TRANSPOSED>
__device__ __forceinline__ void load_matrices(unsigned from, unsigned* v) {
  if constexpr (TRANSPOSED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"(from)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"(from)
                 : "memory");
  }
}

__device__ __forceinline__ unsigned load_word(unsigned from) {
  unsigned v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(from) : "memory");
  return v;
}

__device__ __forceinline__ void multiply_add(
    float, float (&d)[4], const unsigned (&a)[4], const unsigned* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_add(
    Bf16, float (&d)[4], const unsigned (&a)[4], const unsigned* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/** To TF32's 10 bits, to nearest; without it the unit would cut bits off, which is biased. */
__device__ __forceinline__ void rounded(float, unsigned* v) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(v[i]) : "f"(__uint_as_float(v[i])));
  }
}

__device__ __forceinline__ void rounded(Bf16, unsigned*) {}

// ---- operands in shared memory ----

/** One operand's stages: filled by the block, read by warps as fragments. */
template <class Operand, int ROWS, int THREADS>
struct Fragments {
  using T = typename Operand::T;
  static constexpr int DEPTH = 64 / sizeof(T);
  static constexpr int BYTES = ROWS * 64;
  static constexpr int LINE = Operand::K_RUNS ? 64 : ROWS * sizeof(T);
  using W = Window<Operand, ROWS, DEPTH, THREADS>;
  W window;
  unsigned base;

  __device__ __forceinline__ Fragments(const Operand& operand, int first, unsigned base)
      : window(operand, first), base(base) {}

  /** Byte of chunk c of a line. */
  __device__ __forceinline__ static int place(int line, int chunk) {
    int swizzle = Operand::K_RUNS ? (line >> 1) & 3 : sizeof(T) == 4 ? (line & 3) * 2 : line & 7;
    return line * LINE + (chunk ^ swizzle) * 16;
  }

  __device__ __forceinline__ void load(int k, int stage) const {
    unsigned to = base + stage * BYTES;
    const T* any = window.operand.pointer();
    window.each(
        k,
        [&](int i, const T* p) { copy_async(to + place(W::line(i), W::run()), p, any); },
        [&](int i, int e, const T* p) {
          unsigned at = to + place(W::line(i), W::run()) + e * sizeof(T);
          if constexpr (sizeof(T) == 4) {
            copy_async_word(at, p, any);
          } else {
            unsigned short bits = p ? p->bits : 0;
            asm volatile("st.shared.u16 [%0], %1;" ::"r"(at), "h"(bits) : "memory");
          }
        });
  }

  /**
   * 16 values of r from `first` on, 32 bytes along k: as A, the four registers of a fragment; as B,
   * the two registers of one fragment and then of the next.
   */
  template <bool AS_B>
  __device__ __forceinline__ void read(int stage, int first, int step, unsigned* v) const {
    unsigned from = base + stage * BYTES;
    int lane = threadIdx.x % 32;
    // Matrix q = lane / 8 of ldmatrix: the upper half of r and the upper half of k.
    int upper = AS_B ? lane / 16 : lane / 8 % 2;
    int further = AS_B ? lane / 8 % 2 : lane / 16;
    if constexpr (Operand::K_RUNS) {
      int line = first + upper * 8 + lane % 8;
      load_matrices<false>(from + place(line, step * 2 + further), v);
    } else if constexpr (sizeof(T) == 2) {
      int line = step * 16 + further * 8 + lane % 8;
      load_matrices<true>(from + place(line, first / 8 + upper), v);
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int r = first + (AS_B ? i / 2 : i % 2) * 8 + lane / 4;
        int line = step * 8 + (AS_B ? i % 2 : i / 2) * 4 + lane % 4;
        v[i] = load_word(from + place(line, r / 4) + r % 4 * 4);
      }
    }
    rounded(T(), v);
  }
};

/** One tile of SIZE × SIZE; c as for Ffma. */
template <int SIZE>
struct Mma {
  static constexpr int M = SIZE;
  static constexpr int N = SIZE;
  static constexpr int THREADS = SIZE * 2;
  static constexpr int BLOCKS = SIZE == 128 ? 2 : 4;
  static constexpr int STAGES = 3;
  /** Rows of fragments per warp; four fragments, 32 columns, lie beside each other. */
  static constexpr int DOWN = SIZE / 32;

  template <class A, class B, class C>
  __device__ static __forceinline__ void run(const A& a, const B& b, const C& c, const Place& at) {
    using T = typename A::T;
    using Left = Fragments<A, SIZE, THREADS>;
    using Right = Fragments<B, SIZE, THREADS>;
    alignas(128) __shared__ char shared[STAGES * (Left::BYTES + Right::BYTES)];
    unsigned base = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    Left left(a, at.row, base);
    Right right(b, at.column, base + STAGES * Left::BYTES);
    int warp = threadIdx.x / 32;
    int row = warp % 2 * (SIZE / 2);
    int column = warp / 2 * 32;
    float sums[DOWN][4][4] = {};
    // The loop runs STAGES − 1 steps ahead of the sum before it begins with it.
    constexpr int AHEAD = (STAGES - 1) * Left::DEPTH;
    int full = 0;
    int empty = 0;
#pragma unroll 1
    for (int next = at.from; next < at.to + AHEAD; next += Left::DEPTH) {
      bool begun = next >= at.from + AHEAD;
      if (begun) {
        wait<STAGES - 2>();
        __syncthreads();
      }
      if (next < at.to) {
        left.load(next, empty);
        right.load(next, empty);
      }
      commit();
      empty = empty == STAGES - 1 ? 0 : empty + 1;
      if (begun) {
        multiply(left, right, full, row, column, sums, T());
        full = full == STAGES - 1 ? 0 : full + 1;
      }
    }
    wait<0>();
    store(c(), at.row + row, at.column + column, sums);
  }

 private:
  template <class Left, class Right, class T>
  __device__ static __forceinline__ void multiply(
      const Left& left, const Right& right, int stage, int row, int column,
      float (&sums)[DOWN][4][4], T type) {
#pragma unroll
    for (int step = 0; step < 2; step++) {
      unsigned v[8];
      right.template read<true>(stage, column, step, v);
      right.template read<true>(stage, column + 16, step, v + 4);
#pragma unroll
      for (int i = 0; i < DOWN; i++) {
        unsigned u[4];
        left.template read<false>(stage, row + i * 16, step, u);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          multiply_add(type, sums[i][j], u, v + j * 2);
        }
      }
    }
  }

  /** A lane has columns 2·(lane mod 4), +1 of rows lane/4 and lane/4 + 8 of each fragment. */
  template <class C>
  __device__ static __forceinline__ void store(
      const C& c, int row, int column, const float (&sums)[DOWN][4][4]) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < DOWN * 2; i++) {
      int r = row + i * 8 + lane / 4;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int q = column + j * 8 + lane % 4 * 2;
        Run<float, 2> v{{sums[i / 2][j][i % 2 * 2], sums[i / 2][j][i % 2 * 2 + 1]}};
        c.store(r, q, v);
      }
    }
  }
};

}  // namespace product

#endif
