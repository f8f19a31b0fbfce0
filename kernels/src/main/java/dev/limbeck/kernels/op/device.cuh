// What every .cu file of this folder may use; the script kernels/ptx includes it before the file
// itself (nvcc -include), and so does NVRTC. No CUDA header is needed.
//
// Compiled with -fmad=false: a product and a sum are two roundings, as in Java, unless fmaf is
// written. Elementwise results are then the CPU's, bit for bit.
//
// Every pointer to a buffer is aligned to 128 bytes (Launcher), so that element 4i of an F32 buffer
// may be read as a float4.

/** The first index of this thread in a loop over the whole grid, and the loop's stride. */
__device__ __forceinline__ unsigned grid_first() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ unsigned grid_stride() { return gridDim.x * blockDim.x; }

/** ⌊n/d⌋ for 0 ≤ n < 2³¹ without a division; Divisor.java makes multiplier and shift from d. */
__device__ __forceinline__ unsigned quotient(unsigned n, unsigned multiplier, int shift) {
  return (__umulhi(n, multiplier) + n) >> shift;
}

// ---- elementwise loops: 16 bytes at a time, then the last n mod 4 elements ----

/** y[i] = f(x[i]); y may be x, if neither pointer is __restrict__. */
template <class F>
__device__ __forceinline__ void map(int n, const float* x, float* y, F f) {
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float4 v = reinterpret_cast<const float4*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = f(x[i]);
  }
}

/** y[i] = f(a[i], b[i]); y may be a or b, if they are not __restrict__. */
template <class F>
__device__ __forceinline__ void map(int n, const float* a, const float* b, float* y, F f) {
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float4 u = reinterpret_cast<const float4*>(a)[i];
    float4 v = reinterpret_cast<const float4*>(b)[i];
    reinterpret_cast<float4*>(y)[i] =
        make_float4(f(u.x, v.x), f(u.y, v.y), f(u.z, v.z), f(u.w, v.w));
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = f(a[i], b[i]);
  }
}

// ---- reductions: the order of the terms depends on the block's size alone ----

/** The sum over the 32 lanes of a warp, in every lane. */
__device__ __forceinline__ float warp_sum(float v) {
  for (int d = 16; d > 0; d >>= 1) {
    v += __shfl_xor_sync(0xFFFFFFFFu, v, d);
  }
  return v;
}

__device__ __forceinline__ double warp_sum(double v) {
  for (int d = 16; d > 0; d >>= 1) {
    v += __shfl_xor_sync(0xFFFFFFFFu, v, d);
  }
  return v;
}

/** The maximum over the 32 lanes of a warp, in every lane. */
__device__ __forceinline__ float warp_max(float v) {
  for (int d = 16; d > 0; d >>= 1) {
    v = fmaxf(v, __shfl_xor_sync(0xFFFFFFFFu, v, d));
  }
  return v;
}

/**
 * The sum over a block of whole warps, in every thread. All threads must call it; shared has 32
 * floats, and may be used again at once.
 */
__device__ __forceinline__ float block_sum(float v, float* shared) {
  v = warp_sum(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    shared[threadIdx.x / 32] = v;
  }
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? shared[threadIdx.x % 32] : 0.0f);
}

/** The maximum over a block; see block_sum. */
__device__ __forceinline__ float block_max(float v, float* shared) {
  v = warp_max(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    shared[threadIdx.x / 32] = v;
  }
  __syncthreads();
  return warp_max(threadIdx.x % 32 < blockDim.x / 32 ? shared[threadIdx.x % 32] : shared[0]);
}

// ---- four neighbouring elements, or one where a row is not a multiple of four ----

template <int V>
__device__ __forceinline__ void load(const float* x, float (&v)[V]) {
  static_assert(V == 1 || V == 4, "one element or four");
  if constexpr (V == 4) {
    float4 f = *reinterpret_cast<const float4*>(x);
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
  } else {
    v[0] = *x;
  }
}

template <int V>
__device__ __forceinline__ void store(float* y, const float (&v)[V]) {
  if constexpr (V == 4) {
    *reinterpret_cast<float4*>(y) = make_float4(v[0], v[1], v[2], v[3]);
  } else {
    *y = v[0];
  }
}

// ---- rows that several threads share (Team.java) ----

/** size threads: 1, 2, 4, 8, 16 or 32 lanes of a warp, or all threads of a block of whole warps. */
struct Team {
  unsigned size;
  unsigned rank;
  unsigned index;
  float* shared;

  /** shared has 32 floats; it is used only where the team is a block. */
  __device__ __forceinline__ Team(unsigned size, float* shared)
      : size(size),
        rank(threadIdx.x % size),
        index(blockIdx.x * (blockDim.x / size) + threadIdx.x / size),
        shared(shared) {}

