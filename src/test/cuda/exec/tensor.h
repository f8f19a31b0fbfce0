// What mma and wmma share.
#ifndef LIMBECK_EXEC_TENSOR_H
#define LIMBECK_EXEC_TENSOR_H

#include "exec/decode.h"

namespace limbeck {

// C += A B for row-major A [m, k] (rows strideA apart), B [k, n], C [m, n], in float.
void accumulate(const float *A, int strideA, const float *B, float *C, int m, int n, int k, bool backwards);

void decodeWmma(Encoder &e);

}  // namespace limbeck

#endif
