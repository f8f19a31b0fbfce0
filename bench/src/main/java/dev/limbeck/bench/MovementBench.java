package dev.limbeck.bench;

import dev.limbeck.kernels.op.Gather;
import dev.limbeck.kernels.op.RandomFill;
import dev.limbeck.kernels.op.ScatterAdd;
import dev.limbeck.kernels.op.Sort;
import dev.limbeck.kernels.op.Transpose;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** What moves, draws or orders numbers rather than computes with them. */
public class MovementBench extends KernelBench {
  private static final int TABLE = 1000;

  /** Rows and columns. */
  @Param({"1024x1024", "4096x320", "129x1001"})
  public String shape;

  private Checked transpose;
  private Checked gather;
  private Checked scatterAdd;
  private Checked sort;
  private Checked normal;

  @Override
  protected void build() {
    int[] s = sizes(shape, "rows x columns");
    int n = s[0] * s[1];
    transpose =
        checked(
            o ->
                new Transpose(
                    o.input(n), o.result(n), new int[] {s[1], s[0]}, new int[] {1, s[1]}));
    gather =
        checked(o -> new Gather(o.input(TABLE * s[1]), o.indices(s[0], TABLE), o.result(n), s[1]));
    scatterAdd =
        checked(
            o -> new ScatterAdd(o.input(n), o.indices(s[0], TABLE), o.result(TABLE * s[1]), s[1]));
    sort = checked(o -> new Sort(o.input(n), o.result(n), s[0], s[1]));
    normal = checked(o -> new RandomFill(RandomFill.Kind.NORMAL, 1, 0, 0, s[1], 0, o.result(n)));
  }

  /** Columns to rows. */
  @Benchmark
  public void transpose(Work work) {
    run(transpose, work);
  }

  /** Rows of a table. */
  @Benchmark
  public void gather(Work work) {
    run(gather, work);
  }

  /** Rows added to a table. */
  @Benchmark
  public void scatterAdd(Work work) {
    run(scatterAdd, work);
  }

  /** Rows in ascending order. */
  @Benchmark
  public void sort(Work work) {
    run(sort, work);
  }

  /** Normal draws. */
  @Benchmark
  public void normal(Work work) {
    run(normal, work);
  }
}
