package dev.limbeck.bench;

import dev.limbeck.kernels.op.MatMul;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Products of matrices as they lie, and with either transposed. */
public class MatMulBench extends KernelBench {
  /** Products, rows, columns, inner size. */
  @Param({
    "1x512x512x512",
    "1x1024x1024x1024",
    "1x2048x2048x2048",
    "1x64x512x128",
    "1x16384x384x128",
    "16x256x256x64",
    "1x129x257x65"
  })
  public String shape;

  private Checked plain;
  private Checked transposedA;
  private Checked transposedB;

  @Override
  protected void build() {
    plain = product(false, false);
    transposedA = product(true, false);
    transposedB = product(false, true);
  }

  private Checked product(boolean transposeA, boolean transposeB) {
    int[] s = sizes(shape, "batch x m x n x k");
    return checked(
        o ->
            new MatMul(
                s[0],
                s[1],
                s[2],
                s[3],
                o.input(s[0] * s[1] * s[3]),
                transposeA,
                o.input(s[0] * s[3] * s[2]),
                transposeB,
                null,
                o.result(s[0] * s[1] * s[2]),
                false));
  }

  /** A·B. */
  @Benchmark
  public void plain(Work work) {
    run(plain, work);
  }

  /** Aᵀ·B, the gradient of a linear layer's weight. */
  @Benchmark
  public void transposedA(Work work) {
    run(transposedA, work);
  }

  /** A·Bᵀ, a linear layer. */
  @Benchmark
  public void transposedB(Work work) {
    run(transposedB, work);
  }
}
