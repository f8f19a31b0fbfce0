// y = f(x; p, q) and dx = g·f'(s) for n elements, one pair of functions per entry of Unary.Op;
// y may be x, and dx may be g, so nothing is __restrict__. s is the result for exp, sqrt, sigmoid
// and tanh, else the argument (UnaryGrad.java).
//
// One thread for four elements at a time, grid-stride; 8 bytes per element, 12 for a gradient.

#define UNARY(name, value, slope)                                                                 \
  extern "C" __global__ void name##_f32(int n, float p, float q, const float* x, float* y) {      \
    map(n, x, y, [=](float x) -> float { return value; });                                        \
  }                                                                                               \
  extern "C" __global__ void name##_grad_f32(                                                     \
      int n, float p, float q, const float* g, const float* s, float* dx) {                       \
    map(n, g, s, dx, [=](float g, float x) -> float { return slope; });                           \
  }

__device__ __forceinline__ float sign(float x) {
  return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

/** d/dx x·σ(x). */
__device__ __forceinline__ float silu_slope(float x) {
  float f = mathf::sigmoid(x);
  return fmaf(x * f, 1.0f - f, f);
}

UNARY(neg, -x, -g)
UNARY(exp, mathf::exp(x), g * x)
UNARY(log, mathf::log(x), g / x)
UNARY(sqrt, sqrtf(x), g / (x + x))
UNARY(square, x * x, g * (x + x))
UNARY(abs, fabsf(x), g * sign(x))
// In double precision, as on the CPU: a float's logarithm would lose digits when multiplied by p.
UNARY(pow, static_cast<float>(pow(static_cast<double>(x), static_cast<double>(p))),
      g * static_cast<float>(p * pow(static_cast<double>(x), p - 1.0)))
UNARY(clamp, mathf::min_nan(mathf::max_nan(x, p), q), x >= p && x <= q ? g : 0.0f)
UNARY(sigmoid, mathf::sigmoid(x), g * (x * (1.0f - x)))
UNARY(tanh, mathf::tanh(x), g * fmaf(-x, x, 1.0f))
UNARY(silu, mathf::silu(x), g * silu_slope(x))
UNARY(gelu, x * mathf::normal_cdf(x), g * fmaf(x, mathf::normal_pdf(x), mathf::normal_cdf(x)))
UNARY(leaky_relu, x > 0.0f ? x : p * x, x > 0.0f ? g : p * g)
UNARY(softplus, mathf::softplus(x), g * mathf::sigmoid(x))
UNARY(affine, fmaf(p, x, q), p * g)
