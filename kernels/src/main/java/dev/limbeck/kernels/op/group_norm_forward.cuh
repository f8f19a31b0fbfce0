// The functions of group_norm.cu and group_norm_bf16.cu, for x and y of any type.

#pragma once

#include "group_norm.cuh"


/** The first value of the group of each of V channels; x is the sample's. */
template <int V, class T>
__device__ __forceinline__ void centres(
    const T* x, unsigned c, unsigned per, float (&centre)[V]) {
#pragma unroll
  for (int k = 0; k < V; k++) {
    centre[k] = as_float(x[(c + k) / per * per]);
  }
}

/** Adds V values to the sums of d and of d², d the distance from the centre. */
template <int V>
__device__ __forceinline__ void add_moments(
    const float (&v)[V], const float (&centre)[V], float (&sums)[2 * V]) {
#pragma unroll
  for (int k = 0; k < V; k++) {
    float d = v[k] - centre[k];
    sums[k] += d;
    sums[V + k] = fmaf(d, d, sums[V + k]);
  }
}

template <int V>
__device__ __forceinline__ void activate(
    int silu, const float (&a)[V], const float (&b)[V], float (&v)[V]) {
#pragma unroll
  for (int k = 0; k < V; k++) {
    float u = fmaf(a[k], v[k], b[k]);
    v[k] = silu ? mathf::silu(u) : u;
  }
}

/** V elements between two uses of them, in registers as they are in memory. */
template <class T, int V>
struct Held {
  float v[V];

  __device__ __forceinline__ void take(const T* x) { load(x, v); }
  __device__ __forceinline__ void give(float (&w)[V]) const {
#pragma unroll
    for (int k = 0; k < V; k++) {
      w[k] = v[k];
    }
  }
};

template <>
struct Held<Bf16, 4> {
  uint2 pairs;

  __device__ __forceinline__ void take(const Bf16* x) {
    pairs = *reinterpret_cast<const uint2*>(x);
  }
  __device__ __forceinline__ void give(float (&w)[4]) const { bf16_floats(pairs, w); }
};

struct Moments {
  float mean;
  float inverse;
};

/** From each lane's Σ(x − centre) and Σ(x − centre)²; every lane of the warp calls it. */
__device__ __forceinline__ Moments moments_of(
    double sum, double squares, float centre, double count, float epsilon) {
  double off = warp_sum(sum) / count;
  double variance = warp_sum(squares) / count - off * off;
  variance = variance > 0.0 || variance != variance ? variance : 0.0;
  return {static_cast<float>(centre + off), static_cast<float>(1.0 / sqrt(variance + epsilon))};
}

/** T is the type of x and y. */
template <class T>
struct GroupNorm {
  unsigned pixels;
  unsigned channels;
  unsigned per;
  int silu;
  float epsilon;
  const T* __restrict__ x;
  const float* __restrict__ gamma;
  const float* __restrict__ beta;
  const float* __restrict__ scale;
  const float* __restrict__ shift;
  T* __restrict__ y;
  float* mean;
  float* inverse;
};

