// Matrix products C[m,n] = Σ_k A[m,k]·B[k,n] by tiles, shared by matmul.cu and conv2d*.cu. A and B
// are operands: a stored matrix, its transpose, or the patches of an image, read in place (implicit
// GEMM: no patch matrix is ever written). This file has the operands, the result and the FP32
// loop; mma.cuh has the tensor-core loop. How a product is cut is decided in ProductPlan.java alone.
//
// An operand's element is named by r, its row in A or its column in B, and k. row(r) and column(k)
// do the arithmetic that depends on one of the two, at(row, column) joins them; null means a zero.
// Where the elements that follow each other in memory (k if K_RUNS, else r) come in multiples of 16
// bytes (`whole`), a thread moves 16 bytes at a time, else single elements.
#pragma once

namespace product {

/** A BF16 number as bits. */
struct Bf16 {
  unsigned short bits;
};

__device__ __forceinline__ float as_float(float v) { return v; }
__device__ __forceinline__ float as_float(Bf16 v) { return bf16_float(v.bits); }
__device__ __forceinline__ float from_float(float, float v) { return v; }
__device__ __forceinline__ Bf16 from_float(Bf16, float v) {
#if __CUDA_ARCH__ >= 800
  // float_bf16 in one instruction; a NaN may get other bits.
  Bf16 rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(v));
  return rounded;
#else
  return {float_bf16(v)};
#endif
}

/** Elements in 16 bytes. */
template <class T>
constexpr int CHUNK = 16 / sizeof(T);

/** Coordinate that lies in no image, even after another one was added. */
constexpr int OUTSIDE = 1 << 29;

/** A number to divide by, with the multiplier of Divisor.java; the shift follows from the number. */
struct Divisor {
  int divisor;
  unsigned multiplier;

  __device__ __forceinline__ int quotient(int n) const {
    return static_cast<int>(::quotient(n, multiplier, 32 - __clz(divisor - 1)));
  }
};

/** A stored matrix: element (r, k) is p[r·stride + k] if K_RUNS, else p[k·stride + r]. */
template <class Element, bool RUNS>
struct Matrix {
  using T = Element;
  static constexpr bool K_RUNS = RUNS;
  /** Negative, whatever is added or joined. */
  static constexpr int NOWHERE = -0x7FFFFFFF - 1;
  const T* p;
  int rows;
  int depth;
  bool whole;

  __device__ Matrix(const T* p, int rows, int depth)
      : p(p), rows(rows), depth(depth), whole((RUNS ? depth : rows) % CHUNK<T> == 0) {}

  using Row = int;
  using Column = int;
  __device__ __forceinline__ const T* pointer() const { return p; }
  __device__ __forceinline__ int row(int r) const {
    return r < rows ? (RUNS ? r * depth : r) : NOWHERE;
  }
  __device__ __forceinline__ int column(int k) const {
    return k < depth ? (RUNS ? k : k * rows) : NOWHERE;
  }
  __device__ __forceinline__ const T* at(int row, int column) const {
    return (row | column) < 0 ? nullptr : p + row + column;
  }
};

/** The patches of channels-last images; Patches.java says what the sizes mean. */
template <class Element>
struct Patches {
  using T = Element;
  const T* x;
  int h, w, c, sy, sx, top, left, rows, columns;
  int pixels;
  int taps;
  Divisor by_c, by_kw, by_rows, by_columns;

  struct Pixel {
    int at, y, x;
  };
  struct Tap {
    int at, i, j;
  };

