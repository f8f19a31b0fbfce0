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

#include "group_norm.cuh"

template <int V>
__device__ __forceinline__ void whole(
    const GroupNormGrad& op, unsigned units, unsigned tiles, float* totals, float* dscale,
    float* dshift) {
  extern __shared__ float shared[];
  constexpr int K = 16 / V;
  unsigned n = blockIdx.x / tiles;
  unsigned first = blockIdx.x % tiles * units * V;
  unsigned width = min(units * V, op.channels - first);
  float* s1_of = shared + 2 * V * blockDim.x;
  float* s2_of = s1_of + units * V;
  float2* map_of = reinterpret_cast<float2*>(s2_of + units * V);
  Place<V> at(units, first, op.channels);
  size_t sample = static_cast<size_t>(n) * op.pixels * op.channels + at.channel;
  float x[K][V];
  float d[K][V];
  float p[V];
  float sums[2 * V] = {};
  if (at.live) {
#pragma unroll
    for (int i = 0; i < K; i++) {
      unsigned pixel = at.lane + i * at.lanes;
      if (pixel < op.pixels) {
        load(op.x + sample + pixel * op.channels, x[i]);
        load(op.dy + sample + pixel * op.channels, d[i]);
      }
    }
    Slope<V> slope(op, n, at.channel);
#pragma unroll
    for (int k = 0; k < V; k++) {
      p[k] = slope.a[k];
    }
#pragma unroll
    for (int i = 0; i < K; i++) {
      if (at.lane + i * at.lanes < op.pixels) {
        slope.apply(x[i], d[i]);
        slope.add(x[i], d[i], sums);
      }
    }
  }
  sum_rows(sums, units, at.lanes, shared);
  if (threadIdx.x < units && at.live) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      unsigned c = at.channel + k;
      float w = weight(n, c, op.channels, op.gamma, op.scale);
      s1_of[at.unit * V + k] = w * sums[k];
      s2_of[at.unit * V + k] = w * sums[V + k];
      write_totals(n, c, op.channels, sums[k], sums[V + k], op.gamma, op.beta, totals, dscale,
                   dshift);
    }
  }
  __syncthreads();
  for (unsigned g = threadIdx.x / 32; g < width / op.per; g += blockDim.x / 32) {
    double s1 = 0.0;
    double s2 = 0.0;
    for (unsigned j = threadIdx.x % 32; j < op.per; j += 32) {
      s1 += s1_of[g * op.per + j];
      s2 += s2_of[g * op.per + j];
    }
    unsigned group = n * (op.channels / op.per) + first / op.per + g;
    float2 map = input_map(s1, s2, static_cast<double>(op.pixels) * op.per, op.mean[group],
                           op.inverse[group]);
    if (threadIdx.x % 32 == 0) {
      map_of[g] = map;
    }
  }
  __syncthreads();
  if (!at.live) {
    return;
  }
  float q[V];
  float r[V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    unsigned c = at.channel + k;
    q[k] = map_of[(c - first) / op.per].x;
    r[k] = map_of[(c - first) / op.per].y;
  }
#pragma unroll
  for (int i = 0; i < K; i++) {
    unsigned pixel = at.lane + i * at.lanes;
    if (pixel < op.pixels) {
      input_gradient(p, q, r, x[i], d[i]);
      store(op.dx + sample + pixel * op.channels, d[i]);
    }
  }
}

extern "C" __global__ void __launch_bounds__(512)
    group_norm_grad_f32(int packed, int units, int tiles, int pixels, int channels, int per,
                        int silu, const float* __restrict__ x, const float* __restrict__ gamma,
                        const float* __restrict__ beta, const float* __restrict__ scale,
                        const float* __restrict__ shift, const float* __restrict__ mean,
                        const float* __restrict__ inverse, const float* dy, float* dx,
                        float* totals, float* dscale, float* dshift) {
  GroupNormGrad op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),
                      static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift, mean,
                      inverse, dy, dx};
  if (packed) {
    whole<4>(op, units, tiles, totals, dscale, dshift);
  } else {
    whole<1>(op, units, tiles, totals, dscale, dshift);
  }
}

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
