// Runs what nvcc made of kernels.cu and compares with plain loops. Argument: the PTX.
#include <cmath>

#include "kit.h"

using namespace kit;

namespace {

std::vector<float> ramp(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>((i * 7919) % 1000) / 250.f - 2.f;
  return x;
}

void axpy(const Module &m) {
  const int n = 1000;
  std::vector<float> x = ramp(n), y(n, 0.5f);
  Buffer<float> dx(x), dy(y);
  CHECK_EQ(m.run("axpy", 4, 256, 0, n, 3.f, dx.address, dy.address), 0);
  std::vector<float> z = dy.values();
  bool same = true;
  for (int i = 0; i < n; ++i) same = same && z[i] == std::fma(3.f, x[i], 0.5f);
  CHECK(same);
}

void blockSum(const Module &m) {
  const int n = 10007;
  std::vector<float> x = ramp(n);
  Buffer<float> dx(x), sums(5);
  CHECK_EQ(m.run("block_sum", 5, 256, 0, n, dx.address, sums.address), 0);
  double expected = 0, actual = 0;
  for (float v : x) expected += v;
  for (float v : sums.values()) actual += v;
  CHECK(std::fabs(actual - expected) < 1e-2);  // about 10^4 float additions of values near 1
}

void softmax(const Module &m) {
  const int rows = 7, columns = 100;
  std::vector<float> x = ramp(rows * columns);
  Buffer<float> dx(x), dy(rows * columns);
  CHECK_EQ(m.run("softmax_rows", rows, 128, 128 * 4, columns, dx.address, dy.address), 0);
  std::vector<float> y = dy.values();
  double worst = 0;
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int c = 0; c < columns; ++c) sum += std::exp(static_cast<double>(x[r * columns + c]));
    for (int c = 0; c < columns; ++c) worst = std::max(worst, std::fabs(y[r * columns + c] - std::exp(static_cast<double>(x[r * columns + c])) / sum));
  }
  CHECK(worst < 1e-7);  // a few ulps of values below 0.1
}

}  // namespace

int main(int, char **argv) {
  start();
  Module m(read(argv[1]));
  axpy(m);
  blockSum(m);
  softmax(m);
  return finish();
}
