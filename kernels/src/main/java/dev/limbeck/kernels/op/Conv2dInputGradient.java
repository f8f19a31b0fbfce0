package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * The gradient of {@link Conv2d} with respect to its input, also known as transposed convolution:
 * dx = Wᵀ·g.
 *
 * @shape g [n,outH,outW,o], w [o,kh,kw,c], dx [n,h,w,c]
 * @cost 2·outPixels·o·kh·kw·c flops
 */
public record Conv2dInputGradient(Conv2dDims dims, Buffer g, Buffer w, Buffer dx)
    implements Kernel {
  public Conv2dInputGradient {
    dims.check("conv2d input gradient", dx.length(), w.length(), g.length());
  }

  @Override
  public String name() {
    return "conv2d-input-gradient";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(g, w, dx);
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(dims.n() * dims.h(), 1, this::rows);
  }

  private void rows(int from, int to) {
    Conv2dDims d = dims;
    float[] gs = g.floats();
    float[] ws = w.floats();
    float[] ds = dx.floats();
    int c = d.c();
    for (int row = from; row < to; row++) {
      int y = row % d.h() + d.spec().top();
      for (int column = 0; column < d.w(); column++) {
        int x = column + d.spec().left();
        int to0 = dx.offset() + (row * d.w() + column) * c;
        Arrays.fill(ds, to0, to0 + c, 0f);
        for (int i = 0; i < d.kh(); i++) {
          for (int j = 0; j < d.kw(); j++) {
            int oy = y - i;
            int ox = x - j;
            if (oy < 0 || ox < 0 || oy % d.spec().strideY() != 0 || ox % d.spec().strideX() != 0) {
              continue;
            }
            oy /= d.spec().strideY();
            ox /= d.spec().strideX();
            if (oy >= d.outH() || ox >= d.outW()) {
              continue;
            }
            int go = g.offset() + ((row / d.h() * d.outH() + oy) * d.outW() + ox) * d.o();
            for (int o = 0; o < d.o(); o++) {
              float gv = gs[go + o];
              int wo = w.offset() + ((o * d.kh() + i) * d.kw() + j) * c;
              for (int p = 0; p < c; p++) {
                ds[to0 + p] = Math.fma(gv, ws[wo + p], ds[to0 + p]);
              }
            }
          }
        }
      }
    }
  }
}
