// One convolution, its shapes and types checked; what an algorithm may do with it; its computation.
#pragma once

#include "device.h"
#include "objects.h"

namespace limbeck::dnn {

enum class Direction { kForward, kBackwardData, kBackwardFilter };

// A packed tensor of four dimensions: where element (n, c, h, w) lies. Filters: (k, c, r, s).
struct Layout {
  int64_t dims[4], strides[4];
  bool nchw, nhwc;  // both hold where dimensions of 1 hide the difference

  int64_t count() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3];
  }
};

// x [N,C,H,W], w [K,C/G,R,S], y [N,K,P,Q]; gradients have the layouts of what they are gradients of.
struct Problem {
  Layout x, w, y;
  int64_t groups, pads[2], strides[2], dilations[2];
  bool flipped;  // CUDNN_CONVOLUTION: the filter is mirrored
  Number type;
  int math, capability;
};

// One row of NVIDIA's tables.
struct Algorithm {
  int id;
  const char *name;
  bool deterministic, tensor_cores;
};

// Shape of the output: 1 + (in + 2 pad - ((filter - 1) dilation + 1)) / stride in space.
cudnnStatus_t output_dims(const char *function, const Convolution &convolution, const Tensor &x, const Filter &w, int dims[]);

// Reads and checks the descriptors of one call, or answers the status with a line why.
cudnnStatus_t resolve(const char *function, const void *convolution, const void *x, const void *w, const void *y,
                      Problem *problem);

// The algorithms of a direction, best first.
struct Algorithms {
  const Algorithm *first;
  int count;
  const Algorithm *begin() const { return first; }
  const Algorithm *end() const { return first + count; }
};
Algorithms algorithms(Direction direction);
const Algorithm *find(Direction direction, int id);

// Why the algorithm cannot run this, or null if it can.
const char *objection(Direction direction, const Algorithm &algorithm, const Problem &problem);

// Whether the algorithm runs on tensor cores under the problem's math type.
bool on_tensor_cores(const Algorithm &algorithm, const Problem &problem);

size_t workspace_bytes(Direction direction, const Algorithm &algorithm, const Problem &problem);

// What the computation reads and writes; `result` has the layout of y, x or w.
struct Job {
  Direction direction;
  Problem problem;
  InputRounding rounding;
  bool deterministic;
  double alpha, beta;
  Address first, second, result, workspace;
  size_t workspace_bytes;

  void operator()() const;
};

}  // namespace limbeck::dnn
