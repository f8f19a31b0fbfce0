// y[i] = x[i] for n elements, F32 to BF16 (to nearest, ties to even) or BF16 to F32.
//
// One thread for eight elements at a time, 16 bytes of BF16 and 32 of F32, grid-stride; 6 bytes per
// element. The last n mod 8 elements are single ones.

#include "bf16.cuh"

extern "C" __global__ void cast_f32_bf16(
    int n, const float* __restrict__ x, unsigned short* __restrict__ y) {
  for (unsigned i = grid_first(); i < n / 8; i += grid_stride()) {
    float4 u = reinterpret_cast<const float4*>(x)[2 * i];
    float4 v = reinterpret_cast<const float4*>(x)[2 * i + 1];
    reinterpret_cast<uint4*>(y)[i] = make_uint4(
        bf16_pair(u.x, u.y), bf16_pair(u.z, u.w), bf16_pair(v.x, v.y), bf16_pair(v.z, v.w));
  }
  unsigned i = (n & ~7) + grid_first();
  if (i < n) {
    y[i] = float_bf16(x[i]);
  }
}

extern "C" __global__ void cast_bf16_f32(
    int n, const unsigned short* __restrict__ x, float* __restrict__ y) {
  for (unsigned i = grid_first(); i < n / 8; i += grid_stride()) {
    uint4 v = reinterpret_cast<const uint4*>(x)[i];
    reinterpret_cast<float4*>(y)[2 * i] =
        make_float4(bf16_low(v.x), bf16_high(v.x), bf16_low(v.y), bf16_high(v.y));
    reinterpret_cast<float4*>(y)[2 * i + 1] =
        make_float4(bf16_low(v.z), bf16_high(v.z), bf16_low(v.w), bf16_high(v.w));
  }
  unsigned i = (n & ~7) + grid_first();
  if (i < n) {
    y[i] = bf16_float(x[i]);
  }
}
