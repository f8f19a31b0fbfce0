package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Libraries;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.Tunable;
import java.util.List;

/**
 * The gradient of {@link Conv2d} with respect to its input, also known as transposed convolution:
 * dx = Wᵀ·g.
 *
 * @shape g [n,outH,outW,o], w [o,kh,kw,c], dx [n,h,w,c]
 */
@Definition(
    formula = "dx[n,q,c] = Σ_{t,o} g[n,q−t,o]·w[o,t,c]",
    cost = "2·outPixels·o·kh·kw·c flops")
public record Conv2dInputGradient(Conv2dDims dims, Buffer g, Buffer w, Buffer dx)
    implements Tunable {
  private static final int PHASE_SLOT = 2;

  public Conv2dInputGradient {
    dims.check("conv2d input gradient", dx.length(), w.length(), g.length());
  }

  @Override
  public String name() {
    return "conv2d-input-gradient";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(g, w, dx);
  }

  @Override
  public double flops() {
    return dims.flops();
  }

  @Override
  public String path(boolean simd) {
    return Conv2d.path(dims, simd, NarrowConv.paysInputGradient(dims));
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0;
  }

  @Override
  public Kernel on(Operands by) {
    ProductPlan.checkTypes(g, w, dx);
    return new Conv2dInputGradient(dims, by.read(g), by.read(w), by.written(dx));
  }

  @Override
  public void onCpu(Ranges ranges) {
    if (Conv2d.usesWinograd(dims, ranges.simd())) {
      Winograd.ofInputGradient(dims)
          .convolve(
              ranges, g.floats(), g.offset(), w, true, null, 0, null, 0, dx.floats(), dx.offset());
      return;
    }
    if (NarrowConv.paysInputGradient(dims)) {
      new NarrowConv(dims)
          .inputGradient(
              ranges, g.floats(), g.offset(), w.floats(), w.offset(), dx.floats(), dx.offset());
      return;
    }
    for (int py = 0; py < dims.spec().strideY(); py++) {
      for (int px = 0; px < dims.spec().strideX(); px++) {
        phase(ranges, Phase.of(dims, py, px));
      }
    }
  }

  /**
   * The pixels whose distance from the padded corner is (py, px) modulo the stride: they meet only
   * the kernel elements (py + a·strideY, px + b·strideX), so that no product with zero is computed.
   *
   * @param firstY the first of them, and firstX
   * @param patches of g, whose kernel is the phase's part of the kernel, turned by 180 degrees
   */
  private record Phase(int py, int px, int firstY, int firstX, Patches patches) {
    static Phase of(Conv2dDims d, int py, int px) {
      Conv2dSpec s = d.spec();
      int firstY = Math.floorMod(py - s.top(), s.strideY());
      int firstX = Math.floorMod(px - s.left(), s.strideX());
      int rows = count(d.h(), firstY, s.strideY());
      int columns = count(d.w(), firstX, s.strideX());
      int kh = count(d.kh(), py, s.strideY());
      int kw = count(d.kw(), px, s.strideX());
      int top = kh - 1 - (firstY + s.top() - py) / s.strideY();
      int left = kw - 1 - (firstX + s.left() - px) / s.strideX();
      Patches patches =
          new Patches(d.outH(), d.outW(), d.o(), kh, kw, 1, 1, top, left, rows, columns);
      return new Phase(py, px, firstY, firstX, patches);
    }

    int pixels(Conv2dDims d) {
      return d.n() * patches.rows() * patches.columns();
    }
  }

  private void phase(Ranges ranges, Phase phase) {
    Conv2dDims d = dims;
    Conv2dSpec s = d.spec();
    Patches patches = phase.patches;
    int rows = patches.rows();
    int columns = patches.columns();
    int m = phase.pixels(d);
    int c = d.c();
    boolean direct = s.isUnitStride();
    float[] ds = dx.floats();
    float[] to = direct ? ds : ranges.scratch(PHASE_SLOT, m * c);
    int at = direct ? dx.offset() : 0;
    new Product(
            m,
            c,
            patches.taps(),
            patches.packer(g.floats(), g.offset()),
            false,
            weights(phase.py, phase.px, patches.kh(), patches.kw()),
            Gemm.zeros(c),
            0,
            0,
            to,
            at)
        .run(ranges);
    if (!direct) {
      ranges.split(
          d.n() * rows,
          16,
          (from, end) -> {
            for (int line = from; line < end; line++) {
              int y = line / rows * d.h() + phase.firstY + line % rows * s.strideY();
              for (int x = 0; x < columns; x++) {
                int target = dx.offset() + (y * d.w() + phase.firstX + x * s.strideX()) * c;
                System.arraycopy(to, (line * columns + x) * c, ds, target, c);
              }
            }
          });
    }
  }

  @Override
  public Object shape() {
    return new Conv2dDims.Pass(dims, false, false, false, dx.type(), g.type());
  }

  @Override
  public Buffer result() {
    return dx;
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (dims.byLibrary(cuda, Libraries.Pass.INPUT_GRADIENT, dx, w, g, false)) {
      return;
    }
    Conv2dSpec s = dims.spec();
    // One plan for all phases: they share the memory for the parts.
    Patches first = Phase.of(dims, 0, 0).patches;
    ProductPlan plan =
        ProductPlan.of(
            cuda,
            g,
            w,
            dx,
            1,
            dims.n() * first.rows() * first.columns(),
            dims.c(),
            first.taps(),
            false);
    Buffer partial = plan.partial(cuda, dx.length());
    for (int py = 0; py < s.strideY(); py++) {
      for (int px = 0; px < s.strideX(); px++) {
        Phase phase = Phase.of(dims, py, px);
        Patches patches = phase.patches;
        ProductPlan part = plan.with(phase.pixels(dims), patches.taps());
        cuda.kernel("conv2d", part.symbol("conv2d_input_gradient"));
        part.sizes(cuda);
        patches.arguments(cuda);
        cuda.i32(dims.h()).i32(dims.w()).i32(s.strideY()).i32(s.strideX());
        cuda.i32(phase.firstY).i32(phase.firstX).i32(dims.kh()).i32(dims.kw());
        cuda.i32(py + (patches.kh() - 1) * s.strideY()).i32(px + (patches.kw() - 1) * s.strideX());
        cuda.pointer(g).pointer(w).pointer(dx).pointer(partial).i32(dx.length());
        part.launch(cuda);
      }
    }
    plan.finish(cuda, partial, null, null, false, dx);
  }

  private static int count(int size, int first, int stride) {
    return Math.max(0, (size - first + stride - 1) / stride);
  }

  /** One row per (kernel row, kernel column, output channel), the kernel turned by 180 degrees. */
  private Product.Packer weights(int py, int px, int kh, int kw) {
    Conv2dDims d = dims;
    float[] ws = w.floats();
    return (from, to, start, end, block, at) -> {
      for (int row = from; row < to; row++) {
        int o = row % d.o();
        int tap = row / d.o();
        int i = py + (kh - 1 - tap / kw) * d.spec().strideY();
        int j = px + (kw - 1 - tap % kw) * d.spec().strideX();
        int source = w.offset() + ((o * d.kh() + i) * d.kw() + j) * d.c() + start;
        System.arraycopy(ws, source, block, at + (row - from) * Gemm.STRIDE, end - start);
      }
    };
  }
}
