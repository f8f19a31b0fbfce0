// What the files of group normalisation share; group_norm.cu and group_norm_grad.cu say what it is.

#pragma once

#include "bf16.cuh"

/** The place of a thread: its unit of V channels, and the first of its pixels (lane). */
template <int V>
struct Place {
  unsigned units;
  unsigned lanes;
  unsigned lane;
  unsigned unit;
  unsigned channel;
  bool live;

  /** A tile begins at channel `first`. */
  __device__ __forceinline__ Place(unsigned units, unsigned first, unsigned channels)
      : units(units),
        lanes(blockDim.x / units),
        lane(threadIdx.x / units),
        unit(threadIdx.x % units),
        channel(first + unit * V),
        live(lane < lanes && channel < channels) {}
};

/** a and b of u = a·x + b for V channels, from c on, of sample n. */
template <int V>
__device__ __forceinline__ void affine(
    unsigned n, unsigned c, unsigned channels, const float (&mu)[V], const float (&inv)[V],
    const float* gamma, const float* beta, const float* scale, const float* shift, float (&a)[V],
    float (&b)[V]) {
  float w[V];
  load(gamma + c, w);
  load(beta + c, b);
#pragma unroll
  for (int k = 0; k < V; k++) {
    a[k] = inv[k] * w[k];
    b[k] = fmaf(-mu[k], a[k], b[k]);
  }
  if (scale != nullptr) {
    load(scale + n * channels + c, w);
#pragma unroll
    for (int k = 0; k < V; k++) {
      a[k] *= 1.0f + w[k];
      b[k] *= 1.0f + w[k];
    }
  }
  if (shift != nullptr) {
    load(shift + n * channels + c, w);
#pragma unroll
    for (int k = 0; k < V; k++) {
      b[k] += w[k];
    }
  }
}

/** T is the type of x, dy and dx. */
template <class T>
struct GroupNormGrad {
  unsigned pixels;
  unsigned channels;
  unsigned per;
  int silu;
  const T* __restrict__ x;
  const float* __restrict__ gamma;
  const float* __restrict__ beta;
  const float* __restrict__ scale;
  const float* __restrict__ shift;
  const float* __restrict__ mean;
  const float* __restrict__ inverse;
  const T* dy;
  T* dx;
};

/** What turns x and dy into du and x̂, for V channels. */
template <int V>
struct Slope {
  float a[V];
  float b[V];
  float mu[V];
  float inv[V];
  int silu;

  template <class T>
  __device__ __forceinline__ Slope(const GroupNormGrad<T>& op, unsigned n, unsigned c)
      : silu(op.silu) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      unsigned group = n * (op.channels / op.per) + (c + k) / op.per;
      mu[k] = op.mean[group];
      inv[k] = op.inverse[group];
    }
    affine(n, c, op.channels, mu, inv, op.gamma, op.beta, op.scale, op.shift, a, b);
  }

  /** d ← du. */
  __device__ __forceinline__ void apply(const float (&x)[V], float (&d)[V]) const {
    if (silu) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        float u = fmaf(x[k], a[k], b[k]);
        float s = mathf::sigmoid(u);
        d[k] *= s * fmaf(u, 1.0f - s, 1.0f);
      }
    }
  }

  /** Adds to S₁ and S₂. */
  __device__ __forceinline__ void add(
      const float (&x)[V], const float (&d)[V], float (&sums)[2 * V]) const {
#pragma unroll
    for (int k = 0; k < V; k++) {
      sums[k] += d[k];
      sums[V + k] = fmaf(d[k], fmaf(x[k], inv[k], -mu[k] * inv[k]), sums[V + k]);
    }
  }
};

/** γ·(1 + scale). */
__device__ __forceinline__ float weight(
    unsigned n, unsigned c, unsigned channels, const float* gamma, const float* scale) {
  return scale == nullptr ? gamma[c] : gamma[c] * (1.0f + scale[n * channels + c]);
}

/** Writes S₁ and S₂ of a channel to totals[n, 2, C], and its gradients of scale and shift. */
__device__ __forceinline__ void write_totals(
    unsigned n, unsigned c, unsigned channels, float s1, float s2, const float* gamma,
    const float* beta, float* totals, float* dscale, float* dshift) {
  totals[2 * n * channels + c] = s1;
  totals[(2 * n + 1) * channels + c] = s2;
  if (dscale != nullptr) {
    dscale[n * channels + c] = fmaf(gamma[c], s2, beta[c] * s1);
  }
  if (dshift != nullptr) {
    dshift[n * channels + c] = s1;
  }
}

/** q and r of dx = p·du + q·x + r, from each lane's Σ w·S₁ and Σ w·S₂; all lanes of a warp call it. */
__device__ __forceinline__ float2 input_map(
    double s1, double s2, double count, double mu, double inv) {
  double m1 = warp_sum(s1) / count;
  double m2 = warp_sum(s2) / count;
  return make_float2(-inv * inv * m2, inv * (mu * inv * m2 - m1));
}

/** d ← p·d + q·x + r, where p = γ·(1 + scale)·inv is a of u = a·x + b. */
template <int V>
__device__ __forceinline__ void input_gradient(
    const float (&p)[V], const float (&q)[V], const float (&r)[V], const float (&x)[V],
    float (&d)[V]) {
#pragma unroll
  for (int k = 0; k < V; k++) {
    d[k] = fmaf(d[k], p[k], fmaf(x[k], q[k], r[k]));
  }
}

/** So many channels at a time, as a type. */
template <int N>
struct Vector {
  static constexpr int V = N;
};

/** Calls f with four channels at a time, or with one, which BF16 has no functions for. */
template <class T, class F>
__device__ __forceinline__ void by_vector(int packed, F f) {
  if constexpr (sizeof(T) == 2) {
    f(Vector<4>());
  } else if (packed) {
    f(Vector<4>());
  } else {
    f(Vector<1>());
  }
}
