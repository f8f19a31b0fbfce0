package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.Libraries.Convolution;
import dev.limbeck.kernels.Libraries.Pass;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnConvolutionDescriptor;
import jcuda.jcudnn.cudnnConvolutionMode;
import jcuda.jcudnn.cudnnDataType;
import jcuda.jcudnn.cudnnFilterDescriptor;
import jcuda.jcudnn.cudnnHandle;
import jcuda.jcudnn.cudnnMathType;
import jcuda.jcudnn.cudnnTensorDescriptor;
import jcuda.jcudnn.cudnnTensorFormat;
import jcuda.runtime.cudaStream_t;

/**
 * cuDNN 9 on one queue, through its older interface: convolutions on channels-last images.
 *
 * <p>The algorithm is fixed for each pass (implicit product forward, algorithm 1 backward): these
 * repeat their bits. A shape that the library does not take under it is remembered as such.
 */
final class Dnn implements AutoCloseable {
  private static final String WHY_NOT =
      Redist.before(
          "libcudnn",
          () ->
              Driver.load(() -> JCudnn.setExceptionsEnabled(false), "libcudnn.so.9", "no cuDNN 9"));

  /** IMPLICIT_PRECOMP_GEMM forward, ALGO_1 for either gradient. */
  private static final int ALGORITHM = 1;

  // Statuses of cuDNN 9, whose numbers are not those of the binding's cuDNN 8.
  private static final int NOT_SUPPORTED = 3000;
  private static final int INTERNAL_ERROR = 4000;

  /** Beyond this, memory for a faster product is better spent on a larger batch. */
  private static final long MOST_WORKSPACE = 1L << 30;

  private static final Pointer ONE = Pointer.to(new float[] {1f});
  private static final Pointer ZERO = Pointer.to(new float[] {0f});

  private final cudnnHandle handle = new cudnnHandle();
  private final boolean tf32;
  private final Map<Pass, Map<Convolution, Plan>> plans = new EnumMap<>(Pass.class);

  /** Descriptors of one pass, and its workspace; negative if the library does not take it. */
  private record Plan(
      cudnnTensorDescriptor x,
      cudnnFilterDescriptor weight,
      cudnnTensorDescriptor y,
      cudnnConvolutionDescriptor convolution,
      long workspace) {}

  Dnn(Queue queue, boolean tf32) {
    this.tf32 = tf32;
    for (Pass pass : Pass.values()) {
      plans.put(pass, new HashMap<>());
    }
    check("cudnnCreate", JCudnn.cudnnCreate(handle));
    check("cudnnSetStream", JCudnn.cudnnSetStream(handle, new cudaStream_t(queue.stream)));
  }

  /** Empty if the library is there, else one sentence that says why not. */
  static Optional<String> unavailable() {
    return WHY_NOT.isEmpty() ? Optional.empty() : Optional.of(WHY_NOT);
  }

  /** The version in cuDNN's own form, as in 90500. */
  static long version() {
    return JCudnn.cudnnGetVersion();
  }

  /** Bytes of workspace that a pass needs, or -1 if the library does not take it. */
  long workspace(Pass pass, Convolution sizes) {
    return plan(pass, sizes).workspace;
  }

  /** Queues a pass for which {@link #workspace} did not answer -1. */
  void convolve(
      Pass pass,
      Convolution sizes,
      long x,
      long weight,
      long y,
      boolean accumulate,
      long workspace) {
    Plan plan = plan(pass, sizes);
    Pointer beta = accumulate ? ONE : ZERO;
    Pointer xs = new Address(x);
    Pointer ws = new Address(weight);
    Pointer ys = new Address(y);
    Pointer space = new Address(workspace);
    switch (pass) {
      case FORWARD -> forward(plan, xs, ws, ys, beta, space);
      case INPUT_GRADIENT -> inputGradient(plan, xs, ws, ys, beta, space);
      case WEIGHT_GRADIENT -> weightGradient(plan, xs, ws, ys, beta, space);
    }
  }

  private void forward(Plan p, Pointer x, Pointer w, Pointer y, Pointer beta, Pointer space) {
    check(
        "cudnnConvolutionForward",
        JCudnn.cudnnConvolutionForward(
            handle,
            ONE,
            p.x,
            x,
            p.weight,
            w,
            p.convolution,
            ALGORITHM,
            space,
            p.workspace,
            beta,
            p.y,
            y));
  }

  private void inputGradient(Plan p, Pointer x, Pointer w, Pointer y, Pointer beta, Pointer space) {
    check(
        "cudnnConvolutionBackwardData",
        JCudnn.cudnnConvolutionBackwardData(
            handle,
            ONE,
            p.weight,
            w,
            p.y,
            y,
            p.convolution,
            ALGORITHM,
            space,
            p.workspace,
            beta,
            p.x,
            x));
  }

