// The gradients of group_norm.cu where the pixels of a group do not fit into the registers of a block:
// blocks of pixels leave their sums, one warp for each group adds them up, and blocks of pixels write
// dx, for which du is computed again rather than kept. 20 bytes per element, 12 where x and dy stay in
// the level-2 cache. Formulas in group_norm_grad.cu.

#include "group_norm.cuh"

/** Block (sample, run of pixels, tile): S₁ and S₂ of the run, to sums[sample, run, 2, C]. */
template <int V>
__device__ __forceinline__ void run_sums(
    const GroupNormGrad& op, unsigned units, unsigned tiles, unsigned run, unsigned runs,
    float* __restrict__ sums_to) {
  extern __shared__ float shared[];
  unsigned block = blockIdx.x / tiles;
  unsigned n = block / runs;
  unsigned to = min(op.pixels, (block % runs + 1) * run);
  Place<V> at(units, blockIdx.x % tiles * units * V, op.channels);
  size_t sample = static_cast<size_t>(n) * op.pixels * op.channels + at.channel;
  float sums[2 * V] = {};
  if (at.live) {
    Slope<V> slope(op, n, at.channel);
    // Not four: ptxas for sm_90 then spills around the rare path of the sigmoid's division.
#pragma unroll 2
    for (unsigned p = block % runs * run + at.lane; p < to; p += at.lanes) {
      float x[V];
      float d[V];
      load(op.x + sample + p * op.channels, x);
      load(op.dy + sample + p * op.channels, d);
      slope.apply(x, d);
      slope.add(x, d, sums);
    }
  }
  sum_rows(sums, units, at.lanes, shared);
  if (threadIdx.x < units && at.live) {
    float* write = sums_to + static_cast<size_t>(block) * 2 * op.channels + at.channel;
#pragma unroll
    for (int k = 0; k < V; k++) {
      write[k] = sums[k];
      write[op.channels + k] = sums[V + k];
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
    group_norm_grad_sums_f32(int packed, int units, int tiles, int run, int runs, int pixels,
                             int channels, int per, int silu, const float* __restrict__ x,
                             const float* __restrict__ gamma, const float* __restrict__ beta,
                             const float* __restrict__ scale, const float* __restrict__ shift,
                             const float* __restrict__ mean, const float* __restrict__ inverse,
                             const float* __restrict__ dy, float* __restrict__ sums) {
  GroupNormGrad op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),
                      static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift, mean,
                      inverse, dy, nullptr};
  if (packed) {
    run_sums<4>(op, units, tiles, run, runs, sums);
  } else {
    run_sums<1>(op, units, tiles, run, runs, sums);
  }
}

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

/** Block (sample, run of pixels, tile): dx. */
template <int V>
__device__ __forceinline__ void run_input(
    const GroupNormGrad& op, unsigned units, unsigned tiles, unsigned run, unsigned runs,
    const float* __restrict__ maps) {
  unsigned block = blockIdx.x / tiles;
  unsigned n = block / runs;
  unsigned to = min(op.pixels, (block % runs + 1) * run);
  Place<V> at(units, blockIdx.x % tiles * units * V, op.channels);
  if (!at.live) {
    return;
  }
  Slope<V> slope(op, n, at.channel);
  float q[V];
  float r[V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    unsigned group = n * (op.channels / op.per) + (at.channel + k) / op.per;
    q[k] = maps[2 * group];
    r[k] = maps[2 * group + 1];
  }
  size_t sample = static_cast<size_t>(n) * op.pixels * op.channels + at.channel;
#pragma unroll 2
  for (unsigned pixel = block % runs * run + at.lane; pixel < to; pixel += at.lanes) {
    float x[V];
    float d[V];
    load(op.x + sample + pixel * op.channels, x);
    load(op.dy + sample + pixel * op.channels, d);
    slope.apply(x, d);
    input_gradient(slope.a, q, r, x, d);
    store(op.dx + sample + pixel * op.channels, d);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    group_norm_grad_apply_f32(int packed, int units, int tiles, int run, int runs, int pixels,
                              int channels, int per, int silu, const float* __restrict__ x,
                              const float* __restrict__ gamma, const float* __restrict__ beta,
                              const float* __restrict__ scale, const float* __restrict__ shift,
                              const float* __restrict__ mean, const float* __restrict__ inverse,
                              const float* dy, const float* __restrict__ maps, float* dx) {
  GroupNormGrad op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),
                      static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift, mean,
                      inverse, dy, dx};
  if (packed) {
    run_input<4>(op, units, tiles, run, runs, maps);
  } else {
    run_input<1>(op, units, tiles, run, runs, maps);
  }
}
