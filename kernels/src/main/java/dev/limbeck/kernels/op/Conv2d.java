package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Convolves images (cross-correlation, as networks define it): y[n,y,x,o] = bias[o] + Σ w[o,i,j,c]
 * · x[n, y·sy+i−top, x·sx+j−left, c].
 *
 * @shape x [n,h,w,c], w [o,kh,kw,c], bias [o], y [n,outH,outW,o]
 * @cost 2·outPixels·o·kh·kw·c flops
 * @param bias added to every pixel, or null
 */
public record Conv2d(Conv2dDims dims, Buffer x, Buffer w, Buffer bias, Buffer y) implements Kernel {
  public Conv2d {
    dims.check("conv2d", x.length(), w.length(), y.length());
    if (bias != null && bias.length() != dims.o()) {
      throw new IllegalArgumentException(
          "conv2d: bias of " + bias.length() + " for " + dims.o() + " channels");
    }
  }

  @Override
  public String name() {
    return "conv2d";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, w, bias, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(dims.outPixels(), 16, this::pixels);
  }

  private void pixels(int from, int to) {
    Conv2dDims d = dims;
    float[] xs = x.floats();
    float[] ws = w.floats();
    float[] ys = y.floats();
    int wide = d.outW();
    int c = d.c();
    for (int pixel = from; pixel < to; pixel++) {
      int image = pixel / (d.outH() * wide);
      int top = pixel / wide % d.outH() * d.spec().strideY() - d.spec().top();
      int left = pixel % wide * d.spec().strideX() - d.spec().left();
      for (int o = 0; o < d.o(); o++) {
        float sum = bias == null ? 0f : bias.floats()[bias.offset() + o];
        for (int i = Math.max(0, -top); i < Math.min(d.kh(), d.h() - top); i++) {
          for (int j = Math.max(0, -left); j < Math.min(d.kw(), d.w() - left); j++) {
            int xo = x.offset() + ((image * d.h() + top + i) * d.w() + left + j) * c;
            int wo = w.offset() + ((o * d.kh() + i) * d.kw() + j) * c;
            for (int p = 0; p < c; p++) {
              sum = Math.fma(xs[xo + p], ws[wo + p], sum);
            }
          }
        }
        ys[y.offset() + pixel * d.o() + o] = sum;
      }
    }
  }
}