template <int V, class T>
__device__ __forceinline__ void whole(const GroupNorm<T>& op, unsigned units, unsigned tiles) {
  extern __shared__ float shared[];
  constexpr int K = 32 / V;
  unsigned n = blockIdx.x / tiles;
  unsigned first = blockIdx.x % tiles * units * V;
  unsigned width = min(units * V, op.channels - first);
  float* sum_of = shared + 2 * V * blockDim.x;
  float* squares_of = sum_of + units * V;
  float* mean_of = squares_of + units * V;
  float* inverse_of = mean_of + units * V;
  Place<V> at(units, first, op.channels);
  const T* x = op.x + static_cast<size_t>(n) * op.pixels * op.channels;
  Held<T, V> held[K];
  float centre[V] = {};
  float sums[2 * V] = {};
  if (at.live) {
    centres(x, at.channel, op.per, centre);
#pragma unroll
    for (int i = 0; i < K; i++) {
      unsigned p = at.lane + i * at.lanes;
      if (p < op.pixels) {
        held[i].take(x + p * op.channels + at.channel);
      }
    }
#pragma unroll
    for (int i = 0; i < K; i++) {
      if (at.lane + i * at.lanes < op.pixels) {
        float v[V];
        held[i].give(v);
        add_moments(v, centre, sums);
      }
    }
  }
  sum_rows(sums, units, at.lanes, shared);
  if (threadIdx.x < units) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      sum_of[at.unit * V + k] = sums[k];
      squares_of[at.unit * V + k] = sums[V + k];
    }
  }
  __syncthreads();
  for (unsigned g = threadIdx.x / 32; g < width / op.per; g += blockDim.x / 32) {
    double sum = 0.0;
    double squares = 0.0;
    for (unsigned j = threadIdx.x % 32; j < op.per; j += 32) {
      sum += sum_of[g * op.per + j];
      squares += squares_of[g * op.per + j];
    }
    Moments m = moments_of(sum, squares, as_float(x[first + g * op.per]),
                           static_cast<double>(op.pixels) * op.per, op.epsilon);
    if (threadIdx.x % 32 == 0) {
      unsigned group = n * (op.channels / op.per) + first / op.per + g;
      mean_of[g] = op.mean[group] = m.mean;
      inverse_of[g] = op.inverse[group] = m.inverse;
    }
  }
  __syncthreads();
  if (!at.live) {
    return;
  }
  float a[V];
  float b[V];
  float mu[V];
  float inv[V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    mu[k] = mean_of[(at.unit * V + k) / op.per];
    inv[k] = inverse_of[(at.unit * V + k) / op.per];
  }
  affine(n, at.channel, op.channels, mu, inv, op.gamma, op.beta, op.scale, op.shift, a, b);
  T* y = op.y + static_cast<size_t>(n) * op.pixels * op.channels;
#pragma unroll
  for (int i = 0; i < K; i++) {
    unsigned p = at.lane + i * at.lanes;
    if (p < op.pixels) {
      float v[V];
      held[i].give(v);
      activate(op.silu, a, b, v);
      store(y + p * op.channels + at.channel, v);
    }
  }
}

/** Block (sample, run of pixels, tile): the sums over the run, to sums[sample, run, 2, C]. */
template <int V, class T>
__device__ __forceinline__ void moments(
    unsigned units, unsigned tiles, unsigned run, unsigned runs, unsigned pixels,
    unsigned channels, unsigned per, const T* __restrict__ x, float* __restrict__ sums_to) {
  extern __shared__ float shared[];
  unsigned block = blockIdx.x / tiles;
  unsigned to = min(pixels, (block % runs + 1) * run);
  Place<V> at(units, blockIdx.x % tiles * units * V, channels);
  x += static_cast<size_t>(block / runs) * pixels * channels;
  float centre[V] = {};
  float sums[2 * V] = {};
  if (at.live) {
    centres(x, at.channel, per, centre);
#pragma unroll 4
    for (unsigned p = block % runs * run + at.lane; p < to; p += at.lanes) {
      float v[V];
      load(x + p * channels + at.channel, v);
      add_moments(v, centre, sums);
    }
  }
  sum_rows(sums, units, at.lanes, shared);
  if (threadIdx.x < units && at.live) {
    float* to = sums_to + static_cast<size_t>(block) * 2 * channels + at.channel;
#pragma unroll
    for (int k = 0; k < V; k++) {
      to[k] = sums[k];
      to[channels + k] = sums[V + k];
    }
  }
}

/** Block (sample, run of pixels, tile): y. */
template <int V, class T>
__device__ __forceinline__ void apply(
    const GroupNorm<T>& op, unsigned units, unsigned tiles, unsigned run, unsigned runs) {
  unsigned block = blockIdx.x / tiles;
  unsigned n = block / runs;
  unsigned to = min(op.pixels, (block % runs + 1) * run);
  Place<V> at(units, blockIdx.x % tiles * units * V, op.channels);
  if (!at.live) {
    return;
  }
  float a[V];
  float b[V];
  float mu[V];
  float inv[V];
#pragma unroll
  for (int k = 0; k < V; k++) {
    unsigned group = n * (op.channels / op.per) + (at.channel + k) / op.per;
    mu[k] = op.mean[group];
    inv[k] = op.inverse[group];
  }
  affine(n, at.channel, op.channels, mu, inv, op.gamma, op.beta, op.scale, op.shift, a, b);
  size_t sample = static_cast<size_t>(n) * op.pixels * op.channels + at.channel;
#pragma unroll 4
  for (unsigned p = block % runs * run + at.lane; p < to; p += at.lanes) {
    float v[V];
    load(op.x + sample + p * op.channels, v);
    activate(op.silu, a, b, v);
    store(op.y + sample + p * op.channels, v);
  }
}

