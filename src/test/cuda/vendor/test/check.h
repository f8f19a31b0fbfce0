// Checks that count: a failed one prints its line, and the program ends with 1.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

inline int checks = 0, failures = 0;

#define CHECK(condition)                                                              \
  do {                                                                                \
    checks++;                                                                         \
    if (!(condition)) {                                                               \
      failures++;                                                                     \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);             \
    }                                                                                 \
  } while (false)

#define CHECK_EQUAL(actual, expected)                                                             \
  do {                                                                                            \
    checks++;                                                                                     \
    const auto got = static_cast<double>(actual), want = static_cast<double>(expected);           \
    if (!(got == want)) {                                                                         \
      failures++;                                                                                 \
      std::printf("%s:%d: %s is %.17g, not %.17g\n", __FILE__, __LINE__, #actual, got, want);     \
    }                                                                                             \
  } while (false)

inline int report_checks(int minimum) {
  std::printf("%d checks, %d failed\n", checks, failures);
  if (checks < minimum) std::printf("fewer checks than the %d expected\n", minimum);
  return failures == 0 && checks >= minimum ? 0 : 1;
}

// Small integers over 8: products and sums of them are exact in every type used here.
inline std::vector<float> eighths(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values) value = static_cast<float>(static_cast<int>(random() % 33) - 16) / 8;
  return values;
}
