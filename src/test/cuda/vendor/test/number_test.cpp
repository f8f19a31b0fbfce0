// Conversions and roundings against bit patterns worked out by hand, and against the neighbouring values.
#include "number.h"

#include <limits>

#include "check.h"

using namespace limbeck;

namespace {

void bf16() {
  CHECK_EQUAL(to_bf16(1.0), 0x3f80);
  CHECK_EQUAL(to_bf16(-2.0), 0xc000);
  CHECK_EQUAL(to_bf16(0.0), 0);
  CHECK_EQUAL(to_bf16(-0.0), 0x8000);
  CHECK_EQUAL(to_bf16(1 + 1.0 / 256), 0x3f80);               // halfway: to even, down
  CHECK_EQUAL(to_bf16(1 + 3.0 / 256), 0x3f82);               // halfway: to even, up
  CHECK_EQUAL(to_bf16(1 + 1.0 / 256 + 0x1p-40), 0x3f81);     // by way of float this would round to even, down
  CHECK_EQUAL(to_bf16(0x1.ffp127), 0x7f80);                  // halfway to what infinity stands for
  CHECK_EQUAL(to_bf16(0x1.fdp127), 0x7f7e);
  CHECK_EQUAL(to_bf16(1e300), 0x7f80);
  CHECK_EQUAL(to_bf16(std::numeric_limits<double>::infinity()), 0x7f80);
  CHECK_EQUAL(to_bf16(std::numeric_limits<double>::quiet_NaN()), 0x7fff);
  CHECK_EQUAL(to_bf16(0x1p-133), 1);                         // smallest subnormal
  CHECK_EQUAL(to_bf16(0x1p-134), 0);                         // half of it: to even
  CHECK_EQUAL(to_bf16(0x1.8p-134), 1);
  CHECK_EQUAL(to_bf16(0x1.fcp-127), 0x7f);                   // largest subnormal
  CHECK_EQUAL(to_bf16(0x1.fep-127), 0x80);                   // halfway: up, into the smallest normal number
}

void f16() {
  CHECK_EQUAL(to_f16(1.0), 0x3c00);
  CHECK_EQUAL(to_f16(65504.0), 0x7bff);
  CHECK_EQUAL(to_f16(65519.0), 0x7bff);
  CHECK_EQUAL(to_f16(65520.0), 0x7c00);
  CHECK_EQUAL(to_f16(0x1p-24), 1);
  CHECK_EQUAL(to_f16(0x1p-25), 0);
  CHECK_EQUAL(to_f16(-0x1p-14), 0x8400);
  CHECK_EQUAL(to_f16(1 + 0x1p-11), 0x3c00);
  CHECK_EQUAL(to_f16(1 + 0x3p-11), 0x3c02);
}

// Every finite 16-bit value survives the way to double and back.
void round_trips() {
  int wrong = 0;
  for (unsigned bits = 0; bits < 0x10000; bits++) {
    const auto small = static_cast<uint16_t>(bits);
    if ((bits & 0x7c00) != 0x7c00 && to_f16(from_f16(small)) != small) wrong++;
    if ((bits & 0x7f80) != 0x7f80 && to_bf16(from_bf16(small)) != small) wrong++;
  }
  CHECK_EQUAL(wrong, 0);
}

void tf32() {
  CHECK_EQUAL(to_tf32(1.0F), 1.0);
  CHECK_EQUAL(to_tf32(1 + 0x1p-10F), 1 + 0x1p-10);     // the last bit that stays
  CHECK_EQUAL(to_tf32(1 + 0x1p-11F), 1 + 0x1p-10);     // a tie goes away from zero
  CHECK_EQUAL(to_tf32(-1 - 0x1p-11F), -1 - 0x1p-10);
  CHECK_EQUAL(to_tf32(1 + 0x1.fp-12F), 1.0);
  CHECK_EQUAL(to_tf32(0x1.fffp0F), 2.0);               // the carry reaches the exponent
  CHECK(std::isnan(to_tf32(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isinf(to_tf32(std::numeric_limits<float>::infinity())));
}

}  // namespace

int main() {
  bf16();
  f16();
  round_trips();
  tf32();
  return report_checks(30);
}
