// Rows of x [rows, C]: x̂ = (x − μ)·inv, y = x̂·γ + β, μ the mean (0 if not centred), inv = 1/√(mean
// (x − μ)² + ε). Gradients, with h = γ·dy: dx = (h − mean h − x̂·mean(h·x̂))·inv, dγ = Σ dy·x̂, dβ = Σ dy
// over the rows. γ and β may be null. Ba et al. 2016, 1607.06450; Zhang and Sennrich 2019, 1910.07467.
//
// A team of threads per row (Team.java), which holds the row in registers: memory is read once, 8
// bytes per element forward and 12 backward. Rows of more than 16 elements per thread are read again
// for each pass, from the caches. Two passes for the moments: a large mean cancels nothing.

#include "row.cuh"

template <bool PACKED>
__device__ __forceinline__ void row_norm(
    int rows, int count, const Team& team, int centred, float epsilon, const float* __restrict__ x,
    const float* __restrict__ gamma, const float* __restrict__ beta, float* __restrict__ y,
    float* __restrict__ mean, float* __restrict__ inverse) {
  Row<PACKED> row(team, team.index, rows, count);
  bool kept = row.part() >= count;
  x += static_cast<size_t>(team.index) * count;
  float v[4][4];
  if (kept) {
    row.read(x, 0, v);
  }
  float mu = 0.0f;
  if (centred) {
    for (unsigned from = 0; from < row.count; from += row.part()) {
      if (!kept) {
        row.read(x, from, v);
      }
      row.each(from, [&](unsigned q, unsigned k) { mu += v[q][k]; });
    }
    mu = team.sum(mu) / count;
  }
  float squares = 0.0f;
  for (unsigned from = 0; from < row.count; from += row.part()) {
    if (!kept) {
      row.read(x, from, v);
    }
    row.each(from, [&](unsigned q, unsigned k) {
      float d = v[q][k] - mu;
      squares = fmaf(d, d, squares);
    });
  }
  float inv = 1.0f / sqrtf(team.sum(squares) / count + epsilon);
  if (row.count > 0 && row.rank == 0) {
    mean[team.index] = mu;
    inverse[team.index] = inv;
  }
  for (unsigned from = 0; from < row.count; from += row.part()) {
    if (!kept) {
      row.read(x, from, v);
    }
    row.each(from, [&](unsigned q, unsigned k) { v[q][k] = (v[q][k] - mu) * inv; });
    float w[4][4];
    if (gamma != nullptr) {
      row.read(gamma, from, w);
      row.each(from, [&](unsigned q, unsigned k) { v[q][k] *= w[q][k]; });
    }
    if (beta != nullptr) {
      row.read(beta, from, w);
      row.each(from, [&](unsigned q, unsigned k) { v[q][k] += w[q][k]; });
    }
    row.write(y + static_cast<size_t>(team.index) * count, from, v);
  }
}

extern "C" __global__ void __launch_bounds__(512)
    row_norm_f32(int rows, int count, int size, int centred, float epsilon,
                 const float* __restrict__ x, const float* __restrict__ gamma,
                 const float* __restrict__ beta, float* __restrict__ y, float* __restrict__ mean,
                 float* __restrict__ inverse) {
  __shared__ float shared[32];
  Team team(size, shared);
  if (count % 4 == 0) {
    row_norm<true>(rows, count, team, centred, epsilon, x, gamma, beta, y, mean, inverse);
  } else {
    row_norm<false>(rows, count, team, centred, epsilon, x, gamma, beta, y, mean, inverse);
  }
}

/** What a block adds up over its rows: dγ and dβ of the columns that the thread has. */
struct ColumnSums {
  float gamma[4][4];
  float beta[4][4];
};

/** Sums over the teams of the block, each of which has the same columns, to `to` [C]. */
template <bool PACKED>
__device__ __forceinline__ void write_columns(
    const Row<PACKED>& row, const float (&sums)[4][4], float* shared, float* __restrict__ to) {
  unsigned threads = blockDim.x;
  __syncthreads();
#pragma unroll
  for (unsigned j = 0; j < 16; j++) {
    shared[j * threads + threadIdx.x] = sums[j / 4][j % 4];
  }
  __syncthreads();
  unsigned teams = threads / row.size;
  for (unsigned j = threadIdx.x / row.size; j < 16; j += teams) {
    unsigned column = row.index(0, j / 4, j % 4);
    float sum = 0.0f;
    for (unsigned t = 0; t < teams; t++) {
      sum += shared[j * threads + t * row.size + row.rank];
    }
    if (column < row.count) {
      to[column] = sum;
    }
  }
}

