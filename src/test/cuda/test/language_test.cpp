// The kernels of language.cu against the same formulas on the host. Argument: the PTX.
#include <cmath>
#include <cstring>

#include "exec/half.h"
#include "kit.h"

using namespace kit;

namespace {

float towerOf(float x, int n) {
  float y = 2.f * x + static_cast<float>(n);
  return n & 1 ? 2.f * y + static_cast<float>(n + 1) : y;
}

void calls(const Module &m) {
  Buffer<float> out(64);
  CHECK_EQ(m.run("calls", 1, 64, 0, out.address), 0);
  auto o = out.values();
  for (int i = 0; i < 64; ++i) CHECK_EQ(o[i], i % 3 ? towerOf(static_cast<float>(i), i) : 2.f * i - 1.f);
  CHECK_EQ(m.run("pointers", 1, 64, 0, out.address), 0);
  o = out.values();
  for (int i = 0; i < 64; ++i) CHECK_EQ(o[i], i % 3 == 0 ? static_cast<float>(i) * i : i % 3 == 1 ? -static_cast<float>(i) : 0.5f * i);
  CHECK_EQ(m.run("local_array", 1, 64, 0, 10, out.address), 0);
  o = out.values();
  for (int i = 0; i < 64; ++i) {
    float s = 0;
    for (int k = 0; k < 10; ++k) s += static_cast<float>((k * 7 + i) % 16 * i);
    CHECK_EQ(o[i], s);
  }
}

void atomics(const Module &m) {
  Buffer<unsigned> counts(std::vector<unsigned>(8, 0)), largest(std::vector<unsigned>(1, 0));
  Buffer<float> sum(std::vector<float>(1, 0.f));
  Buffer<int> order(std::vector<int>(5, 0));
  CHECK_EQ(m.run("atomics", 5, 96, 0, counts.address, sum.address, largest.address, order.address), 0);
  for (unsigned c : counts.values()) CHECK_EQ(c, 60u);
  CHECK_EQ(sum.values()[0], 240.f);
  CHECK_EQ(largest.values()[0], 479u);
  auto o = order.values();
  CHECK_EQ(o[0], 480);
  for (int k = 1; k < 5; ++k) CHECK_EQ(o[k], 7);
}

unsigned voteOf(unsigned i) {
  unsigned ballot = 0, matched = 0, first = i / 32 * 32;
  for (unsigned k = 0; k < 32; ++k) {
    ballot |= static_cast<unsigned>((first + k) % 3 == 0) << k;
    matched |= static_cast<unsigned>((first + k) / 4 == i / 4) << k;
  }
  unsigned lane = i % 32;
  unsigned r = (ballot + 1) ^ matched;
  r += 32;
  r += (lane >= 3 ? i - 3 : i) + (lane + 5 <= 31 ? i + 5 : i) + (first + lane / 16 * 16 + 9);
  if (i % 2) r += i ^ 2;
  for (unsigned k = 0; k < 32; ++k) r += first + k;
  r += i | 31;
  r += 13 + 100;  // of 64 threads 13 divide by 5; one is 63; not all differ from 7
  return r;
}

void votes(const Module &m) {
  Buffer<unsigned> out(64);
  CHECK_EQ(m.run("votes", 1, 64, 0, out.address), 0);
  auto o = out.values();
  for (unsigned i = 0; i < 64; ++i) CHECK_EQ(o[i], voteOf(i));
}

unsigned bytePermute(unsigned x, unsigned y, unsigned s) {
  unsigned long long both = static_cast<unsigned long long>(y) << 32 | x;
  unsigned r = 0;
  for (int k = 0; k < 4; ++k) r |= static_cast<unsigned>(both >> (8 * (s >> (4 * k) & 7)) & 255) << (8 * k);
  return r;
}

unsigned reversed(unsigned x) {
  unsigned r = 0;
  for (int k = 0; k < 32; ++k) r = r << 1 | (x >> k & 1);
  return r;
}

long long integersOf(int a, int b) {
  using U = unsigned long long;
  unsigned u = static_cast<unsigned>(a), v = static_cast<unsigned>(b);
  long long wide = static_cast<long long>(a) * b;
  U r = static_cast<U>(wide / (b | 1) + wide % (b | 1));
  r = r * 31 + (u / (v | 1)) + (u % (v | 1)) + static_cast<U>(static_cast<long long>(static_cast<int>(wide >> 32))) + static_cast<unsigned>(static_cast<U>(u) * v >> 32);
  r = r * 31 + static_cast<U>((a == 0 ? 32 : __builtin_clz(u)) + __builtin_popcount(u) + __builtin_ffs(b)) + static_cast<U>(static_cast<long long>(static_cast<int>(reversed(u)))) +
      bytePermute(u, v, 0x3715);
  unsigned funnel = static_cast<unsigned>((static_cast<U>(v) << 32 | u) << 13 >> 32);
  r = r * 31 + static_cast<U>(static_cast<long long>(static_cast<int>(u << (b & 31)))) + static_cast<U>(static_cast<long long>(a >> (b & 31))) + (u >> (v & 31)) + funnel +
      static_cast<U>(static_cast<long long>(std::abs(a))) + static_cast<U>(static_cast<long long>(std::min(a, b))) + std::max(u, v);
  int low24 = static_cast<int>(static_cast<unsigned>(static_cast<int>(u << 8) >> 8) * static_cast<unsigned>(static_cast<int>(v << 8) >> 8));
  unsigned sad = static_cast<unsigned>(std::abs(static_cast<long long>(a) - b)) + 5u;
  unsigned __int128 product = static_cast<unsigned __int128>(static_cast<U>(wide)) * static_cast<U>(~wide);
  r = r * 31 + static_cast<U>(static_cast<long long>(static_cast<short>(a) * static_cast<short>(b))) + static_cast<unsigned char>(a) + static_cast<U>(static_cast<long long>(static_cast<signed char>(b))) +
      sad + static_cast<U>(static_cast<long long>(low24)) + static_cast<U>(product >> 64);
  int dot = 3;
  for (int k = 0; k < 4; ++k) dot += static_cast<signed char>(u >> (8 * k)) * static_cast<signed char>(v >> (8 * k));
  r = r * 31 + (static_cast<U>(wide) << (a & 63)) + static_cast<U>(wide >> (b & 63)) + static_cast<U>(static_cast<long long>(dot)) +
      static_cast<U>(wide == 0 ? 64 : __builtin_clzll(static_cast<U>(wide))) + static_cast<U>(__builtin_popcountll(static_cast<U>(wide)));
  return static_cast<long long>(r);
}

void integers(const Module &m) {
  std::vector<int> x(64), y(64);
  for (int i = 0; i < 64; ++i) {
    x[i] = static_cast<int>(2654435761u * static_cast<unsigned>(i + 1));
    y[i] = static_cast<int>(40503u * static_cast<unsigned>(i + 7)) - (i % 2 ? 2000000 : 0);
  }
  Buffer<int> dx(x), dy(y);
  Buffer<long long> out(64);
  CHECK_EQ(m.run("integers", 1, 64, 0, dx.address, dy.address, out.address), 0);
  auto o = out.values();
  for (int i = 0; i < 64; ++i) CHECK_EQ(o[i], integersOf(x[i], y[i]));
}

void math(const Module &m) {
  std::vector<float> x(64);
  for (int i = 0; i < 64; ++i) x[i] = (static_cast<float>(i) - 31.5f) / 8.f;
  Buffer<float> dx(x), out(64 * 32);
  CHECK_EQ(m.run("math", 1, 64, 0, dx.address, out.address, 5), 0);
  auto o = out.values();
  for (int i = 0; i < 64; ++i) {
    double v = x[i], p = std::fabs(v);
    double expected[32] = {std::exp(v), std::log(p + 0.1f), std::sin(v), std::cos(v), std::tanh(v), std::erf(v), std::sqrt(p), 1 / std::sqrt(p + 1), std::pow(p + 0.5, 1.7f), std::fmod(v, 0.7f),
                           std::floor(v), std::rint(v), std::trunc(v), std::exp2(v), std::log1p(p), std::expm1(v), std::atan2(v, 1.3f), 1 / (1 + std::exp(-v)), std::cbrt(v), std::exp(v),
                           std::pow(p + 0.5, 2.3), std::sin(v * 100.0), std::lgamma(p + 1), std::exp(v), v / 3, v / 3, std::hypot(v, 2), std::sin(static_cast<double>(x[i] * 1e5f)), std::sqrt(p), v,
                           0.5 * std::erfc(-v / std::sqrt(2.0)), 5};
    for (int k = 0; k < 32; ++k) {
      // CUDA's single-precision functions err by a few units in the last place, more where they end near zero.
      double error = std::fabs(o[i * 32 + k] - expected[k]);
      ++checks;
      if (!(error <= 4e-6 * std::max(std::fabs(expected[k]), 0.3))) fail(__FILE__, __LINE__, "math function " + std::to_string(k) + " of " + std::to_string(v) + " is " + std::to_string(o[i * 32 + k]) + ", expected " + std::to_string(expected[k]));
    }
  }
}

void halves(const Module &m) {
  std::vector<float> x(64);
  for (int i = 0; i < 64; ++i) x[i] = (static_cast<float>(i) - 31.5f) / 8.f;
  Buffer<float> dx(x), out(64 * 8);
  CHECK_EQ(m.run("halves", 1, 64, 0, dx.address, out.address), 0);
  auto o = out.values();
  for (int i = 0; i < 64; ++i) {
    auto f16 = [](double v) { return limbeck::halfToFloat(limbeck::narrowOnce<limbeck::F16>(v)); };
    auto bf16 = [](double v) { return limbeck::bfloatToFloat(limbeck::narrowOnce<limbeck::Bf16>(v)); };
    double h = f16(x[i]), g = f16(0.3f), b = bf16(x[i]), c = bf16(0.3f);
    CHECK_EQ(o[i * 8 + 0], f16(h * g + h));
    CHECK_EQ(o[i * 8 + 1], f16(h + g));
    CHECK_EQ(o[i * 8 + 2], static_cast<float>(std::max(h, g)));
    CHECK_EQ(o[i * 8 + 3], bf16(b * c + b));
    CHECK_EQ(o[i * 8 + 4], bf16(b * c));
    CHECK_EQ(o[i * 8 + 5], f16(h - g));
    CHECK_EQ(o[i * 8 + 6], h < g ? 1.f : 0.f);
    CHECK_EQ(o[i * 8 + 7], static_cast<float>(-b));
  }
}

void tiles(const Module &m) {
  Buffer<int> out(64);
  CHECK_EQ(m.run("tiles", 1, 64, 0, out.address), 0);
  auto o = out.values();
  for (int i = 0; i < 64; ++i) CHECK_EQ(o[i], 16 * (i / 16 * 16) + 120);
}

}  // namespace

int main(int, char **argv) {
  start();
  Module m(read(argv[1]));
  calls(m);
  atomics(m);
  votes(m);
  integers(m);
  math(m);
  halves(m);
  tiles(m);
  CHECK_EQ(m.run("say", 1, 32, 0, 42), 0);
  return finish();
}
