// Rows of x [rows, count]: y = e^(x − max)/Σ e^(x − max), or its logarithm; y may be x. From g and y,
// dx = y·(g − Σ g·y), or g − e^y·Σ g for the logarithm; dx is neither g nor y.
//
// A team of threads per row (Team.java), which holds the row in registers: 8 bytes per element
// forward and 12 backward, and about 25 flops. Rows of more than 16 elements per thread are read
// again for each pass, from the caches.

#include "row.cuh"

template <bool PACKED>
__device__ __forceinline__ void softmax(
    int rows, int count, const Team& team, int log, const float* x, float* y) {
  Row<PACKED> row(team, team.index, rows, count);
  bool kept = row.part() >= count;
  x += static_cast<size_t>(team.index) * count;
  y += static_cast<size_t>(team.index) * count;
  float v[4][4];
  float m = __int_as_float(0xFF800000);
  for (unsigned from = 0; from < row.count; from += row.part()) {
    row.read(x, from, v);
    // A NaN needs no care: its exponential makes the sum, and so the whole row, NaN.
    row.each(from, [&](unsigned q, unsigned k) { m = fmaxf(m, v[q][k]); });
  }
  m = team.all(m, m, [](float a, float b) { return fmaxf(a, b); });
  float sum = 0.0f;
  for (unsigned from = 0; from < row.count; from += row.part()) {
    if (!kept) {
      row.read(x, from, v);
    }
    row.each(from, [&](unsigned q, unsigned k) {
      float d = v[q][k] - m;
      float e = mathf::exp(d);
      sum += e;
      v[q][k] = log ? d : e;
    });
  }
  sum = team.sum(sum);
  float last = log ? mathf::log(sum) : 1.0f / sum;
  for (unsigned from = 0; from < row.count; from += row.part()) {
    if (!kept) {
      row.read(x, from, v);
      row.each(from, [&](unsigned q, unsigned k) {
        v[q][k] = log ? v[q][k] - m : mathf::exp(v[q][k] - m);
      });
    }
    row.each(from, [&](unsigned q, unsigned k) {
      v[q][k] = log ? v[q][k] - last : v[q][k] * last;
    });
    row.write(y, from, v);
  }
}

extern "C" __global__ void __launch_bounds__(512)
    softmax_f32(int rows, int count, int size, int log, const float* x, float* y) {
  __shared__ float shared[32];
  Team team(size, shared);
  if (count % 4 == 0) {
    softmax<true>(rows, count, team, log, x, y);
  } else {
    softmax<false>(rows, count, team, log, x, y);
  }
}

template <bool PACKED>
__device__ __forceinline__ void softmax_grad(
    int rows, int count, const Team& team, int log, const float* __restrict__ g,
    const float* __restrict__ y, float* __restrict__ dx) {
  Row<PACKED> row(team, team.index, rows, count);
  bool kept = row.part() >= count;
  size_t at = static_cast<size_t>(team.index) * count;
  float a[4][4];
  float b[4][4];
  float sum = 0.0f;
  for (unsigned from = 0; from < row.count; from += row.part()) {
    row.read(g + at, from, a);
    row.read(y + at, from, b);
    row.each(from, [&](unsigned q, unsigned k) { sum += log ? a[q][k] : a[q][k] * b[q][k]; });
  }
  sum = team.sum(sum);
  for (unsigned from = 0; from < row.count; from += row.part()) {
    if (!kept) {
      row.read(g + at, from, a);
      row.read(y + at, from, b);
    }
    row.each(from, [&](unsigned q, unsigned k) {
      a[q][k] = log ? fmaf(-mathf::exp(b[q][k]), sum, a[q][k]) : b[q][k] * (a[q][k] - sum);
    });
    row.write(dx + at, from, a);
  }
}

extern "C" __global__ void __launch_bounds__(512)
    softmax_grad_f32(int rows, int count, int size, int log, const float* __restrict__ g,
                     const float* __restrict__ y, float* __restrict__ dx) {
  __shared__ float shared[32];
  Team team(size, shared);
  if (count % 4 == 0) {
    softmax_grad<true>(rows, count, team, log, g, y, dx);
  } else {
    softmax_grad<false>(rows, count, team, log, g, y, dx);
  }
}
