// Kernels with one bug each, and beside each a clean one that differs by the repair. checks_test.cpp expects a finding that names the
// line marked here, or none.

extern "C" __global__ void out_of_bounds(int n, float *x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) x[i] = 1.f;  // BUG out_of_bounds
}

extern "C" __global__ void before_begin(float *x) {
  x[(int)threadIdx.x - 1] = 1.f;  // BUG before_begin
}

extern "C" __global__ void shared_overrun(float *out, int n) {
  __shared__ float s[64];
  s[threadIdx.x * n] = 1.f;  // BUG shared_overrun
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}

extern "C" __global__ void local_overrun(float *out, int n) {
  float a[8];
  for (int i = 0; i < n; ++i) a[i * 3 % 11] = (float)i;  // BUG local_overrun
  float s = 0;
  for (int i = 0; i < 8; ++i) s += a[(i + n) % 8];
  out[threadIdx.x] = s;
}

extern "C" __global__ void misaligned(const float *x, float *out) {
  float2 v = *reinterpret_cast<const float2 *>(x + 1);  // BUG misaligned
  out[threadIdx.x] = v.x + v.y;
}

extern "C" __global__ void sum_neighbours(const float *x, float *out, int wait) {
  __shared__ float s[128];
  s[threadIdx.x] = x[threadIdx.x];
  if (wait) __syncthreads();
  out[threadIdx.x] = s[(threadIdx.x + 33) % 128];  // BUG missing_barrier
}

// A second round overwrites what others may still read.
extern "C" __global__ void two_rounds(const float *x, float *out, int wait) {
  __shared__ float s[128];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  float v = s[(threadIdx.x + 33) % 128];
  if (wait) __syncthreads();
  s[threadIdx.x] = v;  // BUG write_after_read
  __syncthreads();
  out[threadIdx.x] = s[(threadIdx.x + 65) % 128];
}

extern "C" __global__ void within_warp(const float *x, float *out, int wait) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  if (wait) __syncwarp();
  out[threadIdx.x] = s[31 - threadIdx.x];  // BUG missing_syncwarp
}

extern "C" __global__ void divergent_barrier(float *out, int limit) {
  if (threadIdx.x < limit) __syncthreads();  // BUG divergent_barrier
  out[threadIdx.x] = 1.f;
}

extern "C" __global__ void two_barriers(float *out, int limit) {
  if (threadIdx.x < limit) {
    out[threadIdx.x] = 2.f;
    __syncthreads();
  } else {
    __syncthreads();  // BUG two_barriers
    out[threadIdx.x] = 1.f;
  }
}

extern "C" __global__ void absent_lane(int *out, unsigned mask) {
  int v = threadIdx.x;
  if (mask >> threadIdx.x & 1) v = __shfl_xor_sync(mask, v, 1);  // BUG absent_lane
  out[threadIdx.x] = v;
}

extern "C" __global__ void wrong_mask(int *out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffff0000u, (int)threadIdx.x, 16);  // BUG wrong_mask
}

// Lanes 16 to 31 never come, and have not exited either.
extern "C" __global__ void never_come(int *out, int *flag) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __any_sync(~0u, threadIdx.x == 3);  // BUG never_come
  } else {
    __syncthreads();
    out[threadIdx.x] = *flag;
  }
}

extern "C" __global__ void read_fresh(const float *x, float *out) {
  out[threadIdx.x] = x[threadIdx.x] + 1.f;  // BUG read_fresh
}

extern "C" __global__ void read_fresh_shared(float *out, int n) {
  __shared__ float s[64];
  if (threadIdx.x < n) s[threadIdx.x] = 1.f;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];  // BUG read_fresh_shared
}

extern "C" __global__ void blocks_collide(int *x, int step) {
  x[blockIdx.x * step + threadIdx.x] = blockIdx.x;  // BUG blocks_collide
}

extern "C" __global__ void blocks_read_blocks(volatile int *x, int *out, int shift) {
  x[blockIdx.x * 32 + threadIdx.x] = 1;
  out[blockIdx.x * 32 + threadIdx.x] = x[(blockIdx.x + shift) % gridDim.x * 32 + threadIdx.x];  // BUG blocks_read_blocks
}

// The right way for the last block to sum up what all wrote.
extern "C" __global__ void last_block_sums(volatile int *parts, unsigned *ticket, int *out) {
  __shared__ bool last;
  parts[blockIdx.x * 32 + threadIdx.x] = blockIdx.x;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  __syncthreads();
  if (last) {
    int s = 0;
    for (int b = 0; b < gridDim.x; ++b) s += parts[b * 32 + threadIdx.x];
    out[threadIdx.x] = s;
  }
}

extern "C" __global__ void in_place(int n, const float *__restrict__ x, float *y) {
  int i = threadIdx.x;
  if (i < n) y[i] = 2.f * x[i];  // BUG in_place
}

extern "C" __global__ void by_zero(int *out, int d) {
  out[threadIdx.x] = (int)threadIdx.x / d;  // BUG by_zero
}

#include <cassert>

extern "C" __global__ void asserts(int n) {
  assert((int)threadIdx.x < n);  // BUG asserts
}

extern "C" __global__ void endless(volatile int *flag) {
  while (*flag == 0) {  // BUG endless
  }
}

extern "C" __global__ void atomics_agree(int *count) { atomicAdd(count + threadIdx.x % 4, 1); }

#if __CUDA_ARCH__ >= 800
// What was copied is there only after the wait.
extern "C" __global__ void copy_async(const float4 *x, float4 *out, int wait) {
  __shared__ float4 s[32];
  unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x]);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + threadIdx.x));
  asm volatile("cp.async.commit_group;");
  if (wait) asm volatile("cp.async.wait_group 0;" ::: "memory");
  __syncthreads();
  out[threadIdx.x] = s[31 - threadIdx.x];
}

// Copies over what others still read; the barrier comes too late, though before the wait.
extern "C" __global__ void copy_too_early(const float *x, float *out, int wait) {
  __shared__ float s[128];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  float v = s[(threadIdx.x + 33) % 128];
  if (wait) __syncthreads();
  unsigned to = (unsigned)__cvta_generic_to_shared(&s[threadIdx.x]);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(x + threadIdx.x) : "memory");  // BUG copy_too_early
  asm volatile("cp.async.commit_group;");
  __syncthreads();
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  __syncthreads();
  out[threadIdx.x] = v + s[(threadIdx.x + 65) % 128];
}
#endif
