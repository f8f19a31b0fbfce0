// Group normalisation of x [N, pixels, C], `per` neighbouring channels a group: x̂ = (x − μ)·inv over
// a group's pixels and channels, inv = 1/√(var + ε); u = (x̂·γ + β)·(1 + scale) + shift, computed as
// u = a·x + b; y = u or u·σ(u). scale and shift [N, C] may be null. Wu and He 2018, 1803.08494.
//
// Thread t of a block has four neighbouring channels (one where C is not a multiple of four), the
// unit t mod units of a tile of channels, and every (threads div units)-th pixel, so that neighbouring
// threads read neighbouring bytes, at least 32 of them.
//   group_norm_f32: a block for all pixels of a tile of whole groups, held in registers: 8 bytes per
//     element, one launch; wherever that fits, 32 elements in each of 512 threads.
//   group_norm_moments_f32, _finish_f32, _apply_f32: blocks of pixels, their sums, y: 12 bytes, 8
//     where x stays in the level-2 cache.
// Moments are taken about the group's first value, so that a large mean cancels nothing.
// 6 flops per element, 20 with SiLU.

#include "group_norm_forward.cuh"

GROUP_NORM(f32, float)