  __device__ __forceinline__ const T* pointer() const { return x; }
  __device__ __forceinline__ Pixel pixel(int p) const {
    int line = by_columns.quotient(p);
    int image = by_rows.quotient(line);
    int y = (line - image * rows) * sy - top;
    int x = (p - line * columns) * sx - left;
    return {((image * h + y) * w + x) * c, p < pixels ? y : OUTSIDE, x};
  }
  __device__ __forceinline__ Tap tap(int k) const {
    int t = by_c.quotient(k);
    int i = by_kw.quotient(t);
    int j = t - i * by_kw.divisor;
    return {(i * w + j) * c + k - t * c, k < taps ? i : OUTSIDE, j};
  }
  __device__ __forceinline__ const T* at(const Pixel& p, const Tap& t) const {
    bool inside = static_cast<unsigned>(p.y + t.i) < static_cast<unsigned>(h) &&
                  static_cast<unsigned>(p.x + t.j) < static_cast<unsigned>(w);
    return inside ? x + p.at + t.at : nullptr;
  }
};

/** A patch for each r: the left operand of a convolution. */
template <class Element>
struct PatchRows : Patches<Element> {
  static constexpr bool K_RUNS = true;
  bool whole;
  using Row = typename Patches<Element>::Pixel;
  using Column = typename Patches<Element>::Tap;

  __device__ explicit PatchRows(const Patches<Element>& p)
      : Patches<Element>(p), whole(p.c % CHUNK<Element> == 0) {}
  __device__ __forceinline__ Row row(int r) const { return this->pixel(r); }
  __device__ __forceinline__ Column column(int k) const { return this->tap(k); }
};

/** A patch for each k: the right operand of a weight gradient. */
template <class Element>
struct PatchColumns : Patches<Element> {
  static constexpr bool K_RUNS = false;
  bool whole;
  using Row = typename Patches<Element>::Tap;
  using Column = typename Patches<Element>::Pixel;

  __device__ explicit PatchColumns(const Patches<Element>& p)
      : Patches<Element>(p), whole(p.c % CHUNK<Element> == 0) {}
  __device__ __forceinline__ Row row(int r) const { return this->tap(r); }
  __device__ __forceinline__ Column column(int k) const { return this->pixel(k); }
  __device__ __forceinline__ const Element* at(const Row& r, const Column& c) const {
    return Patches<Element>::at(c, r);
  }
};

/** What a thread copies of a tile of ROWS × DEPTH elements: chunks of 16 bytes in fixed places. */
template <class Operand, int ROWS, int DEPTH, int THREADS>
struct Window {
  using T = typename Operand::T;
  static constexpr bool K_RUNS = Operand::K_RUNS;
  /** Chunks that follow each other in memory. */
  static constexpr int RUN = (K_RUNS ? DEPTH : ROWS) / CHUNK<T>;
  /** Lines from one chunk of the thread to the next. */
  static constexpr int STEP = THREADS / RUN;
  static constexpr int COUNT = ROWS * DEPTH / CHUNK<T> / THREADS;
  static_assert(THREADS % RUN == 0 && COUNT * CHUNK<T> * THREADS == ROWS * DEPTH, "tile");

  const Operand& operand;
  int first;
  typename Operand::Row rows[K_RUNS ? COUNT : 1];

  __device__ __forceinline__ Window(const Operand& operand, int first)
      : operand(operand), first(first) {
#pragma unroll
    for (int i = 0; i < (K_RUNS ? COUNT : 1); i++) {
      rows[i] = operand.row(first + (K_RUNS ? line(i) : run() * CHUNK<T>));
    }
  }

  /** The chunk's place among those of its line, the same for all chunks of a thread. */
  __device__ __forceinline__ static int run() { return threadIdx.x % RUN; }
  /** The line (r if K_RUNS, else k) of chunk i. */
  __device__ __forceinline__ static int line(int i) { return threadIdx.x / RUN + i * STEP; }

