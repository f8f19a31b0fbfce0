// A matrix product as asked for, its checks and its computation.
#pragma once

#include "cublas.h"
#include "device.h"
#include "handle.h"
#include "number.h"

namespace limbeck::blas {

// A column-major matrix of the caller, and the copies of it that a batch steps through (all in elements).
struct Matrix {
  Address address;
  int type;  // cudaDataType
  int64_t ld;
  int64_t stride;
};

// alpha or beta: a value, or the device address to read it from when the product runs.
struct Scalar {
  bool on_device;
  double value;
  Address address;

  double get(Number type) const;
};

struct Product {
  int transa, transb;
  int64_t m, n, k, batch;
  const void *alpha, *beta;
  Matrix a, b, c;
  int compute_type, algorithm;
};

// A product that passed the checks, free of every host pointer of the caller.
struct Job {
  bool transposed_a, transposed_b;
  int64_t m, n, k, batch;
  Scalar alpha, beta;
  Matrix a, b, c;
  Number a_type, b_type, c_type, scale_type;
  InputRounding rounding;

  void operator()() const;
};

// Number of a cudaDataType; false if the stand-in computes none such.
bool number_of(int type, Number *number);

Scalar scalar_of(const void *pointer, bool on_device, Number type);

// Checks the product as NVIDIA's tables do and fills the job, or answers the status with a line why.
cublasStatus_t check(const char *function, const Product &product, const Settings &settings, Job *job);

// Checks and enqueues.
cublasStatus_t multiply(const char *function, cublasHandle_t handle, const Product &product);

// Maps what enqueueing answered.
cublasStatus_t launched(const char *function, int result);

}  // namespace limbeck::blas
