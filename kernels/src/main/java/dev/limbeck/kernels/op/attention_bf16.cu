// Attention and its gradients (attention.cuh has the formulas) on BF16 operands and results: products by
// mma.m16n8k16, exponentials, their sums and all sums of products F32. From compute_80 on; d in multiples
// of 8.
//
// A block of 128 threads owns 64 rows of one head, 16 a warp, and 32, 64 or 128 features of their result;
// where d is more than 128, several blocks compute the same weights for different features. It walks
// over the columns 64 at a time: weights from products of rows and columns, in runs of 64 features, then
// weights times values. What the first product leaves in a thread is, rounded to pairs of BF16, what
// the second needs there: weights never leave registers. Every element of a result has one owner, which
// adds in order; so dq, dk and dv come from different blocks of one launch, as in attention.cuh.
//
// In shared memory a line is 64 features of a row or column, or all features of a value: chunks of 16
// bytes, chunk c of line r at c ^ (r mod 8) (lines of 4 chunks: c ^ (r/2 mod 4)), so that the eight lines of an
// ldmatrix fall into all 32 banks. Values are on their way while weights are computed; rows stay where one
// run holds them all (forward).
//
// 4·queries·keys·d flops forward and 16 backward, per head. A tile of 64·64 weights takes 2·64·d elements
// of 2 bytes from level 2 for 2·64·64·d multiply-adds: 32 of them per byte. 20 to 32 KB of shared memory;
// 3 blocks per multiprocessor at up to 168 registers, 2 for the gradient.

#include "bf16.cuh"
#include "product.cuh"
#include "mma.cuh"

#if __CUDA_ARCH__ >= 800
namespace attention {

using product::Bf16;
using product::load_matrices;

constexpr int THREADS = 128;
constexpr int ROWS = 64;
constexpr int COLUMNS = 64;
constexpr int RUN = 64;
constexpr int TILE = ROWS * RUN * 2;  // bytes
constexpr float LOG2_E = 1.44269504f;
constexpr float LN_2 = 0.69314718f;

/** 2^x within 2 units in the last place; NaN stays NaN. */
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ int lane() { return threadIdx.x % 32; }
__device__ __forceinline__ int first_row() { return threadIdx.x / 32 * 16; }

/** The thread's rows are row(0) and row(1), its columns column(j, 0) and column(j, 1) for j < 8. */
__device__ __forceinline__ int row(int i) { return first_row() + 8 * i + lane() / 4; }
__device__ __forceinline__ int column(int j, int e) { return 8 * j + lane() % 4 * 2 + e; }

/** Byte of a chunk of a line of CHUNKS chunks. */
template <int CHUNKS>
__device__ __forceinline__ int place(int line, int chunk) {
  int swizzled = CHUNKS == 4 ? chunk ^ (line / 2 & 3) : chunk ^ (line & 7);
  return (line * CHUNKS + swizzled) * 16;
}

/** One head of a matrix [N,length,heads·d]: rows of d features, stride elements apart. */
struct Head {
  int at;
  int length;
  int stride;
  int features;

  __device__ Head(int head, int heads, int length, int features)
      : at((head / heads * length * heads + head % heads) * features),
        length(length),
        stride(heads * features),
        features(features) {}

