// The gradients of group_norm.cu where the pixels of a group do not fit into the registers of a block:
// blocks of pixels leave their sums, one warp for each group adds them up, and blocks of pixels write
// dx, for which du is computed again rather than kept. 20 bytes per element, 12 where x and dy stay in
// the level-2 cache. Formulas in group_norm_grad.cu.

#include "group_norm_gradient.cuh"

GROUP_NORM_GRAD_RUNS(f32, float)

// One warp for each group: its channels' totals, and q and r of the group to maps[N, groups, 2].
extern "C" __global__ void __launch_bounds__(128)
    group_norm_grad_finish_f32(int count, int groups, int runs, int pixels, unsigned per,
                               const float* __restrict__ gamma, const float* __restrict__ beta,
                               const float* __restrict__ scale, const float* __restrict__ mean,
                               const float* __restrict__ inverse, const float* __restrict__ sums,
                               float* totals, float* maps, float* dscale, float* dshift) {
  unsigned at = grid_first() / 32;
  if (at >= count) {
    return;
  }
  unsigned channels = groups * per;
  unsigned n = at / groups;
  // Lanes share the channels, and where those are fewer than lanes, the runs of each.
  unsigned width = 1;
  while (width < per && width < 32) {
    width *= 2;
  }
  unsigned first = threadIdx.x % 32 / width;
  double s1 = 0.0;
  double s2 = 0.0;
  for (unsigned from = 0; from < per; from += width) {
    unsigned j = from + threadIdx.x % width;
    unsigned c = at % groups * per + min(j, per - 1);
    float t1 = 0.0f;
    float t2 = 0.0f;
#pragma unroll 4
    for (unsigned run = first; run < runs; run += 32 / width) {
      const float* sum = sums + static_cast<size_t>(n * runs + run) * 2 * channels + c;
      t1 += sum[0];
      t2 += sum[channels];
    }
    for (unsigned d = width; d < 32; d *= 2) {
      t1 += __shfl_xor_sync(0xFFFFFFFFu, t1, d);
      t2 += __shfl_xor_sync(0xFFFFFFFFu, t2, d);
    }
    if (first == 0 && j < per) {
      float w = weight(n, c, channels, gamma, scale);
      s1 += w * t1;
      s2 += w * t2;
      write_totals(n, c, channels, t1, t2, gamma, beta, totals, dscale, dshift);
    }
  }
  float2 map = input_map(s1, s2, static_cast<double>(pixels) * per, mean[at], inverse[at]);
  if (threadIdx.x % 32 == 0) {
    maps[2 * at] = map.x;
    maps[2 * at + 1] = map.y;
  }
}
