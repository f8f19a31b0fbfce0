package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * The gradient of {@link Conv2d} with respect to its weight, dw[o,i,j,c] = Σ g[n,y,x,o] · x[n,
 * y·sy+i−top, x·sx+j−left, c], written or added.
 *
 * @shape x [n,h,w,c], g [n,outH,outW,o], dw [o,kh,kw,c]
 * @cost 2·outPixels·o·kh·kw·c flops
 * @param accumulate true to add to what dw holds
 */
public record Conv2dWeightGradient(
    Conv2dDims dims, Buffer x, Buffer g, Buffer dw, boolean accumulate) implements Kernel {
  public Conv2dWeightGradient {
    dims.check("conv2d weight gradient", x.length(), dw.length(), g.length());
  }

  @Override
  public String name() {
    return "conv2d-weight-gradient";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, g, dw);
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(dims.o(), 1, this::outputs);
  }

  private void outputs(int from, int to) {
    Conv2dDims d = dims;
    float[] xs = x.floats();
    float[] gs = g.floats();
    float[] ds = dw.floats();
    int c = d.c();
    for (int o = from; o < to; o++) {
      if (!accumulate) {
        Arrays.fill(ds, dw.offset() + o * d.taps(), dw.offset() + (o + 1) * d.taps(), 0f);
      }
      for (int pixel = 0; pixel < d.outPixels(); pixel++) {
        float gv = gs[g.offset() + pixel * d.o() + o];
        int image = pixel / (d.outH() * d.outW());
        int top = pixel / d.outW() % d.outH() * d.spec().strideY() - d.spec().top();
        int left = pixel % d.outW() * d.spec().strideX() - d.spec().left();
        for (int i = Math.max(0, -top); i < Math.min(d.kh(), d.h() - top); i++) {
          for (int j = Math.max(0, -left); j < Math.min(d.kw(), d.w() - left); j++) {
            int xo = x.offset() + ((image * d.h() + top + i) * d.w() + left + j) * c;
            int to0 = dw.offset() + ((o * d.kh() + i) * d.kw() + j) * c;
            for (int p = 0; p < c; p++) {
              ds[to0 + p] = Math.fma(gv, xs[xo + p], ds[to0 + p]);
            }
          }
        }
      }
    }
  }
}