  /** f over the values of all threads, in each of them; every thread of the block must call it. */
  template <class F>
  __device__ __forceinline__ float all(float v, float neutral, F f) const {
    for (unsigned d = (size < 32 ? size : 32) / 2; d > 0; d /= 2) {
      v = f(v, __shfl_xor_sync(0xFFFFFFFFu, v, d));
    }
    if (size > 32) {
      __syncthreads();
      if (threadIdx.x % 32 == 0) {
        shared[threadIdx.x / 32] = v;
      }
      __syncthreads();
      v = threadIdx.x % 32 < size / 32 ? shared[threadIdx.x % 32] : neutral;
      for (unsigned d = 16; d > 0; d /= 2) {
        v = f(v, __shfl_xor_sync(0xFFFFFFFFu, v, d));
      }
    }
    return v;
  }

  __device__ __forceinline__ float sum(float v) const {
    return all(v, 0.0f, [](float a, float b) { return a + b; });
  }
};

// ---- columns: thread t has the unit t mod units of a row, in row t div units of a block ----

/**
 * v ← f over the threads with the same unit, in the threads of row 0. All threads of a block of
 * whole warps must call it; `rows` = blockDim.x div units, threads beyond rows·units add nothing.
 * shared has N·blockDim.x floats.
 */
template <int N, class F>
__device__ __forceinline__ void reduce_rows(
    float (&v)[N], unsigned units, unsigned rows, float* shared, F f) {
  unsigned slot = threadIdx.x;
  unsigned row = slot / units;
  bool live = row < rows;
  if (units <= 32 && (units & (units - 1)) == 0) {
    // The rows within a warp meet by shuffles; each warp then counts as one row.
    for (unsigned d = units; d < 32; d *= 2) {
#pragma unroll
      for (int k = 0; k < N; k++) {
        v[k] = f(v[k], __shfl_xor_sync(0xFFFFFFFFu, v[k], d));
      }
    }
    row = threadIdx.x / 32;
    rows = blockDim.x / 32;
    live = threadIdx.x % 32 < units;
    slot = row * units + threadIdx.x % 32;
  }
  unsigned width = blockDim.x / 2;
  unsigned side = 0;
  __syncthreads();
  for (unsigned half; rows > 1; rows = half) {
    half = (rows + 1) / 2;
    float* at = shared + side * N * width + slot;
    if (live && row >= half && row < rows) {
#pragma unroll
      for (int k = 0; k < N; k++) {
        (at - half * units)[k * width] = v[k];
      }
    }
    __syncthreads();
    if (live && row + half < rows) {
#pragma unroll
      for (int k = 0; k < N; k++) {
        v[k] = f(v[k], at[k * width]);
      }
    }
    side ^= 1;
  }
}

template <int N>
__device__ __forceinline__ void sum_rows(
    float (&v)[N], unsigned units, unsigned rows, float* shared) {
  reduce_rows(v, units, rows, shared, [](float a, float b) { return a + b; });
}

// ---- BF16 as bits ----

