// Random numbers from Philox 4×32-10 (Philox.java, BoxMuller.java, operation by operation).
//
// random_*: y [rows, size]; block b of row r takes its four words from the counter (b, first row + r,
// draw low, draw high) under the key. One thread per block of four numbers, grid-stride; about 130
// instructions of PTX per block, for normal numbers 260, and one 16-byte store where rows start at
// multiples of four elements or there is but one. So it is arithmetic, not memory, that limits them on
// large GPUs: at 4 bytes per number an H100 has time for about 140 per block. at = {key low, key high,
// draw low, draw high, first row} lies in device memory, because it differs from step to step.
//
// dropout: y = x·m/(1 − rate); eight elements share the four words of the counter (i/8, 0, 0, 0), 16
// bits each; drop of 65,536 patterns drop the element. One thread for four elements, so that a warp
// reads and writes whole runs of 512 bytes; two threads compute the same words: some 30 instructions of
// PTX per element, where 8 bytes leave an H100 time for about 70. y may be x. at = {key low, key
// high}.

/** The four words of one counter under one key. */
__device__ __forceinline__ uint4 philox(uint4 c, unsigned k0, unsigned k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    unsigned high0 = __umulhi(0xD2511F53u, c.x);
    unsigned high1 = __umulhi(0xCD9E8D57u, c.z);
    c = make_uint4(
        high1 ^ c.y ^ k0, 0xCD9E8D57u * c.z, high0 ^ c.w ^ k1, 0xD2511F53u * c.x);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/** ln x for normal positive x. */
__device__ __forceinline__ float box_muller_log(float x) {
  constexpr float LN2_HIGH = 0.693359375f;
  constexpr float LN2_LOW = static_cast<float>(0.69314718055994530942 - 0.693359375);
  int bits = __float_as_int(x);
  int exponent = (bits - 0x3F3504F3) >> 23;
  float m = __int_as_float(bits - (exponent << 23));
  float s = (m - 1.0f) / (m + 1.0f);
  float z = s * s;
  float p = fmaf(z, 1.0f / 9, 1.0f / 7);
  p = fmaf(z, p, 1.0f / 5);
  p = fmaf(z, p, 1.0f / 3);
  float tail = fmaf(exponent, LN2_LOW, 2.0f * s * z * p);
  return fmaf(exponent, LN2_HIGH, 2.0f * s + tail);
}

/** √(−2 ln u) for u = (word + ½)·2⁻³²; twice the word and one is the same number, rounded once. */
__device__ __forceinline__ float radius(unsigned word) {
  float u = __ull2float_rn(2ull * word + 1) * 0x1p-33f;
  return sqrtf(-2.0f * box_muller_log(u));
}

/** r·(cos 2πu, sin 2πu) for u = word·2⁻³². */
__device__ __forceinline__ float2 direction(float r, int word) {
  constexpr float HALF_PI_PER_STEP =
      static_cast<float>(3.14159265358979323846 / 2 / 1073741824.0);
  unsigned nearest = (static_cast<unsigned>(word) + (1u << 29)) >> 30;
  float angle = static_cast<int>(word - (nearest << 30)) * HALF_PI_PER_STEP;
  float z = angle * angle;
  float p = fmaf(z, 1.0f / 362880, -1.0f / 5040);
  p = fmaf(z, p, 1.0f / 120);
  p = fmaf(z, p, -1.0f / 6);
  float sine = fmaf(angle * z, p, angle);
  float q = fmaf(z, 1.0f / 40320, -1.0f / 720);
  q = fmaf(z, q, 1.0f / 24);
  q = fmaf(z, q, -0.5f);
  float cosine = fmaf(z, q, 1.0f);
  bool odd = nearest & 1;
  float c = odd ? sine : cosine;
  float s = odd ? cosine : sine;
  c = (nearest + 1) & 2 ? -c : c;
  s = nearest & 2 ? -s : s;
  return make_float2(r * c, r * s);
}

/** Fills rows; make turns four words into a vector of four numbers. */
template <class T, class Four, class F>
__device__ __forceinline__ void fill_rows(
    int blocks, unsigned per_row, unsigned multiplier, int shift, int size, int quads,
    const int* at, T* y, F make) {
  unsigned k0 = at[0];
  unsigned k1 = at[1];
  unsigned c2 = at[2];
  unsigned c3 = at[3];
  unsigned first = at[4];
  for (unsigned i = grid_first(); i < blocks; i += grid_stride()) {
    unsigned row = quotient(i, multiplier, shift);
    unsigned block = i - row * per_row;
    Four v = make(philox(make_uint4(block, first + row, c2, c3), k0, k1));
    T* to = y + row * size + 4 * block;
    int count = size - 4 * block;
    if (quads && count >= 4) {
      *reinterpret_cast<Four*>(to) = v;
      continue;
    }
    to[0] = v.x;
    if (count > 1) {
      to[1] = v.y;
    }
    if (count > 2) {
      to[2] = v.z;
    }
    if (count > 3) {
      to[3] = v.w;
    }
  }
}

extern "C" __global__ void random_normal_f32(
    int blocks, unsigned per_row, unsigned multiplier, int shift, int size, int quads,
    const int* at, float* y) {
  fill_rows<float, float4>(
      blocks, per_row, multiplier, shift, size, quads, at, y, [](uint4 w) {
        float2 a = direction(radius(w.x), w.y);
        float2 b = direction(radius(w.z), w.w);
        return make_float4(a.x, a.y, b.x, b.y);
      });
}

__device__ __forceinline__ float uniform(unsigned word) { return (word >> 8) * 0x1p-24f; }

extern "C" __global__ void random_uniform_f32(
    int blocks, unsigned per_row, unsigned multiplier, int shift, int size, int quads,
    const int* at, float* y) {
  fill_rows<float, float4>(
      blocks, per_row, multiplier, shift, size, quads, at, y, [](uint4 w) {
        return make_float4(uniform(w.x), uniform(w.y), uniform(w.z), uniform(w.w));
      });
}

extern "C" __global__ void random_integers_i32(
    int blocks, unsigned per_row, unsigned multiplier, int shift, int size, int quads,
    unsigned bound, const int* at, int* y) {
  fill_rows<int, int4>(
      blocks, per_row, multiplier, shift, size, quads, at, y, [=](uint4 w) {
        return make_int4(
            __umulhi(w.x, bound), __umulhi(w.y, bound), __umulhi(w.z, bound),
            __umulhi(w.w, bound));
      });
}

/** x·scale, or 0 if the lower 16 bits are below drop. */
__device__ __forceinline__ float keep(float x, unsigned bits, unsigned drop, float scale) {
  return (bits & 0xFFFF) < drop ? 0.0f : x * scale;
}

extern "C" __global__ void dropout_f32(
    int n, unsigned drop, float scale, const int* at, const float* x, float* y) {
  unsigned k0 = at[0];
  unsigned k1 = at[1];
  for (unsigned i = grid_first(); i < (n + 3) / 4; i += grid_stride()) {
    uint4 w = philox(make_uint4(i / 2, 0, 0, 0), k0, k1);
    unsigned low = i % 2 == 0 ? w.x : w.z;
    unsigned high = i % 2 == 0 ? w.y : w.w;
    if (4 * i + 4 <= n) {
      float4 v = reinterpret_cast<const float4*>(x)[i];
      reinterpret_cast<float4*>(y)[i] = make_float4(
          keep(v.x, low, drop, scale), keep(v.y, low >> 16, drop, scale),
          keep(v.z, high, drop, scale), keep(v.w, high >> 16, drop, scale));
      continue;
    }
    for (unsigned j = 4 * i; j < n; j++) {
      unsigned word = j % 4 < 2 ? low : high;
      y[j] = keep(x[j], word >> (16 * (j % 2)), drop, scale);
    }
  }
}
