// The order of descriptors in the arguments of each direction: forward (x, w, y), data (w, dy, dx), filter (x, dy, dw).
#pragma once

#include "problem.h"

namespace limbeck::dnn {

struct Call {
  const char *function;
  Direction direction;
  void *first, *second, *convolution, *result;

  cudnnStatus_t resolve(Problem *problem) const {
    switch (direction) {
      case Direction::kForward:
        return dnn::resolve(function, convolution, first, second, result, problem);
      case Direction::kBackwardData:
        return dnn::resolve(function, convolution, result, first, second, problem);
      default:
        return dnn::resolve(function, convolution, first, result, second, problem);
    }
  }
};

inline const Layout &first_layout(Direction direction, const Problem &p) {
  return direction == Direction::kBackwardData ? p.w : p.x;
}

inline const Layout &second_layout(Direction direction, const Problem &p) { return direction == Direction::kForward ? p.w : p.y; }

inline const Layout &result_layout(Direction direction, const Problem &p) {
  return direction == Direction::kForward ? p.y : direction == Direction::kBackwardData ? p.x : p.w;
}

}  // namespace limbeck::dnn
