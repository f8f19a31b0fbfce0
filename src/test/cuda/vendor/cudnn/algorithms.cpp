// Which algorithm takes which convolution, after the tables of NVIDIA's documentation; and the workspaces of these stand-ins.
#include "problem.h"

#include <algorithm>

namespace limbeck::dnn {

namespace {

// In the order of preference of the answers; the ids are those of the interface.
constexpr Algorithm kForward[] = {
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, "IMPLICIT_PRECOMP_GEMM", true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, "IMPLICIT_GEMM", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_GEMM, "GEMM", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, "WINOGRAD", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED, "WINOGRAD_NONFUSED", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING, "FFT_TILING", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_FFT, "FFT", true, false},
    {CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, "DIRECT", true, false},
};
constexpr Algorithm kBackwardData[] = {
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, "ALGO_1", true, true},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, "ALGO_0", false, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, "WINOGRAD", true, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED, "WINOGRAD_NONFUSED", true, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING, "FFT_TILING", true, false},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, "FFT", true, false},
};
constexpr Algorithm kBackwardFilter[] = {
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, "ALGO_1", true, true},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, "ALGO_0", false, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, "ALGO_3", false, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED, "WINOGRAD_NONFUSED", true, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING, "FFT_TILING", true, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT, "FFT", true, false},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD, "WINOGRAD", true, false},
};

// Families that the three directions share; "plain" are the products and the direct sums of the backward passes.
enum class Family { kPlain, kUnitDilation, kFft, kFftTiling, kWinograd, kNonfused, kNever };

Family family_of(Direction direction, int id) {
  switch (direction) {
    case Direction::kForward:
      switch (id) {
        case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM:
        case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM:
          return Family::kPlain;
        case CUDNN_CONVOLUTION_FWD_ALGO_GEMM:
          return Family::kUnitDilation;
        case CUDNN_CONVOLUTION_FWD_ALGO_FFT:
          return Family::kFft;
        case CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING:
          return Family::kFftTiling;
        case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD:
          return Family::kWinograd;
        case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED:
          return Family::kNonfused;
        default:
          return Family::kNever;
      }
    case Direction::kBackwardData:
      switch (id) {
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT:
          return Family::kFft;
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING:
          return Family::kFftTiling;
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD:
          return Family::kWinograd;
        case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED:
          return Family::kNonfused;
        default:
          return Family::kPlain;
      }
    default:
      switch (id) {
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3:
          return Family::kUnitDilation;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT:
          return Family::kFft;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING:
          return Family::kFftTiling;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED:
          return Family::kNonfused;
        case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD:
          return Family::kNever;
        default:
          return Family::kPlain;
      }
  }
}

bool both(const int64_t (&values)[2], int64_t value) { return values[0] == value && values[1] == value; }

// The rows for filters in NHWC are few: forward IMPLICIT_PRECOMP_GEMM, backward ALGO_0 and ALGO_1 (0 and 1 in both directions), all
// operands channels last.
const char *channels_last_objection(Direction direction, const Algorithm &algorithm, const Problem &problem) {
  if (!problem.x.nhwc || !problem.y.nhwc) return "a filter in NHWC wants both tensors packed in NHWC";
  const bool listed = direction == Direction::kForward
                          ? algorithm.id == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
                          : algorithm.id == CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 || algorithm.id == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
  if (!listed) return "not listed for filters in NHWC";
  if (direction != Direction::kForward && problem.type == Number::kF64) return "not listed for filters of doubles in NHWC";
  const bool small = problem.type == Number::kBf16 || problem.type == Number::kF16;
  if (small && algorithm.tensor_cores && problem.math == CUDNN_FMA_MATH) {
    return "16-bit channels-last kernels run on tensor cores, which CUDNN_FMA_MATH forbids";
  }
  return nullptr;
}

// What the transforms ask for: unit strides, no dilation, small filters, NCHW for FFT.
const char *transform_objection(Family family, const Problem &problem) {
  const int64_t r = problem.w.dims[2], s = problem.w.dims[3];
  if (!both(problem.dilations, 1)) return "takes no dilation";
  if (family == Family::kUnitDilation) return nullptr;
  if (!both(problem.strides, 1)) return "takes no strides";
  const bool square3 = r == 3 && s == 3, square5 = r == 5 && s == 5;
  if (family == Family::kWinograd) return square3 ? nullptr : "takes filters of 3 x 3";
  if (family == Family::kNonfused) return square3 || square5 ? nullptr : "takes filters of 3 x 3 and 5 x 5";
  if (!problem.x.nchw || !problem.y.nchw) return "takes tensors in NCHW";
  if (r <= problem.pads[0] || s <= problem.pads[1]) return "takes filters larger than the padding";
  if (family == Family::kFftTiling) return r <= 32 && s <= 32 ? nullptr : "takes filters up to 32 x 32";
  const bool fits = problem.x.dims[2] + 2 * problem.pads[0] <= 256 && problem.x.dims[3] + 2 * problem.pads[1] <= 256;
  return fits ? nullptr : "takes padded images up to 256 x 256";
}

