// out[r, j] = a[r]·x[r, j] + b[r]·y[r, j] for n elements in rows of `width`; without the second term
// if y is null. out may be x or y.
//
// One thread for four elements at a time, grid-stride, which may lie in several rows: one division
// per four elements, and the coefficients again only where a row begins. 12 bytes and 3 flops per
// element, 8 and 1 without y.

extern "C" __global__ void row_combine_f32(
    int n, int width, const float* a, const float* x, const float* b, const float* y, float* out) {
  auto combine = [=](float p, float u, float q, float v) {
    return y == nullptr ? p * u : fmaf(p, u, q * v);
  };
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    float u[4];
    float v[4] = {};
    load(x + 4 * i, u);
    if (y != nullptr) {
      load(y + 4 * i, v);
    }
    unsigned row = 4 * i / width;
    unsigned column = 4 * i - row * width;
    float p = a[row];
    float q = y == nullptr ? 0.0f : b[row];
#pragma unroll
    for (int k = 0; k < 4; k++) {
      if (column == width) {
        column = 0;
        row++;
        p = a[row];
        q = y == nullptr ? 0.0f : b[row];
      }
      u[k] = combine(p, u[k], q, v[k]);
      column++;
    }
    store(out + 4 * i, u);
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    unsigned row = i / width;
    out[i] = y == nullptr ? a[row] * x[i] : combine(a[row], x[i], b[row], y[i]);
  }
}
