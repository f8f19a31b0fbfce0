package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Libraries;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.Tunable;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * Convolves images (cross-correlation, as networks define it): y[n,y,x,o] = bias[o] + Σ w[o,i,j,c]
 * · x[n, y·sy+i−top, x·sx+j−left, c].
 *
 * @shape x [n,h,w,c], w [o,kh,kw,c], bias [o], y [n,outH,outW,o]
 * @param bias added to every pixel, or null
 * @param residual added to y while it is in a cache, or null
 */
@Definition(
    formula = "y[n,p,o] = b[o] + Σ_{t,c} x[n,p+t,c]·w[o,t,c] (+ r[n,p,o])",
    cost = "2·outPixels·o·kh·kw·c flops")
public record Conv2d(Conv2dDims dims, Buffer x, Buffer w, Buffer bias, Buffer residual, Buffer y)
    implements Tunable {
  /** How 3×3 kernels at stride 1 are computed; everything else is always direct. */
  public enum Algorithm {
    /** What is faster for the shape. */
    AUTO,
    /** A matrix product on patches. */
    DIRECT,
    /** Fewer multiplications on transformed tiles, to about 1e-5; needs the vector path. */
    WINOGRAD
  }

  private static volatile Algorithm forced =
      Algorithm.valueOf(System.getProperty("limbeck.conv", "auto").toUpperCase(Locale.ROOT));

  public Conv2d {
    dims.check("conv2d", x.length(), w.length(), y.length());
    if (bias != null && bias.length() != dims.o()) {
      throw new IllegalArgumentException(
          "conv2d: bias of " + bias.length() + " for " + dims.o() + " channels");
    }
    if (residual != null && residual.length() != y.length()) {
      throw new IllegalArgumentException(
          "conv2d: residual of " + residual.length() + " for a result of " + y.length());
    }
  }

  /** Without residual. */
  public Conv2d(Conv2dDims dims, Buffer x, Buffer w, Buffer bias, Buffer y) {
    this(dims, x, w, bias, null, y);
  }

  /** Selects the algorithm of all later convolutions; {@code -Dlimbeck.conv} sets the first. */
  public static void force(Algorithm algorithm) {
    forced = Objects.requireNonNull(algorithm);
  }

  static String path(Conv2dDims d, boolean simd, boolean narrow) {
    if (usesWinograd(d, simd)) {
      return "Winograd F(4×4,3×3)";
    }
    return narrow ? "few channels" : simd ? "patches, tiles of vectors" : "patches, tiles";
  }

  static boolean usesWinograd(Conv2dDims d, boolean simd) {
    return simd
        && Winograd.applies(d)
        && switch (forced) {
          case AUTO -> Winograd.pays(d);
          case DIRECT -> false;
          case WINOGRAD -> true;
        };
  }

  @Override
  public String name() {
    return "conv2d";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, w, bias, residual, y);
  }

  @Override
  public double flops() {
    return dims.flops();
  }

  @Override
  public String path(boolean simd) {
    return path(dims, simd, NarrowConv.paysForward(dims));
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0
        && (bias == null || bias.type() == DType.F32)
        && (residual == null || residual.type() == y.type());
  }

  @Override
  public Kernel on(Operands by) {
    ProductPlan.checkTypes(x, w, y);
    return new Conv2d(
        dims, by.read(x), by.read(w), by.read(bias), by.read(residual), by.written(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    Conv2dDims d = dims;
    float[] xs = x.floats();
    float[] ws = w.floats();
    float[] rs = residual == null ? null : residual.floats();
    int ro = residual == null ? 0 : residual.offset();
    float[] bs = bias == null ? null : bias.floats();
    int io = bias == null ? 0 : bias.offset();
    if (usesWinograd(d, ranges.simd())) {
      Winograd.of(d)
          .convolve(ranges, xs, x.offset(), w, false, bs, io, rs, ro, y.floats(), y.offset());
      return;
    }
    if (NarrowConv.paysForward(d)) {
      new NarrowConv(d)
          .forward(ranges, xs, x.offset(), ws, w.offset(), bs, io, rs, ro, y.floats(), y.offset());
      return;
    }
    int k = d.taps();
    Product.Packer weights =
        (from, to, start, end, block, at) ->
            Gemm.transpose(ws, w.offset() + start * k + from, k, to - from, end - start, block, at);
    Product.Packer patches = Conv2d.patches(d, xs, x.offset());
    float[] init = bias == null ? Gemm.zeros(d.o()) : bs;
    new Product(
            d.outPixels(),
            d.o(),
            k,
            patches,
            false,
            weights,
            init,
            io,
            0,
            y.floats(),
            y.offset(),
            rs,
            ro)
        .run(ranges);
  }

  @Override
  public Object shape() {
    return new Conv2dDims.Pass(dims, bias != null, residual != null, false, x.type(), y.type());
  }

  @Override
  public Buffer result() {
    return y;
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (dims.byLibrary(cuda, Libraries.Pass.FORWARD, x, w, y, false)) {
      ProductPlan.add(cuda, dims.o(), bias, residual, y);
      return;
    }
    if (residual != null && residual.type() != y.type()) {
      throw new IllegalArgumentException(
          "conv2d: residual of " + residual.type() + " for a result of " + y.type());
    }
    ProductPlan plan =
        ProductPlan.of(cuda, x, w, y, 1, dims.outPixels(), dims.o(), dims.taps(), false);
    Buffer partial = plan.partial(cuda, y.length());
    cuda.kernel("conv2d", plan.symbol("conv2d"));
    plan.sizes(cuda);
    Patches.of(dims).arguments(cuda);
    cuda.pointer(x).pointer(w).pointer(bias).pointer(residual).pointer(y).pointer(partial);
    plan.launch(cuda);
    plan.finish(cuda, partial, bias, residual, false, y);
  }

  /** The matrix whose rows are the patches; for a pointwise kernel the image itself. */
  static Product.Packer patches(Conv2dDims d, float[] x, int xo) {
    int c = d.c();
    return d.isPointwise()
        ? (from, to, start, end, block, at) ->
            Gemm.copy(x, xo + from * c + start, c, to - from, end - start, block, at)
        : Patches.of(d).packer(x, xo);
  }
}