bool takes_type(Family family, Number type) {
  switch (family) {
    case Family::kFft:
    case Family::kWinograd:
      return type == Number::kF32 || type == Number::kF16;
    case Family::kFftTiling:
      return type != Number::kBf16;
    case Family::kNonfused:
      return type != Number::kF64;
    default:
      return true;
  }
}

size_t align(int64_t bytes) { return (static_cast<size_t>(bytes) + 255) / 256 * 256; }

}  // namespace

Algorithms algorithms(Direction direction) {
  switch (direction) {
    case Direction::kForward:
      return {kForward, static_cast<int>(std::size(kForward))};
    case Direction::kBackwardData:
      return {kBackwardData, static_cast<int>(std::size(kBackwardData))};
    default:
      return {kBackwardFilter, static_cast<int>(std::size(kBackwardFilter))};
  }
}

const Algorithm *find(Direction direction, int id) {
  const Algorithms all = algorithms(direction);
  const auto *found = std::find_if(all.begin(), all.end(), [&](const Algorithm &one) { return one.id == id; });
  return found == all.end() ? nullptr : found;
}

const char *objection(Direction direction, const Algorithm &algorithm, const Problem &problem) {
  const Family family = family_of(direction, algorithm.id);
  // NVIDIA names these algorithms and refuses them itself: the refusal is the whole behaviour.
  if (family == Family::kNever) return "an algorithm that cuDNN names and refuses for every problem";
  if (!takes_type(family, problem.type)) return "not listed for this data type";
  if (problem.w.nhwc) return channels_last_objection(direction, algorithm, problem);
  if (direction != Direction::kForward && !problem.y.nchw) return "takes dy in NCHW when the filter is";
  return family == Family::kPlain ? nullptr : transform_objection(family, problem);
}

bool on_tensor_cores(const Algorithm &algorithm, const Problem &problem) {
  if (!algorithm.tensor_cores || problem.math == CUDNN_FMA_MATH) return false;
  switch (problem.type) {
    case Number::kBf16:
      return problem.capability >= 80;
    case Number::kF16:
      return problem.capability >= 70;
    case Number::kF32:  // as TF32; before Ampere only by way of F16, when conversion is allowed
      return problem.capability >= 80 || (problem.capability >= 70 && problem.math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
    default:
      return false;
  }
}

// Plausible sizes, not NVIDIA's: index tables, unrolled images, transformed tiles, partial sums. Tensor cores want more, so that an
// algorithm taken under another math type than it was asked for lacks workspace.
size_t workspace_bytes(Direction direction, const Algorithm &algorithm, const Problem &problem) {
  const auto size = static_cast<int64_t>(size_of(problem.type));
  const int64_t filter = problem.w.count(), taps = filter / problem.w.dims[0];
  const int64_t pixels = problem.y.dims[2] * problem.y.dims[3];
  const int64_t cores = on_tensor_cores(algorithm, problem) ? 2 : 1;
  switch (family_of(direction, algorithm.id)) {
    case Family::kPlain:
      if (!algorithm.tensor_cores) return 0;  // IMPLICIT_GEMM and both ALGO_0
      return align(direction == Direction::kForward        ? 8 * (taps + pixels)
                   : direction == Direction::kBackwardData ? size * filter
                                                           : 4 * filter) *
             static_cast<size_t>(cores);
    case Family::kUnitDilation:
      return align(direction == Direction::kForward ? problem.groups * taps * pixels * size : 4 * filter);
    case Family::kFft:
    case Family::kFftTiling:
      return align(8 * (problem.x.count() + problem.y.count() + 32 * 32 * filter / (problem.w.dims[2] * problem.w.dims[3])));
    case Family::kWinograd:
    case Family::kNonfused:
      return align(4 * 16 * (filter + problem.x.count() + problem.y.count()) / 4);
    default:
      return 0;
  }
}

}  // namespace limbeck::dnn
