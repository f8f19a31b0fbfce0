// o = softmax(s·q·kᵀ)·v for each head, with l = ln Σ exp(s·q·kᵀ), and the gradients
//   P = exp(s·q·kᵀ − l), dS = s·P∘(do·vᵀ − Σ do∘o), dq = dS·k, dk = dSᵀ·q, dv = Pᵀ·do.
// q, o [N,queries,heads·d], k, v [N,keys,heads·d], l [N,heads,queries]; any sizes, any d.
// Milakov and Gimelshein 2018, 1805.02867; Dao et al. 2022, 2205.14135.
//
// Each of these is: weights from products of rows and columns, then weights times values, summed
// over columns. A block of 128 threads owns 64 or 128 rows of one head and 16, 32, 64 or 128 features
// of their result; where d is more than 128, several blocks compute the same weights for different
// features. It walks over the columns 64 at a time; rows and columns pass through shared memory in
// runs of 32 features, so that d is free. Every element of a result has one owner, which adds in
// order: no atomics. So dq, dk and dv come from different blocks, of one launch: 3 + 3 + 2 products
// instead of the 5 of a joint pass, which would have to add dq up across blocks.
//
// 4·queries·keys·d flops forward and 16 backward, per head. A tile of 64·64 weights takes 3·64·d
// elements from level 2 for 2·64·64·d multiply-adds: 10 of them per byte. Loads and stores are 16 bytes
// where d is a multiple of 4, single elements else. Loads are not overlapped with the arithmetic of
// their own block but with that of the other two or one on the multiprocessor.
//
// The engines, Ffma of attention.cu and Mma of attention_tf32.cu, say who holds what: R rows of E
// weights and C results in a thread, which weight stands where, and how tiles are multiplied.

#pragma once

namespace attention {

constexpr int THREADS = 128;
constexpr int COLUMNS = 64;  // columns of a tile of weights
constexpr int RUN = 32;      // features at a time
constexpr float LOG2_E = 1.44269504f;
constexpr float LN_2 = 0.69314718f;

/** 2^x within 2 units in the last place; NaN stays NaN, unlike in mathf::decay. */
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#if __CUDA_ARCH__ >= 800
constexpr bool HAS_COPY = true;

/** Starts to copy 16 bytes to shared memory, or zeros; needs no register on the way. */
__device__ __forceinline__ void copy(const float* from, float* to, bool inside) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
               : "memory");
}

/** Waits for this thread's copies, then for all threads. */
__device__ __forceinline__ void arrive() {
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
}
#else
constexpr bool HAS_COPY = false;
__device__ __forceinline__ void copy(const float*, float*, bool) {}
__device__ __forceinline__ void arrive() { __syncthreads(); }
#endif

/**
 * Reads N elements of shared memory. In assembly, because from plain code nvcc 13.0 makes other PTX
 * from one run to the next, with some of the loads split and done twice.
 */
template <int N>
__device__ __forceinline__ void load(const float* from, float* to) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(from));
  if constexpr (N == 4) {
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(to[0]), "=f"(to[1]), "=f"(to[2]), "=f"(to[3])
                 : "r"(at));
  } else if constexpr (N == 2) {
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(to[0]), "=f"(to[1]) : "r"(at));
  } else {
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(to[0]) : "r"(at));
  }
}

template <int N>
__device__ __forceinline__ void store(const float* from, float* to) {
  if constexpr (N == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  } else if constexpr (N == 2) {
    *reinterpret_cast<float2*>(to) = make_float2(from[0], from[1]);
  } else {
    to[0] = from[0];
  }
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

  /** Copies L rows from row on, W features from from on; 0 past the last row or feature. */
  template <class P, int L, int W>
  __device__ __forceinline__ void stage(
      const float* __restrict__ x, int row, int from, float* to, int pitch) const {
    x += at;
    if (features % 4 != 0) {
#pragma unroll 1
      for (int i = threadIdx.x; i < L * W; i += THREADS) {
        int r = row + i / W;
        int c = from + i % W;
        float v = r < length && c < features ? x[r * stride + c] : 0.0f;
        to[i / W * pitch + i % W] = P::round(v);
      }
      return;
    }
    constexpr int STEP = THREADS / (W / 4);  // rows at a time, 16 bytes a thread
    constexpr int EACH = L / STEP;
    static_assert(EACH * STEP == L, "every thread copies as much");
    row += threadIdx.x / (W / 4);
    from += threadIdx.x % (W / 4) * 4;
    to += threadIdx.x / (W / 4) * pitch + threadIdx.x % (W / 4) * 4;
    const float* source = x + row * stride + from;
    float v[P::ASYNCHRONOUS ? 1 : EACH][4];  // all loads, then all stores: a thread waits once
#pragma unroll
    for (int u = 0; u < EACH; u++) {
      bool inside = row + u * STEP < length && from < features;
      const float* each = inside ? source + u * STEP * stride : x;
      if constexpr (P::ASYNCHRONOUS) {
        copy(each, to + u * STEP * pitch, inside);
      } else {
        float4 w = *reinterpret_cast<const float4*>(each);
        v[u][0] = inside ? P::round(w.x) : 0.0f;
        v[u][1] = inside ? P::round(w.y) : 0.0f;
        v[u][2] = inside ? P::round(w.z) : 0.0f;
        v[u][3] = inside ? P::round(w.w) : 0.0f;
      }
    }
#pragma unroll
    for (int u = 0; u < EACH && !P::ASYNCHRONOUS; u++) {
      store<4>(v[u], to + u * STEP * pitch);
    }
  }

  /** Writes the results of this thread. */
  template <class P>
  __device__ __forceinline__ void write(
      float* y, int row, int from, const float (&acc)[P::R][P::C]) const {
#pragma unroll
    for (int u = 0; u < P::R * P::C; u += P::VECTOR) {
      int r = row + P::row(u / P::C);
      int c = from + P::result(u % P::C);
      const float* v = &acc[u / P::C][u % P::C];
      if (r < length && features % P::VECTOR == 0 && c < features) {
        store<P::VECTOR>(v, y + at + r * stride + c);
      } else if (r < length) {
#pragma unroll
        for (int e = 0; e < P::VECTOR; e++) {
          if (c + e < features) {
            y[at + r * stride + c + e] = v[e];
          }
        }
      }
    }
  }
};

