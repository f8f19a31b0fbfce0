// Tensor-core kernels as the product writes them: mma.sync with ldmatrix and cp.async, and wmma for the fragments nvcc lays out.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;

// C [64, 32] = A [64, k] B [k, 32], one block of 4 warps; a warp makes 16 rows. bf16 inputs through shared memory.
#if __CUDA_ARCH__ >= 800
extern "C" __global__ void gemm_bf16(int k, const __nv_bfloat16 *__restrict__ a, const __nv_bfloat16 *__restrict__ b, float *c) {
  __shared__ __align__(16) __nv_bfloat16 sa[2][64][24], sb[2][16][40];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float acc[4][4] = {};
  auto load = [&](int stage, int at) {
    int row = threadIdx.x / 2, half = threadIdx.x % 2;
    unsigned to = (unsigned)__cvta_generic_to_shared(&sa[stage][row][8 * half]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(a + row * k + at + 8 * half));
    if (threadIdx.x < 64) {
      int r = threadIdx.x / 4, part = threadIdx.x % 4;
      unsigned into = (unsigned)__cvta_generic_to_shared(&sb[stage][r][8 * part]);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(into), "l"(b + (at + r) * 32 + 8 * part));
    }
    asm volatile("cp.async.commit_group;");
  };
  load(0, 0);
  for (int at = 0, stage = 0; at < k; at += 16, stage ^= 1) {
    if (at + 16 < k) {
      load(stage ^ 1, at + 16);
      asm volatile("cp.async.wait_group 1;");
    } else {
      asm volatile("cp.async.wait_group 0;");
    }
    __syncthreads();
    unsigned fa[4], fb[4][2];
    unsigned from = (unsigned)__cvta_generic_to_shared(&sa[stage][16 * warp + lane % 16][8 * (lane / 16)]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3]) : "r"(from));
    for (int n = 0; n < 4; ++n) {
      unsigned at_b = (unsigned)__cvta_generic_to_shared(&sb[stage][lane % 16][8 * n]);
      asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(fb[n][0]), "=r"(fb[n][1]) : "r"(at_b));
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                   : "+f"(acc[n][0]), "+f"(acc[n][1]), "+f"(acc[n][2]), "+f"(acc[n][3])
                   : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[n][0]), "r"(fb[n][1]));
    }
    __syncthreads();
  }
  for (int n = 0; n < 4; ++n)
    for (int r = 0; r < 4; ++r) c[(16 * warp + lane / 4 + 8 * (r / 2)) * 32 + 8 * n + 2 * (lane % 4) + r % 2] = acc[n][r];
}

extern "C" __global__ void wmma_bf16(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
  wmma::fill_fragment(fc, 1.f);
  wmma::load_matrix_sync(fa, a, 16);
  wmma::load_matrix_sync(fb, b, 16);
  wmma::mma_sync(fc, fa, fb, fc);
  for (int i = 0; i < fc.num_elements; ++i) fc.x[i] *= 2.f;
  wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
}

// D [16, 8] = A [16, 8] B [8, 8] in tf32, one warp.
extern "C" __global__ void mma_tf32(const float *a, const float *b, float *d) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  unsigned fa[4], fb[2];
  for (int r = 0; r < 4; ++r) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(fa[r]) : "f"(a[(g + 8 * (r & 1)) * 8 + t + 4 * (r / 2)]));
  for (int r = 0; r < 2; ++r) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(fb[r]) : "f"(b[(t + 4 * r) * 8 + g]));
  float acc[4] = {};
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(fa[0]), "r"(fa[1]), "r"(fa[2]), "r"(fa[3]), "r"(fb[0]), "r"(fb[1]));
  for (int r = 0; r < 4; ++r) d[(g + 8 * (r / 2)) * 8 + 2 * t + r % 2] = acc[r];
}
#endif

extern "C" __global__ void wmma_f16(const __half *a, const __half *b, float *c) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
  wmma::fill_fragment(fc, 1.f);
  wmma::load_matrix_sync(fa, a, 16);
  wmma::load_matrix_sync(fb, b, 16);
  wmma::mma_sync(fc, fa, fb, fc);
  for (int i = 0; i < fc.num_elements; ++i) fc.x[i] *= 2.f;
  wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
}

// D [16, 8] = A [16, 8] B [8, 8] in f16, accumulated in f16.
extern "C" __global__ void mma_f16(const __half *a, const __half *b, __half *d) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  unsigned fa[2], fb, acc[2] = {};
  for (int r = 0; r < 2; ++r) fa[r] = *(const unsigned *)(a + (g + 8 * r) * 8 + 2 * t);
  fb = __half_as_ushort(b[2 * t * 8 + g]) | (unsigned)__half_as_ushort(b[(2 * t + 1) * 8 + g]) << 16;
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0,%1}, {%2,%3}, {%4}, {%0,%1};" : "+r"(acc[0]), "+r"(acc[1]) : "r"(fa[0]), "r"(fa[1]), "r"(fb));
  for (int r = 0; r < 2; ++r) *(unsigned *)(d + (g + 8 * r) * 8 + 2 * t) = acc[r];
}
