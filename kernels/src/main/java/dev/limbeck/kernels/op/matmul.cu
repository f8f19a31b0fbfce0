// C = op(A)·op(B) (+ bias), or C ← C + op(A)·op(B), for every product of a batch: op(A) [m,k],
// op(B) [k,n]; nt means that B is stored [n,k], tn that A is stored [k,m], tt both.
//
// One block per tile of C (and per part of a long sum), 2·m·n·k flops per product; a tile of size s
// reads 8·s·k bytes for 2·s²·k flops. The loops, their layouts and their reasons: ffma.cuh, mma.cuh.
#include "product.cuh"
#include "ffma.cuh"
#include "mma.cuh"

using namespace product;

#define MATMUL(symbol, Tile, T, A_RUNS, B_RUNS)                                                    \
  extern "C" __global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS) symbol(                \
      int m, int n, int k, int per_part, int narrow, int batch, int accumulate,                    \
      const T* __restrict__ a, const T* __restrict__ b, const float* __restrict__ bias, void* c,   \
      float* partial) {                                                                            \
    Place at(m, n, k, per_part, Tile::M, Tile::N);                                                 \
    long long size = static_cast<long long>(m) * n;                                                \
    Matrix<T, A_RUNS> left(a + static_cast<long long>(at.item) * m * k, m, k);                     \
    Matrix<T, B_RUNS> right(b + static_cast<long long>(at.item) * n * k, n, k);                    \
    auto result = [&] {                                                                            \
      Result<T, RowByRow> whole{c, bias, nullptr, accumulate != 0, narrow != 0, m, n, {}};         \
      Result<T, RowByRow> own = whole.part(partial, batch * size);                                 \
      long long bytes = at.item * size * (sizeof(T) == 2 && own.narrow ? 2 : 4);                   \
      own.c = static_cast<char*>(own.c) + bytes;                                                   \
      return own;                                                                                  \
    };                                                                                             \
    Tile::run(left, right, result, at);                                                            \
  }

#define MATMULS(size, Tile, T, arithmetic)                                                         \
  MATMUL(matmul_nn_##arithmetic##_##size, Tile, T, true, false)                                    \
  MATMUL(matmul_nt_##arithmetic##_##size, Tile, T, true, true)                                     \
  MATMUL(matmul_tn_##arithmetic##_##size, Tile, T, false, false)

MATMULS(large, Ffma<128>, float, f32)
MATMULS(small, Ffma<64>, float, f32)
MATMUL(matmul_tt_f32_small, Ffma<64>, float, false, true)
#if __CUDA_ARCH__ >= 800
MATMULS(large, Mma<128>, float, tf32)
MATMULS(small, Mma<64>, float, tf32)
MATMUL(matmul_tt_tf32_small, Mma<64>, float, false, true)
MATMULS(large, Mma<128>, Bf16, bf16)
MATMULS(small, Mma<64>, Bf16, bf16)
MATMUL(matmul_tt_bf16_small, Mma<64>, Bf16, false, true)
#else
MATMULS(small, Ffma<64>, Bf16, bf16)
MATMUL(matmul_tt_bf16_small, Ffma<64>, Bf16, false, true)
#endif