/** s += a·bᵀ for the tile at (row, column). */
template <class P>
__device__ __forceinline__ void products(
    const Head& left, const float* a, int row, const Head& right, const float* b, int column,
    float* shared, float (&s)[P::R][P::E]) {
  float* second = shared + P::ROWS * P::PITCH;
  for (int from = 0; from < left.features; from += RUN) {
    __syncthreads();
    left.stage<P, P::ROWS, RUN>(a, row, from, shared, P::PITCH);
    right.stage<P, COLUMNS, RUN>(b, column, from, second, P::PITCH);
    arrive();
    if (row + P::first_row() < left.length) {
      P::multiply(shared, second, min(RUN, (left.features - from + 7) / 8 * 8), s);
    }
  }
}

/** acc += s·x for the rows of x from column on, and its features from from on. */
template <class P>
__device__ __forceinline__ void mix(
    float (&s)[P::R][P::E], const Head& right, const float* x, int column, int from,
    float* shared, float (&acc)[P::R][P::C]) {
  __syncthreads();
  P::keep(shared, s);
#pragma unroll(P::UNROLL)
  for (int first = 0; first < COLUMNS; first += P::VALUES) {
    if (first > 0) {
      __syncthreads();
    }
    float* to = shared + P::VALUES_AT;
    right.stage<P, P::VALUES, P::WIDTH>(x, column + first, from, to, P::VALUE_PITCH);
    arrive();
    P::accumulate(shared, s, first, acc);
  }
}

/** The sum or maximum over the lanes that share a row. */
template <int LANES, class F>
__device__ __forceinline__ float across(float v, F f) {
#pragma unroll
  for (int d = LANES / 2; d > 0; d /= 2) {
    v = f(v, __shfl_xor_sync(0xFFFFFFFFu, v, d));
  }
  return v;
}

template <class P>
__device__ __forceinline__ void forward(
    int queries, int keys, int heads, int features, float scale, const float* __restrict__ q,
    const float* __restrict__ k, const float* __restrict__ v, float* __restrict__ o,
    float* __restrict__ log_sum) {
  __shared__ __align__(16) float shared[P::SHARED];
  const int blocks = (queries + P::ROWS - 1) / P::ROWS;
  const int head = blockIdx.x / blocks;
  const int row = blockIdx.x % blocks * P::ROWS;
  const int from = blockIdx.y * P::WIDTH;
  const Head left(head, heads, queries, features);
  const Head right(head, heads, keys, features);
  const float infinity = __int_as_float(0x7F800000);
  float top[P::R];  // the running maximum of a row, in powers of 2
  float sum[P::R];  // this thread's part of the row's sum
  float acc[P::R][P::C] = {};
#pragma unroll
  for (int i = 0; i < P::R; i++) {
    top[i] = -infinity;
    sum[i] = 0.0f;
  }
  for (int column = 0; column < keys; column += COLUMNS) {
    float s[P::R][P::E] = {};
    products<P>(left, q, row, right, k, column, shared, s);
#pragma unroll
    for (int i = 0; i < P::R; i++) {
      float most = top[i];
#pragma unroll
      for (int j = 0; j < P::E; j++) {
        s[i][j] = column + P::column(j) < keys ? s[i][j] * (scale * LOG2_E) : -infinity;
        most = fmaxf(most, s[i][j]);
      }
      most = across<P::LANES>(most, [](float x, float y) { return fmaxf(x, y); });
      const float shrink = power2(top[i] - most);
      top[i] = most;
      sum[i] *= shrink;
#pragma unroll
      for (int j = 0; j < P::E; j++) {
        s[i][j] = power2(s[i][j] - most);
        sum[i] += s[i][j];
      }
#pragma unroll
      for (int c = 0; c < P::C; c++) {
        acc[i][c] *= shrink;
      }
    }
    mix<P>(s, right, v, column, from, shared, acc);
  }
#pragma unroll
  for (int i = 0; i < P::R; i++) {
    sum[i] = across<P::LANES>(sum[i], [](float x, float y) { return x + y; });
    if (blockIdx.y == 0 && threadIdx.x % P::LANES == 0 && row + P::row(i) < queries) {
      log_sum[head * queries + row + P::row(i)] = fmaf(top[i], LN_2, mathf::log(sum[i]));
    }
    const float factor = 1.0f / sum[i];
#pragma unroll
    for (int c = 0; c < P::C; c++) {
      acc[i][c] *= factor;
    }
  }
  left.write<P>(o, row, from, acc);
}

