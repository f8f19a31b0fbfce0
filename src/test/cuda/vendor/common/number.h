// Element types: sizes, conversion to and from double, and the roundings that tensor cores apply to their inputs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace limbeck {

enum class Number { kF16, kBf16, kF32, kF64 };

// What a product does to its inputs before it multiplies.
enum class InputRounding { kNone, kTf32, kBf16, kF16 };

size_t size_of(Number type);

// One rounding, to nearest even, from double: never by way of float, which would round twice.
uint16_t to_bf16(double value);
uint16_t to_f16(double value);
double from_bf16(uint16_t bits);
double from_f16(uint16_t bits);

// The value a tensor core sees: 10 stored bits of significand; nearest, ties away from zero (as cvt.rna.tf32.f32).
float to_tf32(float value);

// Reads `count` elements, `step` elements apart.
void load(Number type, const void *source, size_t count, size_t step, InputRounding rounding, double *target);

double load_one(Number type, const void *source, size_t index);
void store_one(Number type, void *target, size_t index, double value);

// accumulator[i] += factor * values[i]: the inner loop of every product here.
void multiply_add(double *accumulator, const double *values, double factor, size_t count);

}  // namespace limbeck