/** One warp for each group: mean and inverse deviation from the runs' sums. */
template <class T>
__device__ __forceinline__ void finish(
    int count, int groups, int runs, int pixels, int per, float epsilon, const T* __restrict__ x,
    const float* __restrict__ sums, float* __restrict__ mean, float* __restrict__ inverse) {
  unsigned at = grid_first() / 32;
  if (at >= count) {
    return;
  }
  unsigned channels = groups * per;
  unsigned n = at / groups;
  unsigned first = at % groups * per;
  double sum = 0.0;
  double squares = 0.0;
  for (unsigned i = threadIdx.x % 32; i < runs * per; i += 32) {
    const float* from = sums + static_cast<size_t>(n * runs + i / per) * 2 * channels + first;
    sum += from[i % per];
    squares += from[channels + i % per];
  }
  Moments m = moments_of(sum, squares, as_float(x[static_cast<size_t>(n) * pixels * channels + first]),
                         static_cast<double>(pixels) * per, epsilon);
  if (threadIdx.x % 32 == 0) {
    mean[at] = m.mean;
    inverse[at] = m.inverse;
  }
}

#define GROUP_NORM(suffix, T)                                                                      \
  extern "C" __global__ void __launch_bounds__(512) group_norm_##suffix(                           \
      int packed, int units, int tiles, int pixels, int channels, int per, int silu,               \
      float epsilon, const T* __restrict__ x, const float* __restrict__ gamma,                     \
      const float* __restrict__ beta, const float* __restrict__ scale,                             \
      const float* __restrict__ shift, T* __restrict__ y, float* __restrict__ mean,                \
      float* __restrict__ inverse) {                                                               \
    GroupNorm<T> op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),             \
                       static_cast<unsigned>(per), silu, epsilon, x, gamma, beta, scale, shift,    \
                       y, mean, inverse};                                                          \
    auto run = [&](auto v) { whole<decltype(v)::V>(op, units, tiles); };                           \
    by_vector<T>(packed, run);                                                                     \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(256) group_norm_moments_##suffix(                   \
      int packed, int units, int tiles, int run, int runs, int pixels, int channels, int per,      \
      const T* __restrict__ x, float* __restrict__ sums) {                                         \
    auto all = [&](auto v) {                                                                       \
      moments<decltype(v)::V>(units, tiles, run, runs, pixels, channels, per, x, sums);            \
    };                                                                                             \
    by_vector<T>(packed, all);                                                                     \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(128) group_norm_finish_##suffix(                    \
      int count, int groups, int runs, int pixels, int per, float epsilon,                         \
      const T* __restrict__ x, const float* __restrict__ sums, float* __restrict__ mean,           \
      float* __restrict__ inverse) {                                                               \
    finish(count, groups, runs, pixels, per, epsilon, x, sums, mean, inverse);                     \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(256) group_norm_apply_##suffix(                     \
      int packed, int units, int tiles, int run, int runs, int pixels, int channels, int per,      \
      int silu, const T* __restrict__ x, const float* __restrict__ gamma,                          \
      const float* __restrict__ beta, const float* __restrict__ scale,                             \
      const float* __restrict__ shift, T* __restrict__ y, float* __restrict__ mean,                \
      float* __restrict__ inverse) {                                                               \
    GroupNorm<T> op = {static_cast<unsigned>(pixels), static_cast<unsigned>(channels),             \
                       static_cast<unsigned>(per), silu, 0.0f, x, gamma, beta, scale, shift, y,    \
                       mean, inverse};                                                             \
    auto all = [&](auto v) { apply<decltype(v)::V>(op, units, tiles, run, runs); };                \
    by_vector<T>(packed, all);                                                                     \
  }
