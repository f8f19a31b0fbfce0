// Tensor-core kernels against plain loops in double. Argument: the PTX of tensor.cu.
#include <cmath>
#include <cstring>

#include "exec/half.h"
#include "kit.h"

using namespace kit;
using limbeck::F16;
using limbeck::Bf16;

namespace {

template <class H>
std::vector<uint16_t> values(size_t n, int salt) {
  std::vector<uint16_t> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = H::narrow(static_cast<float>((i * 2654435761u + salt) % 512) / 256.f - 1.f);
  return x;
}

void gemm(const Module &m) {
  const int k = 64;
  auto a = values<Bf16>(64 * k, 1), b = values<Bf16>(k * 32, 2);
  Buffer<uint16_t> da(a), db(b);
  Buffer<float> dc(64 * 32);
  CHECK_EQ(m.run("gemm_bf16", 1, 128, 0, k, da.address, db.address, dc.address), 0);
  std::vector<float> c = dc.values();
  double worst = 0;
  for (int r = 0; r < 64; ++r)
    for (int j = 0; j < 32; ++j) {
      double sum = 0;
      for (int i = 0; i < k; ++i) sum += static_cast<double>(Bf16::wide(a[r * k + i])) * Bf16::wide(b[i * 32 + j]);
      worst = std::max(worst, std::fabs(sum - c[r * 32 + j]));
    }
  CHECK(worst < 1e-5);  // 64 float additions of products below 1
}

// wmma: 2 (1 + A B^T), A and B [16, 16].
template <class H>
void wmma(const Module &m, const char *name) {
  auto a = values<H>(256, 3), b = values<H>(256, 4);
  Buffer<uint16_t> da(a), db(b);
  Buffer<float> dc(256);
  CHECK_EQ(m.run(name, 1, 32, 0, da.address, db.address, dc.address), 0);
  std::vector<float> c = dc.values();
  double worst = 0;
  for (int r = 0; r < 16; ++r)
    for (int j = 0; j < 16; ++j) {
      double sum = 1;
      for (int i = 0; i < 16; ++i) sum += static_cast<double>(H::wide(a[r * 16 + i])) * H::wide(b[j * 16 + i]);
      worst = std::max(worst, std::fabs(2 * sum - c[r * 16 + j]));
    }
  CHECK(worst < 1e-5);
}

void tf32(const Module &m) {
  std::vector<float> a(128), b(64);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(static_cast<int>(i * 37 % 64) - 32) / 16.f;  // exact in tf32
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(static_cast<int>(i * 29 % 64) - 32) / 32.f;
  Buffer<float> da(a), db(b), dd(128);
  CHECK_EQ(m.run("mma_tf32", 1, 32, 0, da.address, db.address, dd.address), 0);
  std::vector<float> d = dd.values();
  bool same = true;
  for (int r = 0; r < 16; ++r)
    for (int j = 0; j < 8; ++j) {
      double sum = 0;
      for (int i = 0; i < 8; ++i) sum += static_cast<double>(a[r * 8 + i]) * b[i * 8 + j];
      same = same && d[r * 8 + j] == sum;
    }
  CHECK(same);
}

void f16(const Module &m) {
  auto a = values<F16>(128, 5), b = values<F16>(64, 6);
  Buffer<uint16_t> da(a), db(b), dd(128);
  CHECK_EQ(m.run("mma_f16", 1, 32, 0, da.address, db.address, dd.address), 0);
  std::vector<uint16_t> d = dd.values();
  double worst = 0;
  for (int r = 0; r < 16; ++r)
    for (int j = 0; j < 8; ++j) {
      double sum = 0;
      for (int i = 0; i < 8; ++i) sum += static_cast<double>(F16::wide(a[r * 8 + i])) * F16::wide(b[i * 8 + j]);
      worst = std::max(worst, std::fabs(sum - F16::wide(d[r * 8 + j])));
    }
  CHECK(worst < 4e-3);  // one rounding to f16 of values below 8
}

}  // namespace

int main(int, char **argv) {
  start();
  std::string path = argv[1];
  for (const char *noise : {"0", "5"}) {
    option("noise", noise);
    Module m(read(path));
    if (path.find("_75") == std::string::npos) {
      gemm(m);
      wmma<Bf16>(m, "wmma_bf16");
      tf32(m);
    }
    wmma<F16>(m, "wmma_f16");
    f16(m);
  }
  return finish();
}
