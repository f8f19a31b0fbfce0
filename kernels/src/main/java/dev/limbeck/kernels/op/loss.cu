// What lies between a loss and the optimizer's step, without the host.
//
// weighted_mean: out = Σ w[i]·x[i] / (n·width); one warp, in double. n is a batch.
//
// error_slopes: plus[i] = 2·g·w[i]/(n·width), minus = −plus; one thread per row.
//
// matching_target: out[r,:] = x[r,:] − s·(believed[r,:] − real[r,:]), s = 1/(mean|x − real| + floor) or
// 1; steps that are NaN count as 0. One block per row, two passes, 28 bytes and 6 flops per element.
// Yin et al. 2024, 2405.14867, equation 8.
//
// clip_scale: scale = min(1, max/√(Σ norms²)), NaN from the first loss or norm on that is not finite; one
// thread.

extern "C" __global__ void weighted_mean_f32(
    int n, int width, const float* __restrict__ w, const float* __restrict__ x, float* out) {
  double sum = 0;
  for (int i = threadIdx.x; i < n; i += 32) {
    sum += static_cast<double>(w[i]) * x[i];
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) {
    *out = static_cast<float>(sum / (static_cast<double>(n) * width));
  }
}

extern "C" __global__ void error_slopes_f32(
    int n, int width, const float* __restrict__ w, const float* __restrict__ g, float* plus,
    float* minus) {
  double scale = 2.0 * *g / (static_cast<double>(n) * width);
  for (unsigned i = grid_first(); i < n; i += grid_stride()) {
    float slope = static_cast<float>(scale * w[i]);
    plus[i] = slope;
    minus[i] = -slope;
  }
}

extern "C" __global__ void __launch_bounds__(256) matching_target_f32(
    int width, int normalised, long long floor_bits, const float* __restrict__ x,
    const float* __restrict__ real, const float* __restrict__ believed, float* out) {
  __shared__ double sums[8];
  size_t at = static_cast<size_t>(blockIdx.x) * width;
  double scale = 1;
  if (normalised) {
    double distance = 0;
    for (unsigned j = threadIdx.x; j < width; j += blockDim.x) {
      distance += fabsf(x[at + j] - real[at + j]);
    }
    distance = warp_sum(distance);
    if (threadIdx.x % 32 == 0) {
      sums[threadIdx.x / 32] = distance;
    }
    __syncthreads();
    distance = 0;
    for (unsigned k = 0; k < blockDim.x / 32; k++) {
      distance += sums[k];
    }
    scale = 1 / (distance / width + __longlong_as_double(floor_bits));
  }
  for (unsigned j = threadIdx.x; j < width; j += blockDim.x) {
    float step = static_cast<float>((believed[at + j] - real[at + j]) * scale);
    out[at + j] = x[at + j] - (step != step ? 0.0f : step);
  }
}

extern "C" __global__ void clip_scale_f32(
    int count, int pitch, long long max_bits, const int* __restrict__ slot,
    const float* __restrict__ norms, const float* __restrict__ loss, float* stopped, float* log,
    float* scale) {
  if (threadIdx.x != 0) {
    return;
  }
  double square = 0;
  for (int i = 0; i < count; i++) {
    double part = norms[i * pitch];
    square += part * part;
  }
  double norm = sqrt(square);
  float value = *loss;
  log[2 * *slot] = value;
  log[2 * *slot + 1] = static_cast<float>(norm);
  // x − x is 0 for finite x alone.
  if (value - value != 0 || norm - norm != 0) {
    *stopped = 1;
  }
  double clip = __longlong_as_double(max_bits) / norm;
  *scale = *stopped != 0 ? __int_as_float(0x7FC00000) : static_cast<float>(clip < 1 ? clip : 1);
}
