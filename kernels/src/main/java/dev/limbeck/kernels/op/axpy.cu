// y ← a·x + y for n elements; x and y are different buffers.
//
// One thread for four elements at a time, grid-stride; 2 flops and 12 bytes per element.

extern "C" __global__ void axpy_f32(int n, float a, const float* __restrict__ x, float* y) {
  map(n, x, y, y, [=](float u, float v) { return fmaf(a, u, v); });
}
