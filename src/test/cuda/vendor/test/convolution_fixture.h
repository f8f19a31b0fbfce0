// A convolution with its descriptors, its data on the device, and results by another formula than the stand-in's.
#pragma once

#include <cstdint>

#include "check.h"
#include "cudnn.h"
#include "fake_driver.h"
#include "number.h"

struct Shape {
  int n, c, h, w, k, r, s, groups, pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w;
  int p() const { return 1 + (h + 2 * pad_h - ((r - 1) * dilation_h + 1)) / stride_h; }
  int q() const { return 1 + (w + 2 * pad_w - ((s - 1) * dilation_w + 1)) / stride_w; }
};

// Values in the logical order N, C, H, W, with a copy on the device in a layout and a type.
struct Data {
  int dims[4];
  bool last;
  int type;
  std::vector<double> values;
  void *device;

  Data(int a, int b, int c, int d, bool channels_last, int data_type, unsigned seed)
      : dims{a, b, c, d}, last(channels_last), type(data_type) {
    const auto source = eighths(static_cast<size_t>(a) * b * c * d, seed);
    values.assign(source.begin(), source.end());
    device = fake::allocate(values.size() * size() + 16);
    device = static_cast<char *>(device) + (16 - reinterpret_cast<unsigned long long>(device) % 16) % 16;
    for (size_t i = 0; i < values.size(); i++) store(i, seed == 0 ? NAN : values[i]);
  }

  size_t size() const { return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_FLOAT ? 4 : 2; }
  limbeck::Number number() const {
    return type == CUDNN_DATA_DOUBLE  ? limbeck::Number::kF64
           : type == CUDNN_DATA_FLOAT ? limbeck::Number::kF32
           : type == CUDNN_DATA_HALF  ? limbeck::Number::kF16
                                      : limbeck::Number::kBf16;
  }
  size_t index(int a, int b, int c, int d) const {
    return ((static_cast<size_t>(a) * dims[1] + b) * dims[2] + c) * dims[3] + d;
  }
  // Where logical element i lies in the layout.
  size_t place(size_t i) const {
    const size_t d = i % dims[3], row = i / dims[3], c = row % dims[2], plane = row / dims[2], b = plane % dims[1];
    const size_t a = plane / dims[1];
    return last ? ((a * dims[2] + c) * dims[3] + d) * dims[1] + b : i;
  }
  void store(size_t i, double value) { limbeck::store_one(number(), fake::host(device), place(i), value); }
  double read(size_t i) const { return limbeck::load_one(number(), fake::host(device), place(i)); }
  double rounded(double value) const {
    uint64_t bits = 0;
    limbeck::store_one(number(), &bits, 0, value);
    return limbeck::load_one(number(), &bits, 0);
  }
};

struct Setting {
  Shape shape;
  bool last;
  int type, mode = CUDNN_CROSS_CORRELATION;
  void *x = nullptr, *w = nullptr, *y = nullptr, *convolution = nullptr;

  Setting(const Shape &s, bool channels_last, int data_type, int convolution_mode = CUDNN_CROSS_CORRELATION)
      : shape(s), last(channels_last), type(data_type), mode(convolution_mode) {
    const int format = last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
    CHECK_EQUAL(cudnnCreateTensorDescriptor(&x), 0);
    CHECK_EQUAL(cudnnCreateTensorDescriptor(&y), 0);
    CHECK_EQUAL(cudnnCreateFilterDescriptor(&w), 0);
    CHECK_EQUAL(cudnnCreateConvolutionDescriptor(&convolution), 0);
    CHECK_EQUAL(cudnnSetTensor4dDescriptor(x, format, type, s.n, s.c, s.h, s.w), 0);
    CHECK_EQUAL(cudnnSetTensor4dDescriptor(y, format, type, s.n, s.k, s.p(), s.q()), 0);
    CHECK_EQUAL(cudnnSetFilter4dDescriptor(w, type, format, s.k, s.c / s.groups, s.r, s.s), 0);
    CHECK_EQUAL(cudnnSetConvolution2dDescriptor(convolution, s.pad_h, s.pad_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
                                                mode, type == CUDNN_DATA_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT),
                0);
    CHECK_EQUAL(cudnnSetConvolutionGroupCount(convolution, s.groups), 0);
  }
  Setting(const Setting &) = delete;
  ~Setting() {
    cudnnDestroyTensorDescriptor(x);
    cudnnDestroyTensorDescriptor(y);
    cudnnDestroyFilterDescriptor(w);
    cudnnDestroyConvolutionDescriptor(convolution);
  }

  Data input(unsigned seed) const { return {shape.n, shape.c, shape.h, shape.w, last, type, seed}; }
  Data filter(unsigned seed) const { return {shape.k, shape.c / shape.groups, shape.r, shape.s, last, type, seed}; }
  Data output(unsigned seed) const { return {shape.n, shape.k, shape.p(), shape.q(), last, type, seed}; }

  // Visits every pair of an input and an output pixel and asks whether the filter's element (r, s) joins them: slow, and unlike the
  // stand-in's loops.
  template <class Visit>
  void visit(Visit visit) const {
    const Shape &z = shape;
    const int per_group_in = z.c / z.groups, per_group_out = z.k / z.groups;
    for (int n = 0; n < z.n; n++)
      for (int k = 0; k < z.k; k++)
        for (int c = 0; c < per_group_in; c++)
          for (int p = 0; p < z.p(); p++)
            for (int q = 0; q < z.q(); q++)
              for (int h = 0; h < z.h; h++)
                for (int w = 0; w < z.w; w++) {
                  const int up = h + z.pad_h - p * z.stride_h, left = w + z.pad_w - q * z.stride_w;
                  if (up < 0 || left < 0 || up % z.dilation_h != 0 || left % z.dilation_w != 0) continue;
                  int r = up / z.dilation_h, s = left / z.dilation_w;
                  if (r >= z.r || s >= z.s) continue;
                  if (mode == CUDNN_CONVOLUTION) r = z.r - 1 - r, s = z.s - 1 - s;
                  visit(n, k / per_group_out * per_group_in + c, h, w, k, c, r, s, p, q);
                }
  }
};
