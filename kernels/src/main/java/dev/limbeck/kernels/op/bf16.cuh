// BF16 operands: a number is loaded as a float and stored rounded to nearest, at ties to even.

#pragma once

struct Bf16 {
  unsigned short bits;
};

__device__ __forceinline__ float bf16_low(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float bf16_high(unsigned pair) {
  return __uint_as_float(pair & 0xFFFF0000u);
}

/** Two numbers in a word, the first in its lower half; on every device the same bits. */
__device__ __forceinline__ unsigned bf16_pair(float low, float high) {
  return float_bf16(low) | static_cast<unsigned>(float_bf16(high)) << 16;
}

__device__ __forceinline__ float as_float(float v) { return v; }
__device__ __forceinline__ float as_float(Bf16 v) { return bf16_float(v.bits); }

// ---- as in device.cuh: neighbouring elements ----

__device__ __forceinline__ void bf16_floats(uint2 pairs, float (&v)[4]) {
  v[0] = bf16_low(pairs.x), v[1] = bf16_high(pairs.x);
  v[2] = bf16_low(pairs.y), v[3] = bf16_high(pairs.y);
}

/** Four elements, 8 bytes. */
__device__ __forceinline__ void load(const Bf16* x, float (&v)[4]) {
  bf16_floats(*reinterpret_cast<const uint2*>(x), v);
}

#if __CUDA_ARCH__ >= 800
/** bf16_pair by an instruction; a NaN may get other bits. */
__device__ __forceinline__ unsigned bf16_rounded(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ void store(Bf16* y, const float (&v)[4]) {
  *reinterpret_cast<uint2*>(y) = make_uint2(bf16_rounded(v[0], v[1]), bf16_rounded(v[2], v[3]));
}
#endif
