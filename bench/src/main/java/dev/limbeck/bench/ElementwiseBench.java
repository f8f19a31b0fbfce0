package dev.limbeck.bench;

import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Broadcast;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.kernels.op.UnaryGrad;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Functions of single elements. */
public class ElementwiseBench extends KernelBench {
  /** Elements: within the second-level cache, far beyond every cache, and an odd number. */
  @Param({"16384", "4194304", "100003"})
  public String shape;

  private Checked add;
  private Checked addScalar;
  private Checked axpy;
  private Checked exp;
  private Checked silu;
  private Checked siluGradient;

  @Override
  protected void build() {
    int n = sizes(shape, "elements")[0];
    Broadcast all = new Broadcast(new int[] {1, 1, 1, n}, new int[] {0, 0, 0, 1});
    Broadcast one = new Broadcast(new int[] {1, 1, 1, n}, new int[] {0, 0, 0, 0});
    add = checked(o -> new Binary(Binary.Op.ADD, o.input(n), all, o.input(n), all, o.result(n)));
    addScalar =
        checked(o -> new Binary(Binary.Op.ADD, o.input(n), all, o.input(1), one, o.result(n)));
    // So small a factor that sums of many runs stay finite.
    axpy = checked(o -> new Axpy(1e-6f, o.input(n), o.result(n)));
    exp = checked(o -> new Unary(Unary.Op.EXP, 0, 0, o.input(n), o.result(n)));
    silu = checked(o -> new Unary(Unary.Op.SILU, 0, 0, o.input(n), o.result(n)));
    siluGradient =
        checked(o -> new UnaryGrad(Unary.Op.SILU, 0, 0, o.input(n), o.input(n), o.result(n)));
  }

  /** y = a + b. */
  @Benchmark
  public void add(Work work) {
    run(add, work);
  }

  /** y = a + b with one b for all. */
  @Benchmark
  public void addScalar(Work work) {
    run(addScalar, work);
  }

  /** y += a·x. */
  @Benchmark
  public void axpy(Work work) {
    run(axpy, work);
  }

  /** e^x. */
  @Benchmark
  public void exp(Work work) {
    run(exp, work);
  }

  /** x·σ(x). */
  @Benchmark
  public void silu(Work work) {
    run(silu, work);
  }

  /** Its gradient. */
  @Benchmark
  public void siluGradient(Work work) {
    run(siluGradient, work);
  }
}
