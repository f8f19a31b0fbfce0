// Convolution of channels-last images and its gradients as implicit matrix products:
//   conv2d                  y[p,o]  = Σ_t x[p+t]·w[o,t] (+ bias[o]) (+ residual[p,o])
//   conv2d_input_gradient   dx[q,c] = Σ_{t,o} g[q−t,o]·w[o,t,c]
//   conv2d_weight_gradient  dw[o,t] = Σ_p g[p,o]·x[p+t]      (+ dw[o,t])
// p: output pixels of all images, q: input pixels, t: kernel row, kernel column and (for x and w)
// channel. x [n,h,w,c], w [o,kh,kw,c], y and g [n,outH,outW,o], dx as x, dw as w.
//
// One block per tile of the result (and per part of a long sum), 2·pixels·o·kh·kw·c flops; patches are
// read where they lie, so that global memory delivers each pixel once and the caches the other kh·kw − 1
// times. With stride s the input gradient is one launch per phase, the pixels (firstY + i·sy, firstX + j·sx):
// each meets its own part of the kernel only, and no product with zero is computed. Channels in multiples
// of 4 (BF16: 8) move 16 bytes at a time. The loops, their layouts and their reasons: ffma.cuh, mma.cuh.
#include "product.cuh"
#include "ffma.cuh"
#include "mma.cuh"

using namespace product;

/** The kernel for the input gradient: element (r, k) = w[o, by − i·sy, bx − j·sx, r], k = (i, j, o). */
template <class Element>
struct TurnedKernel {
  using T = Element;
  static constexpr bool K_RUNS = false;
  const T* w;
  int c, kh, kw, sy, sx, by, bx;
  int depth;
  Divisor by_o, by_columns;
  bool whole;

  using Row = int;
  using Column = int;
  __device__ __forceinline__ const T* pointer() const { return w; }
  __device__ __forceinline__ int row(int r) const { return r < c ? r : Matrix<T, true>::NOWHERE; }
  __device__ __forceinline__ int column(int k) const {
    int t = by_o.quotient(k);
    int o = k - t * by_o.divisor;
    int i = by_columns.quotient(t);
    int j = t - i * by_columns.divisor;
    int at = ((o * kh + by - i * sy) * kw + bx - j * sx) * c;
    return k < depth ? at : Matrix<T, true>::NOWHERE;
  }
  __device__ __forceinline__ const T* at(int row, int column) const {
    return (row | column) < 0 ? nullptr : w + row + column;
  }
};

/** The pixels of one phase in an image of height·width pixels. */
struct PhaseRows {
  int height, width, sy, sx, firstY, firstX;
  Divisor by_rows, by_columns;

  __device__ __forceinline__ int operator()(int row, int n) const {
    int line = by_columns.quotient(row);
    int image = by_rows.quotient(line);
    int y = (line - image * by_rows.divisor) * sy + firstY;
    int x = (row - line * by_columns.divisor) * sx + firstX;
    return ((image * height + y) * width + x) * n;
  }
};

#define PATCHES                                                                                    \
  int h, int w, int c, int kw, int sy, int sx, int top, int left, int rows, int columns,           \
      int factor_c, int factor_kw, int factor_rows, int factor_columns
#define AS_DIVISOR(d) Divisor{d, static_cast<unsigned>(factor_##d)}
#define AS_PATCHES(T, x, pixels, taps)                                                             \
  Patches<T> {                                                                                     \
    x, h, w, c, sy, sx, top, left, rows, columns, pixels, taps, AS_DIVISOR(c), AS_DIVISOR(kw),     \
        AS_DIVISOR(rows), AS_DIVISOR(columns)                                                      \
  }
#define KERNEL(Tile, symbol)                                                                       \
  extern "C" __global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS) symbol

#define CONVOLUTION(size, Tile, T, arithmetic)                                                     \
  KERNEL(Tile, conv2d_##arithmetic##_##size)(                                                      \
      int m, int n, int k, int per_part, int narrow, PATCHES, const T* __restrict__ x,             \
      const T* __restrict__ weight, const float* __restrict__ bias,                                \
      const void* __restrict__ residual, void* y, float* partial) {                                \
    Place at(m, n, k, per_part, Tile::M, Tile::N);                                                 \
    PatchRows<T> patches(AS_PATCHES(T, x, m, k));                                                  \
    Matrix<T, true> weights(weight, n, k);                                                         \
    auto result = [&] {                                                                            \
      Result<T, RowByRow> whole{y, bias, residual, false, narrow != 0, m, n, {}};                  \
      return whole.part(partial, static_cast<long long>(m) * n);                                   \
    };                                                                                             \
    Tile::run(patches, weights, result, at);                                                       \
  }                                                                                                \
  KERNEL(Tile, conv2d_input_gradient_##arithmetic##_##size)(                                       \
      int m, int n, int k, int per_part, int narrow, PATCHES, int height, int width,               \
      int stepY, int stepX, int firstY, int firstX, int kernelH, int kernelW, int lastI, int lastJ,\
      const T* __restrict__ g, const T* __restrict__ weight, void* dx, float* partial,             \
      int size_dx) {                                                                               \
    Place at(m, n, k, per_part, Tile::M, Tile::N);                                                 \
    PatchRows<T> patches(AS_PATCHES(T, g, m, k));                                                  \
    TurnedKernel<T> turned{weight, n, kernelH, kernelW, stepY, stepX, lastI, lastJ, k,             \
                           AS_DIVISOR(c), AS_DIVISOR(kw), n % CHUNK<T> == 0};                      \
    PhaseRows phase{height, width, stepY, stepX, firstY, firstX, AS_DIVISOR(rows),                 \
                    AS_DIVISOR(columns)};                                                          \
    auto result = [&] {                                                                            \
      Result<T, PhaseRows> whole{dx, nullptr, nullptr, false, narrow != 0, m, n, phase};           \
      return whole.part(partial, size_dx);                                                         \
    };                                                                                             \
    Tile::run(patches, turned, result, at);                                                        \
  }                                                                                                \
  KERNEL(Tile, conv2d_weight_gradient_##arithmetic##_##size)(                                      \
      int m, int n, int k, int per_part, int narrow, PATCHES, int accumulate,                      \
      const T* __restrict__ x, const T* __restrict__ g, void* dw, float* partial) {                \
    Place at(m, n, k, per_part, Tile::M, Tile::N);                                                 \
    Matrix<T, false> gradients(g, m, k);                                                           \
    PatchColumns<T> patches(AS_PATCHES(T, x, k, n));                                               \
    auto result = [&] {                                                                            \
      Result<T, RowByRow> whole{dw, nullptr, nullptr, accumulate != 0, narrow != 0, m, n, {}};     \
      return whole.part(partial, static_cast<long long>(m) * n);                                   \
    };                                                                                             \
    Tile::run(gradients, patches, result, at);                                                     \
  }

CONVOLUTION(large, Ffma<128>, float, f32)
CONVOLUTION(small, Ffma<64>, float, f32)
#if __CUDA_ARCH__ >= 800
CONVOLUTION(large, Mma<128>, float, tf32)
CONVOLUTION(small, Mma<64>, float, tf32)
CONVOLUTION(large, Mma<128>, Bf16, bf16)
CONVOLUTION(small, Mma<64>, Bf16, bf16)
#else
CONVOLUTION(small, Ffma<64>, Bf16, bf16)
#endif