/** What the blocks of one launch find: the first of each head write dq, then dk, then dv. */
struct Gradient {
  const float *q, *k, *v;
  const float* g;        // do
  const float* log_sum;  // l
  const float* dots;     // Σ do∘o, in the layout of l
  float *dq, *dk, *dv;
};

template <class P>
__device__ __forceinline__ void backward(
    int queries, int keys, int heads, int features, float scale, const Gradient& x) {
  __shared__ __align__(16) float shared[P::SHARED];
  const int query_blocks = (queries + P::ROWS - 1) / P::ROWS;
  const int key_blocks = (keys + P::ROWS - 1) / P::ROWS;
  const int blocks = query_blocks + 2 * key_blocks;
  const int head = blockIdx.x / blocks;
  const int block = blockIdx.x % blocks;
  const bool by_query = block < query_blocks;
  const bool by_value = block >= query_blocks + key_blocks;
  const int row = (by_query ? block : (block - query_blocks) % key_blocks) * P::ROWS;
  const int from = blockIdx.y * P::WIDTH;
  const Head left(head, heads, by_query ? queries : keys, features);
  const Head right(head, heads, by_query ? keys : queries, features);
  const float* log_sum = x.log_sum + head * queries;
  const float* dots = x.dots + head * queries;
  float acc[P::R][P::C] = {};
  for (int column = 0; column < right.length; column += COLUMNS) {
    float s[P::R][P::E] = {};
    float ds[P::R][P::E] = {};
    products<P>(left, by_query ? x.q : x.k, row, right, by_query ? x.k : x.q, column, shared, s);
    if (!by_value) {
      products<P>(left, by_query ? x.g : x.v, row, right, by_query ? x.v : x.g, column, shared, ds);
    }
    // Of two terms one is 0: l and Σ do∘o belong to rows where rows are queries, else to columns.
    float row_log[P::R];
    float row_dot[P::R];
#pragma unroll
    for (int i = 0; i < P::R; i++) {
      const int r = row + P::row(i);
      const bool mine = by_query && r < queries;
      row_log[i] = mine ? __ldg(log_sum + r) : 0.0f;
      row_dot[i] = mine ? __ldg(dots + r) : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < P::E; j++) {
      const int c = column + P::column(j);
      const bool mine = !by_query && c < queries;
      const float log = mine ? __ldg(log_sum + c) : 0.0f;
      const float dot = mine ? __ldg(dots + c) : 0.0f;
#pragma unroll
      for (int i = 0; i < P::R; i++) {
        const float p = power2(fmaf(s[i][j], scale, -(row_log[i] + log)) * LOG2_E);
        const float d = (ds[i][j] - (row_dot[i] + dot)) * p * scale;
        s[i][j] = c >= right.length ? 0.0f : by_value ? p : d;
      }
    }
    mix<P>(s, right, by_query ? x.k : by_value ? x.g : x.q, column, from, shared, acc);
  }
  left.write<P>(by_query ? x.dq : by_value ? x.dv : x.dk, row, from, acc);
}


#define ATTENTION(name, forward_engine, backward_engine)                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, forward_engine::BLOCKS) attention_##name(                         \
      int queries, int keys, int heads, int features, float scale, const float* q,                \
      const float* k, const float* v, float* o, float* log_sum) {                                 \
    forward<forward_engine>(queries, keys, heads, features, scale, q, k, v, o, log_sum);          \
  }                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS, backward_engine::GRAD_BLOCKS) attention_grad_##name(                    \
      int queries, int keys, int heads, int features, float scale, const float* q,                \
      const float* k, const float* v, const float* g, const float* log_sum, const float* dots,    \
      float* dq, float* dk, float* dv) {                                                          \
    Gradient x = {q, k, v, g, log_sum, dots, dq, dk, dv};                                         \
    backward<backward_engine>(queries, keys, heads, features, scale, x);                          \
  }

}  // namespace attention
