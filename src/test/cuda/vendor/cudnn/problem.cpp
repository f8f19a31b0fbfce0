// From descriptors to a checked problem.
#include "problem.h"

namespace limbeck::dnn {

namespace {

// Whether the strides are those of a packed tensor with the dimensions in this order, slowest first; size 1 has no stride.
bool packed(const Layout &layout, const int (&order)[4]) {
  int64_t stride = 1;
  for (int i = 3; i >= 0; i--) {
    const int d = order[i];
    if (layout.dims[d] != 1 && layout.strides[d] != stride) return false;
    stride *= layout.dims[d];
  }
  return true;
}

Layout layout_of(const int dims[], const int strides[]) {
  Layout layout{};
  for (int i = 0; i < 4; i++) layout.dims[i] = dims[i], layout.strides[i] = strides[i];
  layout.nchw = packed(layout, {0, 1, 2, 3});
  layout.nhwc = packed(layout, {0, 2, 3, 1});
  return layout;
}

// A filter's layout is what its descriptor says, also where sizes of 1 would hide it: the tables ask for the format.
Layout layout_of(const Filter &filter) {
  const int *d = filter.dims;
  const bool last = filter.format == CUDNN_TENSOR_NHWC;
  const int chw[] = {d[1] * d[2] * d[3], d[2] * d[3], d[3], 1}, hwc[] = {d[1] * d[2] * d[3], 1, d[3] * d[1], d[1]};
  Layout layout = layout_of(d, last ? hwc : chw);
  layout.nchw = !last;
  layout.nhwc = last;
  return layout;
}

cudnnStatus_t check_shapes(const char *function, const Convolution &convolution, const Tensor &x, const Filter &w,
                           const Tensor &y) {
  int dims[CUDNN_DIM_MAX];
  const cudnnStatus_t status = output_dims(function, convolution, x, w, dims);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  if (w.dims[0] % convolution.groups != 0) {
    return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d output channels are no multiple of %d groups", w.dims[0],
                      convolution.groups);
  }
  for (int i = 0; i < 4; i++) {
    if (y.dims[i] != dims[i]) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "y is [%d,%d,%d,%d], the convolution gives [%d,%d,%d,%d]", y.dims[0],
                        y.dims[1], y.dims[2], y.dims[3], dims[0], dims[1], dims[2], dims[3]);
    }
  }
  return CUDNN_STATUS_SUCCESS;
}

// The configurations of the tables that are computed here: FLOAT, DOUBLE, PSEUDO_HALF, PSEUDO_BFLOAT16.
cudnnStatus_t check_types(const char *function, const Convolution &convolution, const Tensor &x, const Filter &w, const Tensor &y,
                          Problem *problem) {
  const bool known = number_of(x.type, &problem->type);
  const int wanted = x.type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  if (!known || w.type != x.type || y.type != x.type || convolution.compute_type != wanted) {
    return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED,
                      "data types x %d, w %d, y %d with compute type %d are no configuration of the tables (or one that is not "
                      "computed here)",
                      x.type, w.type, y.type, convolution.compute_type);
  }
  problem->capability = compute_capability();
  if (problem->capability == 0) {
    return DNN_REFUSE(function, CUDNN_STATUS_EXECUTION_FAILED, "the device does not answer: no current context, or one in error");
  }
  if (problem->type == Number::kBf16 && problem->capability < 80) {
    return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH, "bfloat16 needs compute capability 8.0, this is %d.%d",
                      problem->capability / 10, problem->capability % 10);
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

cudnnStatus_t output_dims(const char *function, const Convolution &convolution, const Tensor &x, const Filter &w, int dims[]) {
  if (x.dims[1] != w.dims[1] * convolution.groups) {
    return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "x has %d channels, the filter %d in each of %d groups", x.dims[1],
                      w.dims[1], convolution.groups);
  }
  dims[0] = x.dims[0];
  dims[1] = w.dims[0];
  for (int i = 0; i < convolution.rank; i++) {
    const int64_t reach = int64_t{w.dims[i + 2] - 1} * convolution.dilations[i] + 1;
    const int64_t padded = x.dims[i + 2] + 2 * int64_t{convolution.pads[i]};
    if (padded < reach) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the filter reaches %lld, the padded input only %lld",
                        static_cast<long long>(reach), static_cast<long long>(padded));
    }
    dims[i + 2] = static_cast<int>(1 + (padded - reach) / convolution.strides[i]);
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t resolve(const char *function, const void *convolution_key, const void *x_key, const void *w_key, const void *y_key,
                      Problem *problem) {
  const auto convolution = Registry<Convolution>::instance().find(convolution_key);
  const auto x = Registry<Tensor>::instance().find(x_key), y = Registry<Tensor>::instance().find(y_key);
  const auto w = Registry<Filter>::instance().find(w_key);
  if (!convolution || !x || !y || !w || convolution->rank == 0 || x->rank == 0 || y->rank == 0 || w->rank == 0) {
    return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "a descriptor is null, destroyed, of another kind, or was never set");
  }
  if (x->rank != w->rank || x->rank != y->rank || x->rank != convolution->rank + 2) {
    return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the ranks of the descriptors do not agree");
  }
  if (x->rank != 4) return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "only two dimensions of space are computed here");
  cudnnStatus_t status = check_shapes(function, *convolution, *x, *w, *y);
  if (status == CUDNN_STATUS_SUCCESS) status = check_types(function, *convolution, *x, *w, *y, problem);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  problem->x = layout_of(x->dims, x->strides);
  problem->y = layout_of(y->dims, y->strides);
  problem->w = layout_of(*w);
  for (const Layout *layout : {&problem->x, &problem->y}) {
    if (!layout->nchw && !layout->nhwc) {
      return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "only packed NCHW and NHWC tensors are computed here");
    }
  }
  problem->groups = convolution->groups;
  problem->math = convolution->math;
  problem->flipped = convolution->mode == CUDNN_CONVOLUTION;
  for (int i = 0; i < 2; i++) {
    problem->pads[i] = convolution->pads[i];
    problem->strides[i] = convolution->strides[i];
    problem->dilations[i] = convolution->dilations[i];
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace limbeck::dnn
