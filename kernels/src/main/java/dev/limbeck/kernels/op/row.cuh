// Rows in registers, for the files that work along rows: row_norm.cu and softmax.cu.

#pragma once

/**
 * One row of a team, 16 elements of it in each thread's registers as v[4][4]; longer rows are taken
 * in parts of 16·size elements that begin at `from`. PACKED rows have 4n elements and move as float4.
 */
template <bool PACKED>
struct Row {
  unsigned count;
  unsigned size;
  unsigned rank;

  /** The row `row` of `rows`; none at all if there are not so many. */
  __device__ __forceinline__ Row(const Team& team, unsigned row, unsigned rows, unsigned count)
      : count(row < rows ? count : 0), size(team.size), rank(team.rank) {}

  __device__ __forceinline__ unsigned part() const { return 16 * size; }

  __device__ __forceinline__ unsigned index(unsigned from, unsigned q, unsigned k) const {
    return from + (PACKED ? 4 * (q * size + rank) + k : (4 * q + k) * size + rank);
  }

  /** f(q, k) for the elements that this thread has of the part. */
  template <class F>
  __device__ __forceinline__ void each(unsigned from, F f) const {
#pragma unroll
    for (unsigned q = 0; q < 4; q++) {
      if (PACKED ? index(from, q, 0) < count : from + 4 * q * size < count) {
#pragma unroll
        for (unsigned k = 0; k < 4; k++) {
          if (PACKED || index(from, q, k) < count) {
            f(q, k);
          }
        }
      }
    }
  }

  __device__ __forceinline__ void read(const float* x, unsigned from, float (&v)[4][4]) const {
    if constexpr (PACKED) {
#pragma unroll
      for (unsigned q = 0; q < 4; q++) {
        if (index(from, q, 0) < count) {
          load(x + index(from, q, 0), v[q]);
        }
      }
    } else {
      each(from, [&](unsigned q, unsigned k) { v[q][k] = x[index(from, q, k)]; });
    }
  }

  __device__ __forceinline__ void write(float* y, unsigned from, const float (&v)[4][4]) const {
    if constexpr (PACKED) {
#pragma unroll
      for (unsigned q = 0; q < 4; q++) {
        if (index(from, q, 0) < count) {
          store(y + index(from, q, 0), v[q]);
        }
      }
    } else {
      each(from, [&](unsigned q, unsigned k) { y[index(from, q, k)] = v[q][k]; });
    }
  }
};
