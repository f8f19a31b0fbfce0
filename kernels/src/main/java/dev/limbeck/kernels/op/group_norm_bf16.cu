// group_norm.cu, group_norm_grad.cu and group_norm_grad_runs.cu for x, y, dy and dx in BF16: half their
// bytes, 8 per access. All else, sums and what lies between them, is F32; channels come in multiples of 4.
// From compute_80 on, which has an instruction that rounds.

#include "group_norm_forward.cuh"
#include "group_norm_gradient.cuh"

#if __CUDA_ARCH__ >= 800
GROUP_NORM(bf16, Bf16)
GROUP_NORM_GRAD(bf16, Bf16)
GROUP_NORM_GRAD_RUNS(bf16, Bf16)
#endif
