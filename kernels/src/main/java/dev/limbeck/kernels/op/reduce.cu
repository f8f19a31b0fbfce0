// Reductions: the middle axis of x [outer, count, inner] by sum (times s) or maximum, Σ (p − t)² along
// rows, √Σ x², whether all is finite, where the maximum is. NaN passes through maxima, as on the CPU.
//
// Long sums take two launches: blocks that each take a run of rows or elements, whose size follows
// from the shape, then the same over their results. 4 bytes per element. Along a contiguous axis a
// team of threads (Team.java) reads float4 between a ragged head and tail, with four sums each;
// across rows a thread has one or four columns, and neighbouring threads neighbouring columns.

struct Sum {
  static __device__ __forceinline__ float start() { return 0.0f; }
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

struct Max {
  static __device__ __forceinline__ float start() { return __int_as_float(0xFF800000); }
  __device__ __forceinline__ float operator()(float a, float b) const {
    return mathf::max_nan(a, b);
  }
};

/** What is summed: x, x² or (x − y)². */
struct Values {
  const float* __restrict__ x;
  __device__ __forceinline__ float one(unsigned i) const { return x[i]; }
  __device__ __forceinline__ void four(unsigned i, float (&v)[4]) const { load(x + i, v); }
};

struct Squares {
  const float* __restrict__ x;
  __device__ __forceinline__ float one(unsigned i) const { return x[i] * x[i]; }
  __device__ __forceinline__ void four(unsigned i, float (&v)[4]) const {
    load(x + i, v);
    for (int k = 0; k < 4; k++) {
      v[k] *= v[k];
    }
  }
};

struct SquaredErrors {
  const float* __restrict__ x;
  const float* __restrict__ y;
  __device__ __forceinline__ float one(unsigned i) const { return (x[i] - y[i]) * (x[i] - y[i]); }
  __device__ __forceinline__ void four(unsigned i, float (&v)[4]) const {
    float w[4];
    load(x + i, v);
    load(y + i, w);
    for (int k = 0; k < 4; k++) {
      v[k] = (v[k] - w[k]) * (v[k] - w[k]);
    }
  }
};

/** y[o, s] = scale·f over elements [s·run, (s + 1)·run) of row o; one team for each. */
template <class F, class X>
__device__ __forceinline__ void rows(
    int outer, int count, int size, int run, int splits, float scale, X x, float* y) {
  __shared__ float shared[32];
  F f;
  Team team(size, shared);
  bool live = team.index < outer * splits;
  unsigned from = team.index % splits * run;
  unsigned start = team.index / splits * count + from;
  unsigned n = live ? min(static_cast<unsigned>(run), count - from) : 0;
  float v[4] = {F::start(), F::start(), F::start(), F::start()};
  // Elements before the first that is aligned to 16 bytes.
  unsigned head = min(n, -start & 3);
  for (unsigned i = team.rank; i < head; i += size) {
    v[0] = f(v[0], x.one(start + i));
  }
  unsigned quads = (n - head) / 4;
#pragma unroll 4
  for (unsigned q = team.rank; q < quads; q += size) {
    float w[4];
    x.four(start + head + 4 * q, w);
#pragma unroll
    for (int k = 0; k < 4; k++) {
      v[k] = f(v[k], w[k]);
    }
  }
  for (unsigned i = head + 4 * quads + team.rank; i < n; i += size) {
    v[1] = f(v[1], x.one(start + i));
  }
  float r = team.all(f(f(v[0], v[1]), f(v[2], v[3])), F::start(), f);
  if (live && team.rank == 0) {
    y[team.index] = scale * r;
  }
}

/**
 * y[o, s, :] = scale·f over rows [s·run, (s + 1)·run) of x [o, count, inner], in tiles of `units`
 * times V columns, added to what y holds if `accumulate`.
 */
template <class F, int V>
__device__ __forceinline__ void columns(
    int count, int inner, int run, int splits, int units, int tiles, float scale, int accumulate,
    const float* __restrict__ x, float* y) {
  extern __shared__ float shared[];
  F f;
  unsigned lanes = blockDim.x / units;
  unsigned lane = threadIdx.x / units;
  unsigned column = (blockIdx.x % tiles * units + threadIdx.x % units) * V;
  unsigned split = blockIdx.x / tiles;
  unsigned from = split % splits * run;
  unsigned to = min(from + run, static_cast<unsigned>(count));
  bool live = column < inner;
  x += static_cast<size_t>(split / splits) * count * inner + column;
  float v[V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    v[k] = F::start();
  }
  if (live && lane < lanes) {
#pragma unroll 4
    for (unsigned r = from + lane; r < to; r += lanes) {
      float w[V];
      load(x + r * inner, w);
#pragma unroll
      for (int k = 0; k < V; k++) {
        v[k] = f(v[k], w[k]);
      }
    }
  }
  reduce_rows(v, units, lanes, shared, f);
  if (live && lane == 0) {
    y += split * inner + column;
    float w[V];
    if (accumulate) {
      load(y, w);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      v[k] = accumulate ? fmaf(scale, v[k], w[k]) : scale * v[k];
    }
    store(y, v);
  }
}

/** y[o, i] = scale·f over x[o, :, i], one thread for V results. */
template <class F, int V>
__device__ __forceinline__ void each_column(
    int outer, int count, int inner, float scale, int accumulate, const float* __restrict__ x,
    float* y) {
  F f;
  unsigned units = inner / V;
  for (unsigned t = grid_first(); t < outer * units; t += grid_stride()) {
    const float* from = x + static_cast<size_t>(t / units) * count * inner + t % units * V;
    float v[V];
    float w[V];
#pragma unroll
    for (int k = 0; k < V; k++) {
      v[k] = F::start();
    }
#pragma unroll 4
    for (unsigned r = 0; r < count; r++) {
      load(from + r * inner, w);
#pragma unroll
      for (int k = 0; k < V; k++) {
        v[k] = f(v[k], w[k]);
      }
    }
    if (accumulate) {
      load(y + t * V, w);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      v[k] = accumulate ? fmaf(scale, v[k], w[k]) : scale * v[k];
    }
    store(y + t * V, v);
  }
}

#define REDUCE(name, F)                                                                           \
  extern "C" __global__ void __launch_bounds__(256) name##_rows_f32(                               \
      int outer, int count, int size, int run, int splits, float scale,                           \
      const float* __restrict__ x, float* __restrict__ y) {                                       \
    rows<F>(outer, count, size, run, splits, scale, Values{x}, y);                                \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) name##_columns_f32(                            \
      int count, int inner, int run, int splits, int units, int tiles, int packed, float scale,   \
      int accumulate, const float* __restrict__ x, float* __restrict__ y) {                       \
    if (packed) {                                                                                 \
      columns<F, 4>(count, inner, run, splits, units, tiles, scale, accumulate, x, y);            \
    } else {                                                                                      \
      columns<F, 1>(count, inner, run, splits, units, tiles, scale, accumulate, x, y);            \
    }                                                                                             \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) name##_each_f32(                               \
      int outer, int count, int inner, int packed, float scale, int accumulate,                   \
      const float* __restrict__ x, float* __restrict__ y) {                                       \
    if (packed) {                                                                                 \
      each_column<F, 4>(outer, count, inner, scale, accumulate, x, y);                            \
    } else {                                                                                      \
      each_column<F, 1>(outer, count, inner, scale, accumulate, x, y);                            \
    }                                                                                             \
  }

