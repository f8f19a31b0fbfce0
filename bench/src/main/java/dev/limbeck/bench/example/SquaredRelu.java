package dev.limbeck.bench.example;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** max(x, 0)² in one pass and, where g is given, its gradient 2·max(x, 0)·g. */
public record SquaredRelu(Buffer x, Buffer g, Buffer y) implements Kernel {
  /** The operation, recorded for its gradient; the slope 2·max(x, 0) serves tangents as well. */
  public static Var of(Var x) {
    Tensor v = x.value();
    Tensor[] kept = {v};
    return Var.record(
        run(v, null), new Var[] {x}, kept, g -> x.accumulate(run(v, g)), () -> run(v, x.tangent()));
  }

  private static Tensor run(Tensor x, Tensor g) {
    Tensor y = Tensor.empty(x.device(), x.shape());
    x.device().execute(new SquaredRelu(x.buffer(), g == null ? null : g.buffer(), y.buffer()));
    return y;
  }

  @Override
  public String name() {
    return "squared_relu";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, g, y);
  }

  @Override
  public double flops() {
    return 2.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(x.length(), 16384, (from, to) -> loop(ranges.simd(), from, to));
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("squared_relu", "squared_relu_f32").i32(x.length()).f32(g == null ? 1 : 2);
    cuda.pointer(x).pointer(g == null ? x : g).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private void loop(boolean simd, int from, int to) {
    Buffer factor = g == null ? x : g;
    float scale = g == null ? 1 : 2;
    int done = simd ? Simd.loop(x, factor, scale, y, from, to) : from;
    for (int i = done; i < to; i++) {
      float r = scale * Math.max(x.floats()[x.offset() + i], 0);
      y.floats()[y.offset() + i] = r * factor.floats()[factor.offset() + i];
    }
  }

  private static final class Simd {
    static int loop(Buffer x, Buffer factor, float scale, Buffer y, int from, int to) {
      VectorSpecies<Float> s = FloatVector.SPECIES_PREFERRED;
      int i = from;
      for (; i + s.length() <= to; i += s.length()) {
        FloatVector r = FloatVector.fromArray(s, x.floats(), x.offset() + i).max(0).mul(scale);
        FloatVector f = FloatVector.fromArray(s, factor.floats(), factor.offset() + i);
        r.mul(f).intoArray(y.floats(), y.offset() + i);
      }
      return i;
    }
  }
}
