// y = scale·max(x, 0)·factor for n elements: factor is x, or for the gradient 2 and g; y is neither.
extern "C" __global__ void squared_relu_f32(
    int n, float scale, const float* x, const float* factor, float* y) {
  map(n, x, factor, y, [=](float u, float v) { return scale * (u < 0 ? 0 : u) * v; });
}