  /** Starts to copy 64 rows from row on, CHUNKS·8 features from from on; 0 past the last of them. */
  template <int CHUNKS>
  __device__ __forceinline__ void stage(
      const Bf16* __restrict__ x, int row, int from, unsigned to) const {
    constexpr int STEP = THREADS / CHUNKS;
    int line = threadIdx.x / CHUNKS;
    int chunk = threadIdx.x % CHUNKS;
    const Bf16* source = x + at + (row + line) * stride + from + chunk * 8;
#pragma unroll
    for (int i = 0; i < ROWS / STEP; i++) {
      bool inside = row + line + i * STEP < length && from + chunk * 8 < features;
      product::copy_async(to + place<CHUNKS>(line + i * STEP, chunk),
                          inside ? source + i * STEP * stride : nullptr, x);
    }
  }
};

/** Waits for this thread's copies, then for all threads. */
__device__ __forceinline__ void arrive() {
  product::commit();
  product::wait<0>();
  __syncthreads();
}

/** s += a·bᵀ for the tile at (row, column); a is not read again if it is there. */
__device__ __forceinline__ void products(
    const Head& left, const Bf16* a, int row, const Head& right, const Bf16* b, int column,
    bool there, unsigned shared, float (&s)[8][4]) {
  for (int from = 0; from < left.features; from += RUN) {
    __syncthreads();
    if (!there) {
      left.stage<RUN / 8>(a, row, from, shared);
    }
    right.stage<RUN / 8>(b, column, from, shared + TILE);
    arrive();
    int run = row + first_row() < left.length ? min(RUN, left.features - from) : 0;
#pragma unroll 1
    for (int k = 0; k < run; k += 16) {
      unsigned u[4];
      int line = first_row() + lane() % 16;
      load_matrices<false>(shared + place<RUN / 8>(line, k / 8 + lane() / 16), u);
#pragma unroll
      for (int j = 0; j < 8; j += 2) {
        unsigned v[4];
        line = j * 8 + lane() / 16 * 8 + lane() % 8;
        load_matrices<false>(shared + TILE + place<RUN / 8>(line, k / 8 + lane() / 8 % 2), v);
        product::multiply_add(Bf16(), s[j], u, v);
        product::multiply_add(Bf16(), s[j + 1], u, v + 2);
      }
    }
  }
}

/** acc += s·x for the 64 rows of x that lie at values. */
template <int W>
__device__ __forceinline__ void mix(
    const float (&s)[8][4], unsigned values, float (&acc)[W / 8][4]) {
#pragma unroll
  for (int k = 0; k < COLUMNS / 16; k++) {
    unsigned u[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float* pair = &s[2 * k + i / 2][i % 2 * 2];
      u[i] = bf16_rounded(pair[0], pair[1]);
    }
#pragma unroll
    for (int c = 0; c < W / 8; c += 2) {
      unsigned v[4];
      load_matrices<true>(values + place<W / 8>(k * 16 + lane() % 16, c + lane() / 16), v);
      product::multiply_add(Bf16(), acc[c], u, v);
      product::multiply_add(Bf16(), acc[c + 1], u, v + 2);
    }
  }
}

/** Writes the results of this warp, by way of its lines in the place of the values. */
template <int W>
__device__ __forceinline__ void write(
    const Head& head, Bf16* y, int first, int from, const float (&acc)[W / 8][4], char* values) {
  __syncthreads();
#pragma unroll
  for (int c = 0; c < W / 8; c++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      *reinterpret_cast<unsigned*>(values + place<W / 8>(row(i), c) + lane() % 4 * 4) =
          bf16_rounded(acc[c][2 * i], acc[c][2 * i + 1]);
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = lane(); i < 16 * W / 8; i += 32) {
    int line = first_row() + i / (W / 8);
    int c = i % (W / 8);
    if (first + line < head.length && from + c * 8 < head.features) {
      *reinterpret_cast<uint4*>(y + head.at + (first + line) * head.stride + from + c * 8) =
          *reinterpret_cast<const uint4*>(values + place<W / 8>(line, c));
    }
  }
}

/** The sum or maximum over the four lanes that share a row. */
template <class F>
__device__ __forceinline__ float across(float v, F f) {
  v = f(v, __shfl_xor_sync(0xFFFFFFFFu, v, 1));
  return f(v, __shfl_xor_sync(0xFFFFFFFFu, v, 2));
}

template <int W>
__device__ __forceinline__ void forward(
    int queries, int keys, int heads, int features, float scale, const Bf16* __restrict__ q,
    const Bf16* __restrict__ k, const Bf16* __restrict__ v, Bf16* __restrict__ o,
    float* __restrict__ log_sum) {
  __shared__ __align__(128) char memory[2 * TILE + COLUMNS * W * 2];
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(memory));
  const unsigned values = shared + 2 * TILE;
  const int blocks = (queries + ROWS - 1) / ROWS;
  const int head = blockIdx.x / blocks;
  const int first = blockIdx.x % blocks * ROWS;
  const int from = blockIdx.y * W;
  const Head left(head, heads, queries, features);
  const Head right(head, heads, keys, features);
  const float infinity = __int_as_float(0x7F800000);
  float top[2] = {-infinity, -infinity};  // the running maximum of a row, in powers of 2
  float sum[2] = {};                      // this thread's part of the row's sum
  float acc[W / 8][4] = {};
  for (int at = 0; at < keys; at += COLUMNS) {
    float s[8][4] = {};
    __syncthreads();
    right.stage<W / 8>(v, at, from, values);
    products(left, q, first, right, k, at, at > 0 && features <= RUN, shared, s);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float most = top[i];
#pragma unroll
      for (int u = 0; u < 16; u++) {
        float& w = s[u / 2][2 * i + u % 2];
        w = at + column(u / 2, u % 2) < keys ? w * (scale * LOG2_E) : -infinity;
        most = fmaxf(most, w);
      }
      most = across(most, [](float x, float y) { return fmaxf(x, y); });
      const float shrink = power2(top[i] - most);
      top[i] = most;
      sum[i] *= shrink;
#pragma unroll
      for (int u = 0; u < 16; u++) {
        float& w = s[u / 2][2 * i + u % 2];
        w = power2(w - most);
        sum[i] += w;
      }
#pragma unroll
      for (int c = 0; c < W / 8; c++) {
        acc[c][2 * i] *= shrink;
        acc[c][2 * i + 1] *= shrink;
      }
    }
    mix<W>(s, values, acc);
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
    sum[i] = across(sum[i], [](float x, float y) { return x + y; });
    if (blockIdx.y == 0 && lane() % 4 == 0 && first + row(i) < queries) {
      log_sum[head * queries + first + row(i)] = fmaf(top[i], LN_2, mathf::log(sum[i]));
    }
    const float factor = 1.0f / sum[i];
#pragma unroll
    for (int c = 0; c < W / 8; c++) {
      acc[c][2 * i] *= factor;
      acc[c][2 * i + 1] *= factor;
    }
  }
  write<W>(left, o, first, from, acc, memory + 2 * TILE);
}

