// The gradients of group_norm.cu. With du = dy·act′(u), and S₁ = Σ du, S₂ = Σ du·x̂ over the pixels of
// one sample and channel: dγ = Σₙ (1 + scale)·S₂, dβ = Σₙ (1 + scale)·S₁, dscale = γ·S₂ + β·S₁, dshift =
// S₁; and with w = γ·(1 + scale), dx = (w·du − mean(w·S₁) − x̂·mean(w·S₂))·inv, the means over a group,
// computed as dx = p·du + q·x + r.
//
// Threads and blocks as in group_norm.cu; dx may be dy.
//   group_norm_grad_f32: a block for all pixels of a tile of whole groups, x and du in registers: 12
//     bytes per element; wherever that fits, 16 elements in each of 512 threads.
//   group_norm_grad_runs.cu: what does not fit.
//   group_norm_grad_parameters_f32: dγ and dβ from the samples' S₁ and S₂.
// 14 flops per element, 40 with SiLU.

#include "group_norm_gradient.cuh"

GROUP_NORM_GRAD(f32, float)

// 32 channels a block, every eighth sample a thread: Σₙ (1 + scale)·S₁ and S₂.
extern "C" __global__ void __launch_bounds__(256)
    group_norm_grad_parameters_f32(int samples, int channels, const float* __restrict__ scale,
                                   const float* __restrict__ totals, float* __restrict__ dgamma,
                                   float* __restrict__ dbeta) {
  __shared__ float shared[2 * 256];
  unsigned mine = blockIdx.x * 32 + threadIdx.x % 32;
  // Lanes beyond the last channel take it again, so that no warp diverges.
  unsigned c = min(mine, static_cast<unsigned>(channels) - 1);
  float sums[2] = {};
#pragma unroll 4
  for (unsigned n = threadIdx.x / 32; n < samples; n += blockDim.x / 32) {
    float s = scale == nullptr ? 1.0f : 1.0f + scale[n * channels + c];
    sums[0] = fmaf(s, totals[2 * n * channels + c], sums[0]);
    sums[1] = fmaf(s, totals[(2 * n + 1) * channels + c], sums[1]);
  }
  sum_rows(sums, 32, blockDim.x / 32, shared);
  if (threadIdx.x < 32 && mine < channels) {
    dbeta[c] = sums[0];
    dgamma[c] = sums[1];
  }
}