/** Rows that do not fit into registers keep their sums in memory; each thread has its own columns. */
template <bool PACKED>
__device__ __forceinline__ void add_columns(
    const Row<PACKED>& row, unsigned from, bool first, const float (&v)[4][4], float* to) {
  row.each(from, [&](unsigned q, unsigned k) {
    unsigned column = row.index(from, q, k);
    to[column] = first ? v[q][k] : to[column] + v[q][k];
  });
}

/**
 * A block takes `run` rows, its teams in turn. dgamma and dbeta [blocks, C] or null are its sums,
 * which the host adds up in a second launch.
 */
template <bool PACKED>
__device__ __forceinline__ void row_norm_grad(
    int rows, int count, const Team& team, int run, int centred, const float* __restrict__ x,
    const float* __restrict__ gamma, const float* __restrict__ mean,
    const float* __restrict__ inverse, const float* __restrict__ dy, float* __restrict__ dx,
    float* dgamma, float* dbeta) {
  unsigned size = team.size;
  unsigned teams = blockDim.x / size;
  bool kept = 16 * size >= count;
  float* gamma_to = dgamma == nullptr ? nullptr : dgamma + static_cast<size_t>(blockIdx.x) * count;
  float* beta_to = dbeta == nullptr ? nullptr : dbeta + static_cast<size_t>(blockIdx.x) * count;
  ColumnSums sums = {};
  for (unsigned i = threadIdx.x / size; i < run; i += teams) {
    unsigned r = blockIdx.x * run + i;
    Row<PACKED> row(team, r, rows, count);
    size_t at = static_cast<size_t>(r) * count;
    float mu = row.count > 0 ? mean[r] : 0.0f;
    float inv = row.count > 0 ? inverse[r] : 0.0f;
    float hat[4][4];
    float h[4][4];  // dy; γ·dy is w
    float w[4][4];
    auto read = [&](unsigned from) {
      row.read(x + at, from, hat);
      row.read(dy + at, from, h);
      if (gamma != nullptr) {
        row.read(gamma, from, w);
      }
      row.each(from, [&](unsigned q, unsigned k) {
        hat[q][k] = (hat[q][k] - mu) * inv;
        w[q][k] = gamma == nullptr ? h[q][k] : h[q][k] * w[q][k];
      });
    };
    float first = 0.0f;
    float second = 0.0f;
    for (unsigned from = 0; from < row.count; from += row.part()) {
      read(from);
      if (kept) {
        row.each(from, [&](unsigned q, unsigned k) {
          sums.gamma[q][k] = fmaf(h[q][k], hat[q][k], sums.gamma[q][k]);
          sums.beta[q][k] += h[q][k];
        });
      } else {
        if (beta_to != nullptr) {
          add_columns(row, from, i == 0, h, beta_to);
        }
        if (gamma_to != nullptr) {
          float product[4][4];
          row.each(from, [&](unsigned q, unsigned k) { product[q][k] = h[q][k] * hat[q][k]; });
          add_columns(row, from, i == 0, product, gamma_to);
        }
      }
      row.each(from, [&](unsigned q, unsigned k) {
        first += w[q][k];
        second = fmaf(w[q][k], hat[q][k], second);
      });
    }
    first = team.sum(first);
    first = centred ? first / count : 0.0f;
    second = team.sum(second) / count;
    for (unsigned from = 0; from < row.count; from += row.part()) {
      if (!kept) {
        read(from);
      }
      row.each(from, [&](unsigned q, unsigned k) {
        h[q][k] = fmaf(hat[q][k], -second, w[q][k] - first) * inv;
      });
      row.write(dx + at, from, h);
    }
  }
  Row<PACKED> columns(team, 0, 1, count);
  if (kept && gamma_to != nullptr) {
    write_columns(columns, sums.gamma, team.shared, gamma_to);
  }
  if (kept && beta_to != nullptr) {
    write_columns(columns, sums.beta, team.shared, beta_to);
  }
}

extern "C" __global__ void __launch_bounds__(128)
    row_norm_grad_f32(int rows, int count, int size, int run, int centred,
                      const float* __restrict__ x, const float* __restrict__ gamma,
                      const float* __restrict__ mean, const float* __restrict__ inverse,
                      const float* __restrict__ dy, float* __restrict__ dx, float* dgamma,
                      float* dbeta) {
  __shared__ float shared[16 * 128];
  Team team(size, shared);
  if (count % 4 == 0) {
    row_norm_grad<true>(rows, count, team, run, centred, x, gamma, mean, inverse, dy, dx, dgamma,
                        dbeta);
  } else {
    row_norm_grad<false>(rows, count, team, run, centred, x, gamma, mean, inverse, dy, dx, dgamma,
                         dbeta);
  }
}
