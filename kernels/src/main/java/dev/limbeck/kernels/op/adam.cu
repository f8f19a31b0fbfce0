// Updates of flat arenas of n parameters; what differs from step to step lies in device memory.
//
// adam_step: g = at[0]·gradient; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← decay·p − step·m/d, d =
// scale·√v + ε, or 1 if the step is not adaptive; with an average (not null): a ← a + rate·(p − a).
// at = {gradient scale, β₁, β₂, decay, step, scale, ε, adaptive, rate} (AdamStep.Coefficients). With
// gradient_scale (not null), that number takes the place of at[0]; if it is NaN, nothing changes.
// rounded (or null) receives p in BF16.
// One pass: 28 bytes per parameter, 36 with the average, 2 more with rounded, 16 per access. A thread has five accesses on
// their way at a time; at 48 registers five blocks of 256 threads fit, 100 KiB on their way per
// multiprocessor, several times what the latency of memory asks for. Loshchilov and Hutter 2019,
// 1711.05101; Liu et al. 2020, 1908.03265.
//
// moving_average: a ← a + at[0]·(x − a); 12 bytes per parameter.

#include "bf16.cuh"

/** The scalars of one step. */
struct Coefficients {
  float gradient_scale, beta1, beta2, one1, one2, decay, step, scale, epsilon, rate;
  bool adaptive;

  __device__ __forceinline__ explicit Coefficients(const float* at)
      : gradient_scale(at[0]), beta1(at[1]), beta2(at[2]), one1(1.0f - at[1]), one2(1.0f - at[2]),
        decay(at[3]), step(-at[4]), scale(at[5]), epsilon(at[6]), rate(at[8]),
        adaptive(at[7] != 0.0f) {}

  __device__ __forceinline__ void update(float& p, float gradient, float& m, float& v) const {
    float g = gradient * gradient_scale;
    m = fmaf(m, beta1, g * one1);
    v = fmaf(v, beta2, g * g * one2);
    float direction = adaptive ? m / fmaf(sqrtf(v), scale, epsilon) : m;
    p = fmaf(direction, step, p * decay);
  }

  __device__ __forceinline__ float follow(float a, float p) const { return fmaf(p - a, rate, a); }
};

extern "C" __global__ void __launch_bounds__(256) adam_step_f32(
    int n, const float* __restrict__ at, const float* __restrict__ gradient_scale,
    const float* __restrict__ gradients, float* values, float* first, float* second,
    float* average, unsigned short* rounded) {
  Coefficients c(at);
  if (gradient_scale != nullptr) {
    c.gradient_scale = *gradient_scale;
    if (c.gradient_scale != c.gradient_scale) {
      return;
    }
  }
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float4 g = reinterpret_cast<const float4*>(gradients)[i];
    float4 p = reinterpret_cast<float4*>(values)[i];
    float4 m = reinterpret_cast<float4*>(first)[i];
    float4 v = reinterpret_cast<float4*>(second)[i];
    float4 a;
    if (average != nullptr) {
      a = reinterpret_cast<float4*>(average)[i];
    }
    c.update(p.x, g.x, m.x, v.x);
    c.update(p.y, g.y, m.y, v.y);
    c.update(p.z, g.z, m.z, v.z);
    c.update(p.w, g.w, m.w, v.w);
    reinterpret_cast<float4*>(values)[i] = p;
    reinterpret_cast<float4*>(first)[i] = m;
    reinterpret_cast<float4*>(second)[i] = v;
    if (average != nullptr) {
      reinterpret_cast<float4*>(average)[i] = make_float4(
          c.follow(a.x, p.x), c.follow(a.y, p.y), c.follow(a.z, p.z), c.follow(a.w, p.w));
    }
    if (rounded != nullptr) {
      reinterpret_cast<uint2*>(rounded)[i] = make_uint2(bf16_pair(p.x, p.y), bf16_pair(p.z, p.w));
    }
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    float p = values[i];
    c.update(p, gradients[i], first[i], second[i]);
    values[i] = p;
    if (average != nullptr) {
      average[i] = c.follow(average[i], p);
    }
    if (rounded != nullptr) {
      rounded[i] = float_bf16(p);
    }
  }
}

extern "C" __global__ void moving_average_f32(
    int n, const float* __restrict__ at, const float* __restrict__ x, float* a) {
  float rate = at[0];
  map(n, x, a, a, [=](float x, float a) { return fmaf(x - a, rate, a); });
}
