package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
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
    implements Kernel {
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
        phase(ranges, py, px);
      }
    }
  }

  /**
   * The pixels whose distance from the padded corner is (py, px) modulo the stride: they meet only
   * the kernel elements (py + a·strideY, px + b·strideX), so that no product with zero is computed.
   */
  private void phase(Ranges ranges, int py, int px) {
    Conv2dDims d = dims;
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
    int m = d.n() * rows * columns;
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
            weights(py, px, kh, kw),
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
              int y = line / rows * d.h() + firstY + line % rows * s.strideY();
              for (int x = 0; x < columns; x++) {
                int target = dx.offset() + (y * d.w() + firstX + x * s.strideX()) * c;
                System.arraycopy(to, (line * columns + x) * c, ds, target, c);
              }
            }
          });
    }
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