  /** Calls all(i, p) for each chunk of the tile at depth k, or one(i, e, p) for each element. */
  template <class All, class One>
  __device__ __forceinline__ void each(int k, All all, One one) const {
    if (operand.whole) {
      typename Operand::Column column = operand.column(k + (K_RUNS ? run() * CHUNK<T> : line(0)));
#pragma unroll
      for (int i = 0; i < COUNT; i++) {
        if (!K_RUNS && i > 0) {
          column = operand.column(k + line(i));
        }
        all(i, operand.at(rows[K_RUNS ? i : 0], column));
      }
      return;
    }
#pragma unroll 1
    for (int e = 0; e < CHUNK<T>; e++) {
      typename Operand::Row row = K_RUNS ? rows[0] : operand.row(first + run() * CHUNK<T> + e);
#pragma unroll
      for (int i = 0; i < COUNT; i++) {
        int depth = k + (K_RUNS ? run() * CHUNK<T> + e : line(i));
        one(i, e, operand.at(K_RUNS ? rows[i] : row, operand.column(depth)));
      }
    }
  }
};

/** Row r of C begins at element r·n. */
struct RowByRow {
  __device__ __forceinline__ int operator()(int row, int n) const { return row * n; }
};

/** Neighbouring elements. */
template <class E, int V>
struct alignas(sizeof(E) * V) Run {
  E e[V];
};

/** C = sums + (C or a bias) + residual; for BF16 operands (T) C and residual are BF16 if narrow. */
template <class T, class Offset>
struct Result {
  void* c;
  const float* bias;
  const void* residual;
  bool accumulate;
  bool narrow;
  int m;
  int n;
  Offset offset;

  /** The same, or of several parts of the sum, each with a C of its own and no operands: product.cu. */
  __device__ __forceinline__ Result part(float* partial, long long size) const {
    // Field by field: if the struct were copied, the compiler would lose sight of what is constant.
    bool one = gridDim.y == 1;
    return {one ? c : partial + blockIdx.y * size,
            one ? bias : nullptr,
            one ? residual : nullptr,
            one && accumulate,
            one && narrow,
            m,
            n,
            offset};
  }

  template <int V>
  __device__ __forceinline__ void store(int row, int column, Run<float, V> sums) const {
    if (row < m && column < n) {
      int at = offset(row, n) + column;
      if (sizeof(T) == 2 && narrow) {
        store<Bf16>(at, column, sums);
      } else {
        store<float>(at, column, sums);
      }
    }
  }

 private:
  /** V elements at a time where rows are so aligned. */
  template <class E, int V>
  __device__ __forceinline__ void store(int at, int column, Run<float, V> sums) const {
    E* to = static_cast<E*>(c) + at;
    const E* also = static_cast<const E*>(residual) + at;
    if (n % V == 0) {
      if (accumulate) {
        add(to, sums);
      } else if (bias) {
        add(bias + column, sums);
      }
      if (residual) {
        add(also, sums);
      }
      Run<E, V> rounded;
#pragma unroll
      for (int i = 0; i < V; i++) {
        rounded.e[i] = from_float(E(), sums.e[i]);
      }
      *reinterpret_cast<Run<E, V>*>(to) = rounded;
      return;
    }
#pragma unroll
    for (int i = 0; i < V; i++) {
      if (column + i < n) {
        float first = accumulate ? as_float(to[i]) : bias ? bias[column + i] : 0.0f;
        float v = sums.e[i] + first;
        to[i] = from_float(E(), residual ? v + as_float(also[i]) : v);
      }
    }
  }

  template <class E, int V>
  __device__ __forceinline__ static void add(const E* from, Run<float, V>& sums) {
    Run<E, V> other = *reinterpret_cast<const Run<E, V>*>(from);
#pragma unroll
    for (int i = 0; i < V; i++) {
      sums.e[i] += as_float(other.e[i]);
    }
  }
};

/** Which tile of C this block computes, columns of tiles first, and which part of the sum. */
struct Place {
  int item, row, column, from, to;

  __device__ __forceinline__ Place(int m, int n, int k, int perPart, int tileM, int tileN) {
    int across = (n + tileN - 1) / tileN;
    int down = (m + tileM - 1) / tileM;
    int tile = blockIdx.x / across;
    column = (blockIdx.x - tile * across) * tileN;
    item = tile / down;
    row = (tile - item * down) * tileM;
    from = blockIdx.y * perPart;
    to = min(k, from + perPart);
  }
};

}  // namespace product