__device__ __forceinline__ float bf16_float(unsigned short bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

/** Rounds to nearest, ties to even; NaN stays NaN. */
__device__ __forceinline__ unsigned short float_bf16(float v) {
  unsigned bits = __float_as_uint(v);
  if (v != v) {
    return static_cast<unsigned short>((bits >> 16) | 0x40u);
  }
  return static_cast<unsigned short>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// ---- Mathf.java, operation by operation; coefficients and error bounds are explained there ----

namespace mathf {

constexpr float LOG2_E = 1.44269504f;
constexpr float LN2_HIGH = 0.69314718f;
constexpr float LN2_LOW = -1.90465430e-9f;
constexpr float ROUND = 12582912.0f;
constexpr int ROUND_BITS = 0x4B400000;

/** The larger, or NaN if one is NaN, as Java's Math.max. */
__device__ __forceinline__ float max_nan(float a, float b) {
  return a != a || b != b ? a + b : fmaxf(a, b);
}

__device__ __forceinline__ float min_nan(float a, float b) {
  return a != a || b != b ? a + b : fminf(a, b);
}

__device__ __forceinline__ float exp_tail(float r) {
  float q = fmaf(1.381446491e-03f, r, 8.368780836e-03f);
  q = fmaf(fmaf(fmaf(q, r, 4.166839272e-02f), r, 1.666651964e-01f), r, 4.999999404e-01f);
  return fmaf(r * r, q, r);
}

__device__ __forceinline__ float exp(float x) {
  float c = fminf(fmaxf(x, -104.5f), 89.0f);
  float t = fmaf(c, LOG2_E, ROUND);
  float n = t - ROUND;
  float r = fmaf(n, -LN2_LOW, fmaf(n, -LN2_HIGH, c));
  float e = exp_tail(r) + 1.0f;
  int k = __float_as_int(t) - ROUND_BITS;
  int half = k >> 1;
  float a = __int_as_float((half + 127) << 23);
  float b = __int_as_float((k - half + 127) << 23);
  return x != x ? x : e * a * b;
}

__device__ __forceinline__ float log(float x) {
  bool tiny = x < 1.17549435e-38f;
  int bits = __float_as_int(tiny ? x * 8388608.0f : x);
  int exponent = (bits - 0x3F3504F3) >> 23;
  float f = __int_as_float(bits - (exponent << 23)) - 1.0f;
  float n = exponent - (tiny ? 23.0f : 0.0f);
  float p = fmaf(fmaf(6.746601313e-02f, f, -1.167564094e-01f), f, 1.188817471e-01f);
  p = fmaf(fmaf(fmaf(p, f, -1.240559146e-01f), f, 1.421955079e-01f), f, -1.666799635e-01f);
  p = fmaf(fmaf(fmaf(p, f, 2.000211924e-01f), f, -2.500000894e-01f), f, 3.333331347e-01f);
  float z = f * f;
  float tail = fmaf(f * z, p, fmaf(n, LN2_LOW, z * -0.5f));
  float y = fmaf(n, LN2_HIGH, f + tail);
  float infinity = __int_as_float(0x7F800000);
  y = x == infinity ? x : y;
  y = x == 0.0f ? -infinity : y;
  return x >= 0.0f ? y : __int_as_float(0x7FC00000);
}

__device__ __forceinline__ float log1p(float x) {
  float w = 1.0f + x;
  return w == __int_as_float(0x7F800000) ? w : log(w) + (x - (w - 1.0f)) / w;
}

/** e^-m for |m| <= 87. */
__device__ __forceinline__ float exp_minus(float m) {
  float t = fmaf(m, -LOG2_E, ROUND);
  float r = fmaf(t - ROUND, LN2_HIGH, m);
  float p = fmaf(fmaf(-8.290270343e-03f, r, 4.189815745e-02f), r, -1.666763872e-01f);
  p = fmaf(fmaf(fmaf(p, r, 4.999914765e-01f), r, -9.999997020e-01f), r, 1.0f);
  return __int_as_float(__float_as_int(p) + (__float_as_int(t) << 23));
}

/** e^-|x|. */
__device__ __forceinline__ float decay(float x) {
  return exp_minus(__int_as_float(::min(__float_as_int(x) & 0x7FFFFFFF, 0x42AE0000)));
}

/** 1 + e^-x for x between -87 and 87; beyond, and for NaN, its value there. */
__device__ __forceinline__ float one_plus_exp_minus(float x) {
  int bits = __float_as_int(x);
  int m = ::min(bits & 0x7FFFFFFF, 0x42AE0000) | (bits & static_cast<int>(0x80000000));
  return 1.0f + exp_minus(__int_as_float(m));
}

__device__ __forceinline__ float sigmoid(float x) {
  return x != x ? x : 1.0f / one_plus_exp_minus(x);
}

/** x·sigmoid(x). */
__device__ __forceinline__ float silu(float x) { return x / one_plus_exp_minus(x); }

__device__ __forceinline__ float tanh(float x) {
  float c = min_nan(max_nan(x, -10.0f), 10.0f);
  c = c + c;
  float t = fmaf(c, LOG2_E, ROUND);
  float n = t - ROUND;
  float r = fmaf(n, -LN2_LOW, fmaf(n, -LN2_HIGH, c));
  float e = exp_tail(r);
  float s = __int_as_float((__float_as_int(t) - ROUND_BITS + 127) << 23);
  e = fmaf(s, e, s - 1.0f);
  return e / (e + 2.0f);
}

__device__ __forceinline__ float erf(float x) {
  float a = min_nan(fabsf(x), 4.0f);
  float z = a * a;
  float p = fmaf(fmaf(7.853857824e-05f, z, -8.010192541e-04f), z, 5.188327748e-03f);
  p = fmaf(fmaf(p, z, -2.685381100e-02f), z, 1.128358543e-01f);
  p = fmaf(fmaf(p, z, -3.761262596e-01f), z, 1.128379107e+00f);
  float q = fmaf(fmaf(1.863800862e-04f, a, -2.947666915e-03f), a, 2.183809690e-02f);
  q = fmaf(fmaf(q, a, -1.031068191e-01f), a, -6.381447315e-01f);
  q = fmaf(fmaf(q, a, -1.127089262e+00f), a, -3.415125830e-04f);
  return copysignf(a <= 1.0f ? a * p : 1.0f - exp(q), x);
}

__device__ __forceinline__ float softplus(float x) {
  return max_nan(x, 0.0f) + log1p(exp(-fabsf(x)));
}

__device__ __forceinline__ float normal_cdf(float x) {
  return 0.5f * (1.0f + erf(x * 0.70710678f));
}

__device__ __forceinline__ float normal_pdf(float x) {
  return 0.39894228f * exp(-0.5f * x * x);
}

}  // namespace mathf