REDUCE(reduce_sum, Sum)
REDUCE(reduce_max, Max)

// out[r] = Σ_j (p[r, j] − t[r, j])² over runs of each row.
extern "C" __global__ void __launch_bounds__(256)
    row_squared_error_f32(int outer, int count, int size, int run, int splits, float scale,
                          const float* __restrict__ p, const float* __restrict__ t,
                          float* __restrict__ y) {
  rows<Sum>(outer, count, size, run, splits, scale, SquaredErrors{p, t}, y);
}

extern "C" __global__ void __launch_bounds__(256)
    sum_of_squares_f32(int outer, int count, int size, int run, int splits, float scale,
                       const float* __restrict__ x, float* __restrict__ y) {
  rows<Sum>(outer, count, size, run, splits, scale, Squares{x}, y);
}

// result[0] = √Σ x over a few thousand sums; one warp, in double: neither order nor size matters.
extern "C" __global__ void global_norm_f32(
    int n, const float* __restrict__ x, float* __restrict__ result) {
  double sum = 0.0;
  for (unsigned i = threadIdx.x; i < n; i += 32) {
    sum += x[i];
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) {
    result[0] = static_cast<float>(sqrt(sum));
  }
}

// y[0] ← 1, which the next launch overwrites if some element is not finite.
extern "C" __global__ void all_finite_start_f32(float* y) {
  if (grid_first() == 0) {
    y[0] = 1.0f;
  }
}

// y[0] ← 0 if an exponent has all its bits set; whoever writes, writes the same.
extern "C" __global__ void all_finite_f32(int n, const float* __restrict__ x, float* y) {
  auto bad = [](float v) {
    return (__float_as_uint(v) & 0x7F800000u) == 0x7F800000u;
  };
  bool any = false;
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float v[4];
    load(x + 4 * i, v);
    any |= bad(v[0]) | bad(v[1]) | bad(v[2]) | bad(v[3]);
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    any |= bad(x[i]);
  }
  if (any) {
    atomicExch(y, 0.0f);
  }
}

// y[o, i] = the first c with x[o, c, i] = max over c; lanes of a warp for each. x[0] stays the best if it is
// NaN, and a later NaN never is, as in the comparisons of the CPU's loop.
extern "C" __global__ void __launch_bounds__(256)
    argmax_f32(int outer, int count, int inner, int size, const float* __restrict__ x,
               int* __restrict__ y) {
  __shared__ float shared[32];
  Team team(size, shared);
  bool live = team.index < outer * inner;
  x += static_cast<size_t>(team.index / inner) * count * inner + team.index % inner;
  float best = __int_as_float(0xFF800000);
  int at = 0x7FFFFFFF;
  if (live) {
    for (unsigned c = team.rank; c < count; c += size) {
      float v = x[c * inner];
      if (v > best || (v == best && c < at)) {
        best = v;
        at = c;
      }
    }
  }
  float most = team.all(best, best, [](float a, float b) { return fmaxf(a, b); });
  unsigned first = best == most ? at : 0x7FFFFFFF;
  for (unsigned d = size / 2; d > 0; d /= 2) {
    first = min(first, __shfl_xor_sync(0xFFFFFFFFu, first, d));
  }
  if (live && team.rank == 0) {
    float start = x[0];
    y[team.index] = start != start ? 0 : first;
  }
}
