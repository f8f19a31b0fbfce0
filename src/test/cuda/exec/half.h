// 16-bit floating-point formats, and rounding once to any format in any mode.
#ifndef LIMBECK_EXEC_HALF_H
#define LIMBECK_EXEC_HALF_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace limbeck {

constexpr uint32_t kNan32 = 0x7fffffff;  // the one NaN a GPU computes
constexpr uint16_t kNan16 = 0x7fff;

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline uint64_t bitsOf(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline double doubleOf(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, 8);
  return value;
}

inline float canonical(float x) { return x != x ? floatOf(kNan32) : x; }

inline double canonical(double x) { return x != x ? doubleOf(0x7fffffffffffffffull) : x; }

inline float flushed(float x) { return std::fabs(x) < 1.17549435e-38f ? std::copysign(0.0f, x) : x; }

enum class Round : uint8_t { nearest, zero, down, up, away };  // away: to nearest, ties away from zero

struct Format {
  int precision;    // bits of the significand
  int minExponent;  // of normal numbers
  long double largest;
};

constexpr Format kFormatF16{11, -14, 65504.0L};
constexpr Format kFormatBf16{8, -126, 3.38953138925153547590e+38L};
constexpr Format kFormatTf32{11, -126, 3.40116213421e+38L};
constexpr Format kFormatF32{24, -126, 3.40282346638528859812e+38L};
constexpr Format kFormatF64{53, -1022, 1.79769313486231570815e+308L};

inline long double roundIntegral(long double x, Round mode) {
  switch (mode) {
    case Round::nearest: return __builtin_rintl(x);
    case Round::zero: return __builtin_truncl(x);
    case Round::down: return __builtin_floorl(x);
    case Round::up: return __builtin_ceill(x);
    default: return __builtin_copysignl(__builtin_floorl(__builtin_fabsl(x) + 0.5L), x);
  }
}

// long double holds every double and every 64-bit integer, so one call rounds once from any of them.
inline long double roundTo(long double x, const Format &format, Round mode) {
  if (x == 0 || x != x || std::isinf(x)) return x;
  int exponent = std::ilogb(x);
  if (exponent < format.minExponent) exponent = format.minExponent;
  int last = exponent - (format.precision - 1);
  long double result = __builtin_ldexpl(roundIntegral(__builtin_ldexpl(x, -last), mode), last);
  if (__builtin_fabsl(result) > format.largest) {
    bool infinite = mode == Round::nearest || mode == Round::away || (mode == Round::up && x > 0) || (mode == Round::down && x < 0);
    return __builtin_copysignl(infinite ? static_cast<long double>(INFINITY) : format.largest, x);
  }
  return result == 0 ? __builtin_copysignl(0.0L, x) : result;
}

inline float halfToFloat(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return static_cast<float>(half);
}

inline uint16_t floatToHalf(float value) {
  _Float16 half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return value != value ? kNan16 : bits;
}

inline float bfloatToFloat(uint16_t bits) { return floatOf(static_cast<uint32_t>(bits) << 16); }

inline uint16_t floatToBfloat(float value) {
  uint32_t bits = bitsOf(value);
  uint16_t rounded = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  return value != value ? kNan16 : rounded;
}

// a * b + c with enough left over that rounding the result to 24 bits or fewer is the one rounding: the exact product of two
// short significands, and a sum rounded to odd.
inline double sumToOdd(double product, double c) {
  double sum = product + c;
  if (std::isinf(sum) || sum != sum) return sum;
  double back = sum - product;
  double error = (product - (sum - back)) + (c - back);
  if (error == 0 || (bitsOf(sum) & 1)) return sum;
  bool outward = (error > 0) == (sum > 0);
  return doubleOf(bitsOf(sum) + (outward ? 1 : static_cast<uint64_t>(-1)));
}

// From a double that was rounded to odd (or is exact) to a float with the same property.
inline float floatToOdd(double value) {
  float narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) == value || value != value || std::isinf(narrow)) return narrow;
  uint32_t bits = bitsOf(narrow);
  if (bits & 1) return narrow;
  bool tooLarge = std::fabs(static_cast<double>(narrow)) > std::fabs(value);
  return floatOf(tooLarge ? bits - 1 : bits + 1);
}

struct F16 {
  static float wide(uint16_t bits) { return halfToFloat(bits); }
  static uint16_t narrow(float value) { return floatToHalf(value); }
  static constexpr const Format &format = kFormatF16;
};

struct Bf16 {
  static float wide(uint16_t bits) { return bfloatToFloat(bits); }
  static uint16_t narrow(float value) { return floatToBfloat(value); }
  static constexpr const Format &format = kFormatBf16;
};

// The one rounding of an exact or rounded-to-odd double.
template <class H>
inline uint16_t narrowOnce(double value) {
  if (value != value) return kNan16;
  return H::narrow(static_cast<float>(roundTo(value, H::format, Round::nearest)));
}

}  // namespace limbeck

#endif
