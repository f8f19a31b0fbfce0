// The functions of group_norm_grad.cu, group_norm_grad_runs.cu and group_norm_bf16.cu, for x, dy and dx
// of any type.

#pragma once

#include "group_norm.cuh"


template <int V, class T>
__device__ __forceinline__ void whole_gradient(
    const GroupNormGrad<T>& op, unsigned units, unsigned tiles, float* totals, float* dscale,
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

/** Block (sample, run of pixels, tile): S₁ and S₂ of the run, to sums[sample, run, 2, C]. */
template <int V, class T>
__device__ __forceinline__ void run_sums(
    const GroupNormGrad<T>& op, unsigned units, unsigned tiles, unsigned run, unsigned runs,
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

/** Block (sample, run of pixels, tile): dx. */
template <int V, class T>
__device__ __forceinline__ void run_input(
    const GroupNormGrad<T>& op, unsigned units, unsigned tiles, unsigned run, unsigned runs,
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

#define GROUP_NORM_GRAD(suffix, T)                                                                 \
  extern "C" __global__ void __launch_bounds__(512) group_norm_grad_##suffix(                      \
      int packed, int units, int tiles, int pixels, int channels, int per, int silu,               \
      const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,    \
      const float* __restrict__ scale, const float* __restrict__ shift,                            \
      const float* __restrict__ mean, const float* __restrict__ inverse, const T* dy, T* dx,       \
      float* totals, float* dscale, float* dshift) {                                               \
    GroupNormGrad<T> op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),         \
                           static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift,         \
                           mean, inverse, dy, dx};                                                 \
    auto all = [&](auto v) {                                                                       \
      whole_gradient<decltype(v)::V>(op, units, tiles, totals, dscale, dshift);                    \
    };                                                                                             \
    by_vector<T>(packed, all);                                                                     \
  }

#define GROUP_NORM_GRAD_RUNS(suffix, T)                                                            \
  extern "C" __global__ void __launch_bounds__(256) group_norm_grad_sums_##suffix(                 \
      int packed, int units, int tiles, int run, int runs, int pixels, int channels, int per,      \
      int silu,                                                                                    \
      const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,    \
      const float* __restrict__ scale, const float* __restrict__ shift,                            \
      const float* __restrict__ mean, const float* __restrict__ inverse,                           \
      const T* __restrict__ dy, float* __restrict__ sums) {                                        \
    GroupNormGrad<T> op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),         \
                           static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift,         \
                           mean, inverse, dy, nullptr};                                            \
    auto all = [&](auto v) { run_sums<decltype(v)::V>(op, units, tiles, run, runs, sums); };       \
    by_vector<T>(packed, all);                                                                     \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(256) group_norm_grad_apply_##suffix(                \
      int packed, int units, int tiles, int run, int runs, int pixels, int channels, int per,      \
      int silu,                                                                                    \
      const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,    \
      const float* __restrict__ scale, const float* __restrict__ shift,                            \
      const float* __restrict__ mean, const float* __restrict__ inverse, const T* dy,              \
      const float* __restrict__ maps, T* dx) {                                                     \
    GroupNormGrad<T> op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),         \
                           static_cast<unsigned>(per), silu, x, gamma, beta, scale, shift,         \
                           mean, inverse, dy, dx};                                                 \
    auto all = [&](auto v) { run_input<decltype(v)::V>(op, units, tiles, run, runs, maps); };      \
    by_vector<T>(packed, all);                                                                     \
  }