  private void weightGradient(
      Plan p, Pointer x, Pointer w, Pointer y, Pointer beta, Pointer space) {
    check(
        "cudnnConvolutionBackwardFilter",
        JCudnn.cudnnConvolutionBackwardFilter(
            handle,
            ONE,
            p.x,
            x,
            p.y,
            y,
            p.convolution,
            ALGORITHM,
            space,
            p.workspace,
            beta,
            p.weight,
            w));
  }

  private Plan plan(Pass pass, Convolution sizes) {
    Map<Convolution, Plan> known = plans.get(pass);
    Plan plan = known.get(sizes);
    if (plan == null) {
      plan = make(pass, sizes);
      known.put(sizes, plan);
    }
    return plan;
  }

  private Plan make(Pass pass, Convolution s) {
    cudnnTensorDescriptor x = images(s.n(), s.c(), s.h(), s.w());
    cudnnTensorDescriptor y = images(s.n(), s.o(), s.outH(), s.outW());
    cudnnFilterDescriptor weight = new cudnnFilterDescriptor();
    check("cudnnCreateFilterDescriptor", JCudnn.cudnnCreateFilterDescriptor(weight));
    check(
        "cudnnSetFilter4dDescriptor",
        JCudnn.cudnnSetFilter4dDescriptor(
            weight,
            cudnnDataType.CUDNN_DATA_FLOAT,
            cudnnTensorFormat.CUDNN_TENSOR_NHWC,
            s.o(),
            s.c(),
            s.kh(),
            s.kw()));
    cudnnConvolutionDescriptor convolution = convolution(s);
    long[] bytes = new long[1];
    int status =
        switch (pass) {
          case FORWARD ->
              JCudnn.cudnnGetConvolutionForwardWorkspaceSize(
                  handle, x, weight, convolution, y, ALGORITHM, bytes);
          case INPUT_GRADIENT ->
              JCudnn.cudnnGetConvolutionBackwardDataWorkspaceSize(
                  handle, weight, y, convolution, x, ALGORITHM, bytes);
          case WEIGHT_GRADIENT ->
              JCudnn.cudnnGetConvolutionBackwardFilterWorkspaceSize(
                  handle, x, y, convolution, weight, ALGORITHM, bytes);
        };
    boolean taken = status < NOT_SUPPORTED || status >= INTERNAL_ERROR;
    if (taken) {
      check("cudnnGetConvolution…WorkspaceSize", status);
    }
    boolean fits = taken && bytes[0] <= MOST_WORKSPACE;
    return new Plan(x, weight, y, convolution, fits ? bytes[0] : -1);
  }

  private cudnnConvolutionDescriptor convolution(Convolution s) {
    cudnnConvolutionDescriptor convolution = new cudnnConvolutionDescriptor();
    check("cudnnCreateConvolutionDescriptor", JCudnn.cudnnCreateConvolutionDescriptor(convolution));
    check(
        "cudnnSetConvolution2dDescriptor",
        JCudnn.cudnnSetConvolution2dDescriptor(
            convolution,
            s.padY(),
            s.padX(),
            s.strideY(),
            s.strideX(),
            1,
            1,
            cudnnConvolutionMode.CUDNN_CROSS_CORRELATION,
            cudnnDataType.CUDNN_DATA_FLOAT));
    // cuDNN's default, unlike cuBLAS's, lets F32 products round to TF32.
    int math = tf32 ? cudnnMathType.CUDNN_DEFAULT_MATH : cudnnMathType.CUDNN_FMA_MATH;
    check("cudnnSetConvolutionMathType", JCudnn.cudnnSetConvolutionMathType(convolution, math));
    return convolution;
  }

  private static cudnnTensorDescriptor images(int n, int c, int h, int w) {
    cudnnTensorDescriptor descriptor = new cudnnTensorDescriptor();
    check("cudnnCreateTensorDescriptor", JCudnn.cudnnCreateTensorDescriptor(descriptor));
    check(
        "cudnnSetTensor4dDescriptor",
        JCudnn.cudnnSetTensor4dDescriptor(
            descriptor,
            cudnnTensorFormat.CUDNN_TENSOR_NHWC,
            cudnnDataType.CUDNN_DATA_FLOAT,
            n,
            c,
            h,
            w));
    return descriptor;
  }

  private static void check(String call, int status) {
    if (status != 0) {
      throw new DeviceException(call, name(status), "");
    }
  }

  /** As the library itself calls it: its numbers are not those that the binding has names for. */
  static String name(int status) {
    return JCudnn.cudnnGetErrorString(status) + " (" + status + ")";
  }

  private static void destroy(Plan plan) {
    JCudnn.cudnnDestroyTensorDescriptor(plan.x);
    JCudnn.cudnnDestroyTensorDescriptor(plan.y);
    JCudnn.cudnnDestroyFilterDescriptor(plan.weight);
    JCudnn.cudnnDestroyConvolutionDescriptor(plan.convolution);
  }

  @Override
  public void close() {
    for (Map<Convolution, Plan> each : plans.values()) {
      each.values().forEach(Dnn::destroy);
      each.clear();
    }
    JCudnn.cudnnDestroy(handle);
  }
}
