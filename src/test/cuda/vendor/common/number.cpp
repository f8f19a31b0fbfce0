#include "number.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace limbeck {

namespace {

template <class To, class From>
To bits_of(From value) {
  static_assert(sizeof(To) == sizeof(From), "a reinterpretation keeps the size");
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

// Nearest-even rounding of a double to a binary format of 16 bits with the given significand (stored bits) and exponent range.
template <int kStored, int kMinExponent, int kMaxExponent>
uint16_t to_small(double value) {
  constexpr uint16_t kInfinity = static_cast<uint16_t>((kMaxExponent - kMinExponent + 2) << kStored);
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return 0x7fff;  // the NaN that CUDA writes
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | kInfinity;
  int exponent;
  std::frexp(magnitude, &exponent);  // magnitude = f * 2^exponent, f in [1/2, 1)
  // Below the smallest normal number the spacing stays constant.
  const int unit = (exponent - 1 < kMinExponent ? kMinExponent : exponent - 1) - kStored;
  if (exponent - 1 > kMaxExponent) return static_cast<uint16_t>(sign | kInfinity);
  const double steps = std::nearbyint(std::ldexp(magnitude, -unit));  // exact scaling; the default rounding mode is nearest even
  auto significand = static_cast<uint32_t>(steps);
  // Counting steps from zero, a carry into the next exponent (or into infinity) comes out by itself.
  const uint32_t base = static_cast<uint32_t>(unit + kStored - kMinExponent) << kStored;
  const uint32_t bits = base + significand;
  return static_cast<uint16_t>(sign | (bits > kInfinity ? kInfinity : bits));
}

}  // namespace

size_t size_of(Number type) {
  switch (type) {
    case Number::kF64:
      return 8;
    case Number::kF32:
      return 4;
    default:
      return 2;
  }
}

uint16_t to_bf16(double value) { return to_small<7, -126, 127>(value); }

uint16_t to_f16(double value) { return to_small<10, -14, 15>(value); }

double from_bf16(uint16_t bits) { return bits_of<float>(static_cast<uint32_t>(bits) << 16); }

double from_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, significand = bits & 1023;
  double magnitude;
  if (exponent == 31) {
    magnitude = significand == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else {
    magnitude = exponent == 0 ? std::ldexp(significand, -24) : std::ldexp(1024 + significand, exponent - 25);
  }
  return bits & 0x8000 ? -magnitude : magnitude;
}

float to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  // Half a step is added to the magnitude, then the 13 low bits go.
  return bits_of<float>((bits_of<uint32_t>(value) + 0x1000U) & ~0x1fffU);
}

double load_one(Number type, const void *source, size_t index) {
  switch (type) {
    case Number::kF64:
      return static_cast<const double *>(source)[index];
    case Number::kF32:
      return static_cast<const float *>(source)[index];
    case Number::kBf16:
      return from_bf16(static_cast<const uint16_t *>(source)[index]);
    default:
      return from_f16(static_cast<const uint16_t *>(source)[index]);
  }
}

void store_one(Number type, void *target, size_t index, double value) {
  switch (type) {
    case Number::kF64:
      static_cast<double *>(target)[index] = value;
      break;
    case Number::kF32:
      static_cast<float *>(target)[index] = static_cast<float>(value);
      break;
    case Number::kBf16:
      static_cast<uint16_t *>(target)[index] = to_bf16(value);
      break;
    default:
      static_cast<uint16_t *>(target)[index] = to_f16(value);
      break;
  }
}

void load(Number type, const void *source, size_t count, size_t step, InputRounding rounding, double *target) {
  for (size_t i = 0; i < count; i++) {
    const double value = load_one(type, source, i * step);
    switch (rounding) {
      case InputRounding::kNone:
        target[i] = value;
        break;
      case InputRounding::kTf32:
        target[i] = to_tf32(static_cast<float>(value));
        break;
      case InputRounding::kBf16:
        target[i] = from_bf16(to_bf16(value));
        break;
      case InputRounding::kF16:
        target[i] = from_f16(to_f16(value));
        break;
    }
  }
}

// Two versions chosen at load time; without contraction (see CMakeLists.txt) both give the same bits. Sanitizers are not up yet
// when the choice is made.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx2", "default")))
#endif
void multiply_add(double *accumulator, const double *values, double factor, size_t count) {
  for (size_t i = 0; i < count; i++) accumulator[i] += factor * values[i];
}

}  // namespace limbeck
