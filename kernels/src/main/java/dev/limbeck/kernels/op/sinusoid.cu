// y[n, :] = sines, then cosines, of c·(f_k·x_n), or the cosines first; columns from 2K on are 0.
// x [N], f [K], y [N, width].
//
// One thread per pair of a sine and a cosine, and per zero; neighbours in neighbouring lanes. The
// angle is rounded to F32 product by product and its sine taken in double precision, as on the CPU
// (Sinusoid.java says why); the results agree but where the exact sine lies within 10⁻¹⁶ of the
// middle of two floats. About 60 FP64 operations per pair, of which a network's call has a few
// thousand: below a launch's own time even where FP64 runs at a 64th of the rate.

extern "C" __global__ void sinusoid_f32(
    int n, unsigned items, unsigned multiplier, int shift, float c, int cosine_first, int width,
    int count, const float* __restrict__ f, const float* __restrict__ x, float* y) {
  for (unsigned i = grid_first(); i < n; i += grid_stride()) {
    unsigned row = quotient(i, multiplier, shift);
    int k = i - row * items;
    float* to = y + row * width;
    if (k >= count) {
      to[count + k] = 0.0f;
      continue;
    }
    float angle = c * (x[row] * f[k]);
    double sine;
    double cosine;
    sincos(static_cast<double>(angle), &sine, &cosine);
    to[cosine_first ? count + k : k] = static_cast<float>(sine);
    to[cosine_first ? k : count + k] = static_cast<float>(cosine);
  }
}
