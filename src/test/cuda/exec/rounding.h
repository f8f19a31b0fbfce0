// Arithmetic under a rounding mode other than to nearest.
#ifndef LIMBECK_EXEC_ROUNDING_H
#define LIMBECK_EXEC_ROUNDING_H

#include "exec/warp.h"

namespace limbeck {

enum class RoundedOp : uint8_t { none, add, subtract, multiply, divide, fma, root, reciprocal };

// imm: operation << 8 | Round; aux: 1 flush, 2 saturate (f32 only).
void roundedFloat(Warp &w, const Inst &i);
void roundedDouble(Warp &w, const Inst &i);

}  // namespace limbeck

#endif