/** What the blocks of one launch find: the first of each head write dq, then dk, then dv. */
struct Gradient {
  const Bf16 *q, *k, *v;
  const Bf16* g;         // do
  const float* log_sum;  // l
  const float* dots;     // Σ do∘o, in the layout of l
  Bf16 *dq, *dk, *dv;
};

template <int W>
__device__ __forceinline__ void backward(
    int queries, int keys, int heads, int features, float scale, const Gradient& x) {
  __shared__ __align__(128) char memory[2 * TILE + COLUMNS * W * 2];
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(memory));
  const unsigned values = shared + 2 * TILE;
  const int query_blocks = (queries + ROWS - 1) / ROWS;
  const int key_blocks = (keys + ROWS - 1) / ROWS;
  const int blocks = query_blocks + 2 * key_blocks;
  const int head = blockIdx.x / blocks;
  const int block = blockIdx.x % blocks;
  const bool by_query = block < query_blocks;
  const bool by_value = block >= query_blocks + key_blocks;
  const int first = (by_query ? block : (block - query_blocks) % key_blocks) * ROWS;
  const int from = blockIdx.y * W;
  const Head left(head, heads, by_query ? queries : keys, features);
  const Head right(head, heads, by_query ? keys : queries, features);
  const float* log_sum = x.log_sum + head * queries;
  const float* dots = x.dots + head * queries;
  // Of two terms one is 0: l and Σ do∘o belong to rows where rows are queries, else to columns.
  float row_log[2];
  float row_dot[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const bool mine = by_query && first + row(i) < queries;
    row_log[i] = mine ? __ldg(log_sum + first + row(i)) : 0.0f;
    row_dot[i] = mine ? __ldg(dots + first + row(i)) : 0.0f;
  }
  float acc[W / 8][4] = {};
  for (int at = 0; at < right.length; at += COLUMNS) {
    float s[8][4] = {};
    float ds[8][4] = {};
    __syncthreads();
    right.stage<W / 8>(by_query ? x.k : by_value ? x.g : x.q, at, from, values);
    products(left, by_query ? x.q : x.k, first, right, by_query ? x.k : x.q, at, false, shared, s);
    if (!by_value) {
      products(left, by_query ? x.g : x.v, first, right, by_query ? x.v : x.g, at, false, shared,
               ds);
    }
#pragma unroll
    for (int u = 0; u < 16; u++) {
      const int c = at + column(u / 2, u % 2);
      const bool mine = !by_query && c < queries;
      const float log = mine ? __ldg(log_sum + c) : 0.0f;
      const float dot = mine ? __ldg(dots + c) : 0.0f;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float& w = s[u / 2][2 * i + u % 2];
        const float p = power2(fmaf(w, scale, -(row_log[i] + log)) * LOG2_E);
        const float d = (ds[u / 2][2 * i + u % 2] - (row_dot[i] + dot)) * p * scale;
        w = c >= right.length ? 0.0f : by_value ? p : d;
      }
    }
    mix<W>(s, values, acc);
  }
  write<W>(left, by_query ? x.dq : by_value ? x.dv : x.dk, first, from, acc, memory + 2 * TILE);
}

/** dots[n,h,t] = Σ do∘o for each row of a head; one warp a row, two features a lane. */
extern "C" __global__ void attention_dots_bf16(
    int rows, int queries, int heads, int features, const unsigned* __restrict__ o,
    const unsigned* __restrict__ g, float* __restrict__ dots) {
  for (int i = grid_first() / 32; i < rows; i += grid_stride() / 32) {
    float sum = 0.0f;
    for (int c = lane(); c < features / 2; c += 32) {
      unsigned u = o[i * (features / 2) + c];
      unsigned v = g[i * (features / 2) + c];
      sum = fmaf(bf16_low(u), bf16_low(v), sum);
      sum = fmaf(bf16_high(u), bf16_high(v), sum);
    }
    sum = warp_sum(sum);
    if (lane() == 0) {
      const int at = i / heads;
      dots[(at / queries * heads + i % heads) * queries + at % queries] = sum;
    }
  }
}

#define ATTENTION(W)                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS, 3) attention_##W##_bf16(                   \
      int queries, int keys, int heads, int features, float scale, const Bf16* q, const Bf16* k,   \
      const Bf16* v, Bf16* o, float* log_sum) {                                                    \
    forward<W>(queries, keys, heads, features, scale, q, k, v, o, log_sum);                        \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) attention_grad_##W##_bf16(              \
      int queries, int keys, int heads, int features, float scale, const Bf16* q, const Bf16* k,   \
      const Bf16* v, const Bf16* g, const float* log_sum, const float* dots, Bf16* dq, Bf16* dk,   \
      Bf16* dv) {                                                                                  \
    Gradient x = {q, k, v, g, log_sum, dots, dq, dk, dv};                                          \
    backward<W>(queries, keys, heads, features, scale, x);                                         \
  }

ATTENTION(32)
ATTENTION(64)
ATTENTION(128)

}  // namespace attention
#endif
