// The corners of CUDA C that nvcc turns into unusual PTX: calls, function pointers, local arrays, atomics, votes, integer and math
// functions. Each kernel writes one value per thread, which language_test.cpp computes again on the host.
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __noinline__ float twice_plus(float x, int n) { return 2.f * x + (float)n; }

__device__ __noinline__ float tower(float x, int n) {
  float y = twice_plus(x, n);
  if (n & 1) y = twice_plus(y, n + 1);
  return y;
}

extern "C" __global__ void calls(float *out) {
  int i = threadIdx.x;
  out[i] = i % 3 ? tower((float)i, i) : twice_plus((float)i, -1);
}

typedef float (*Function)(float);
__device__ float square(float x) { return x * x; }
__device__ float negate(float x) { return -x; }
__device__ float half_of(float x) { return 0.5f * x; }
__device__ Function table[3] = {square, negate, half_of};

extern "C" __global__ void pointers(float *out) {
  int i = threadIdx.x;
  out[i] = table[i % 3]((float)i);
}

extern "C" __global__ void local_array(int n, float *out) {
  float a[16];
  int i = threadIdx.x;
  for (int k = 0; k < 16; ++k) a[k] = (float)(k * i);
  float s = 0;
  for (int k = 0; k < n; ++k) s += a[(k * 7 + i) % 16];
  out[i] = s;
}

extern "C" __global__ void atomics(unsigned *counts, float *sum, unsigned *largest, int *order) {
  __shared__ unsigned local[8];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x < 8) local[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&local[i % 8], 1u);
  __syncthreads();
  if (threadIdx.x < 8) atomicAdd(&counts[threadIdx.x], local[threadIdx.x]);
  atomicAdd(sum, 0.5f);
  atomicMax(largest, (unsigned)i);
  int ticket = atomicAdd(order, 1);
  atomicCAS((unsigned *)order + 1 + ticket % 4, 0u, 7u);
}

extern "C" __global__ void votes(unsigned *out) {
  unsigned i = threadIdx.x;
  unsigned r = __ballot_sync(~0u, i % 3 == 0);
  r += __all_sync(~0u, i < 1000) ? 1u : 0u;
  r += __any_sync(~0u, i == 1000) ? 2u : 0u;
  r ^= __match_any_sync(~0u, i / 4);
  r += __popc(__activemask());
  r += __shfl_up_sync(~0u, i, 3) + __shfl_down_sync(~0u, i, 5) + __shfl_sync(~0u, i, 9, 16);
  if (i % 2) r += __shfl_xor_sync(0xaaaaaaaau, i, 2);
#if __CUDA_ARCH__ >= 800
  r += __reduce_add_sync(~0u, i) + __reduce_max_sync(~0u, i);
#else
  r += 31 * 32 / 2 + 32 * (i / 32 * 32) + (i | 31);
#endif
  r += (unsigned)__syncthreads_count(i % 5 == 0) + (__syncthreads_or(i == 63) ? 100u : 0u) + (__syncthreads_and(i != 7) ? 1000u : 0u);
  out[i] = r;
}

extern "C" __global__ void integers(const int *x, const int *y, long long *out) {
  int i = threadIdx.x, a = x[i], b = y[i];
  unsigned u = (unsigned)a, v = (unsigned)b;
  long long wide = (long long)a * b;
  long long r = wide / (b | 1) + wide % (b | 1);
  r = r * 31 + (u / (v | 1)) + (u % (v | 1)) + __mulhi(a, b) + __umulhi(u, v);
  r = r * 31 + __clz(a) + __popc(u) + __ffs(b) + (int)__brev(u) + __byte_perm(u, v, 0x3715);
  r = r * 31 + (a << (b & 31)) + (a >> (b & 31)) + (u >> (v & 31)) + __funnelshift_l(u, v, 13) + abs(a) + min(a, b) + max(u, v);
  r = r * 31 + (short)a * (short)b + (unsigned char)a + (signed char)b + __sad(a, b, 5u) + __mul24(a, b) + __umul64hi(wide, ~wide);
  r = r * 31 + (wide << (a & 63)) + (wide >> (b & 63)) + __dp4a(a, b, 3) + __clzll(wide) + __popcll(wide);
  out[i] = r;
}

extern "C" __global__ void math(const float *x, float *out, int n) {
  int i = threadIdx.x;
  float v = x[i];
  float *o = out + i * 32;
  o[0] = expf(v); o[1] = logf(fabsf(v) + 0.1f); o[2] = sinf(v); o[3] = cosf(v); o[4] = tanhf(v); o[5] = erff(v); o[6] = sqrtf(fabsf(v));
  o[7] = rsqrtf(fabsf(v) + 1.f); o[8] = powf(fabsf(v) + 0.5f, 1.7f); o[9] = fmodf(v, 0.7f); o[10] = floorf(v); o[11] = rintf(v); o[12] = truncf(v);
  o[13] = exp2f(v); o[14] = log1pf(fabsf(v)); o[15] = expm1f(v); o[16] = atan2f(v, 1.3f); o[17] = 1.f / (1.f + expf(-v)); o[18] = cbrtf(v);
  o[19] = (float)exp((double)v); o[20] = (float)pow((double)fabsf(v) + 0.5, 2.3); o[21] = (float)sin((double)v * 100.0); o[22] = lgammaf(fabsf(v) + 1.f);
  o[23] = __expf(v); o[24] = __fdividef(v, 3.f); o[25] = (float)(v / 3.0); o[26] = hypotf(v, 2.f); o[27] = sinf(v * 1e5f); o[28] = __fsqrt_rn(fabsf(v));
  o[29] = __fadd_rz(v, 1e-9f); o[30] = normcdff(v); o[31] = (float)n;
}

extern "C" __global__ void halves(const float *x, float *out) {
  int i = threadIdx.x;
  __half h = __float2half(x[i]), g = __float2half(0.3f);
  __nv_bfloat16 b = __float2bfloat16(x[i]), c = __float2bfloat16(0.3f);
  float *o = out + i * 8;
  o[0] = __half2float(__hfma(h, g, h)); o[1] = __half2float(__hadd(h, g)); o[2] = __half2float(__hmax(h, g)); 
#if __CUDA_ARCH__ >= 800
  o[3] = __bfloat162float(__hfma(b, c, b)); o[4] = __bfloat162float(__hmul(b, c));
#else  // a bf16 product is exact in f32, and so is this sum
  o[3] = __bfloat162float(__float2bfloat16(fmaf(__bfloat162float(b), __bfloat162float(c), __bfloat162float(b))));
  o[4] = __bfloat162float(__float2bfloat16(__bfloat162float(b) * __bfloat162float(c)));
#endif
  o[5] = __half2float(__hsub(h, g)); o[6] = __hlt(h, g) ? 1.f : 0.f;
  __nv_bfloat162 p = __floats2bfloat162_rn(x[i], -x[i]);
  o[7] = __low2float(p) + 2.f * __high2float(p);
}

namespace cg = cooperative_groups;

extern "C" __global__ void tiles(int *out) {
  cg::thread_block block = cg::this_thread_block();
  auto tile = cg::tiled_partition<16>(block);
  int v = (int)block.thread_rank();
  for (int o = tile.size() / 2; o; o /= 2) v += tile.shfl_down(v, o);
  out[block.thread_rank()] = tile.shfl(v, 0);
}

extern "C" __global__ void say(int n) {
  if (threadIdx.x == 0) printf("kernel says %d and %.2f and %s\n", n, 1.5, "text");
}
