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
 * The gradient of {@link Conv2d} with respect to its weight, dw[o,i,j,c] = Σ g[n,y,x,o] · x[n,
 * y·sy+i−top, x·sx+j−left, c], written or added.
 *
 * @shape x [n,h,w,c], g [n,outH,outW,o], dw [o,kh,kw,c]
 * @param accumulate true to add to what dw holds
 */
@Definition(
    formula = "dw[o,t,c] = Σ_{n,p} g[n,p,o]·x[n,p+t,c]",
    cost = "2·outPixels·o·kh·kw·c flops")
public record Conv2dWeightGradient(
    Conv2dDims dims, Buffer x, Buffer g, Buffer dw, boolean accumulate) implements Tunable {
  public Conv2dWeightGradient {
    dims.check("conv2d weight gradient", x.length(), dw.length(), g.length());
  }

  @Override
  public String name() {
    return "conv2d-weight-gradient";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, g, dw);
  }

  @Override
  public double flops() {
    return dims.flops();
  }

  @Override
  public String path(boolean simd) {
    return Conv2d.path(dims, simd, NarrowConv.paysForward(dims));
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0;
  }

  @Override
  public Kernel on(Operands by) {
    ProductPlan.checkTypes(x, g, dw);
    Buffer to = accumulate ? by.updated(dw) : by.written(dw);
    return new Conv2dWeightGradient(dims, by.read(x), by.read(g), to, accumulate);
  }

  @Override
  public void onCpu(Ranges ranges) {
    Conv2dDims d = dims;
    float[] xs = x.floats();
    float[] gs = g.floats();
    if (Conv2d.usesWinograd(d, ranges.simd())) {
      new WinogradGradient(Winograd.of(d))
          .run(ranges, xs, x.offset(), gs, g.offset(), dw.floats(), dw.offset(), accumulate);
      return;
    }
    if (NarrowConv.paysForward(d)) {
      new NarrowConv(d)
          .weightGradient(
              ranges, xs, x.offset(), gs, g.offset(), dw.floats(), dw.offset(), accumulate);
      return;
    }
    int n = d.taps();
    int o = d.o();
    Product.Packer gradients =
        (from, to, start, end, block, at) ->
            Gemm.copy(gs, g.offset() + start * o + from, o, end - start, to - from, block, at);
    Product.Packer patches = Conv2d.patches(d, xs, x.offset());
    float[] init = accumulate ? dw.floats() : Gemm.zeros(n);
    new Product(
            o,
            n,
            d.outPixels(),
            gradients,
            true,
            patches,
            init,
            accumulate ? dw.offset() : 0,
            accumulate ? n : 0,
            dw.floats(),
            dw.offset())
        .run(ranges);
  }

  @Override
  public Object shape() {
    return new Conv2dDims.Pass(dims, false, false, accumulate, x.type(), g.type());
  }

  @Override
  public Buffer result() {
    return dw;
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (dims.byLibrary(cuda, Libraries.Pass.WEIGHT_GRADIENT, x, dw, g, accumulate)) {
      return;
    }
    ProductPlan plan =
        ProductPlan.of(cuda, x, g, dw, 1, dims.o(), dims.taps(), dims.outPixels(), false);
    Buffer partial = plan.partial(cuda, dw.length());
    cuda.kernel("conv2d", plan.symbol("conv2d_weight_gradient"));
    plan.sizes(cuda);
    Patches.of(dims).arguments(cuda);
    cuda.i32(accumulate ? 1 : 0).pointer(x).pointer(g).pointer(dw).pointer(partial);
    plan.launch(cuda);
    plan.finish(cuda, partial, null, null, accumulate, dw);
  }
}
