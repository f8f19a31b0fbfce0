package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Multiplies matrices: Cᵢ = op(Aᵢ)·op(Bᵢ) + bias for every i of a batch, or Cᵢ += that.
 *
 * <p>Each element is a chain of fused multiply-adds in the order of k, starting from the bias (or
 * from C): the same bits for any vector width and number of threads.
 *
 * @shape op(A) [batch,m,k], op(B) [batch,k,n], C [batch,m,n], bias [n]; a transposed operand is
 *     stored with its last two axes exchanged
 * @cost 2·batch·m·n·k flops
 * @param bias added to every row, or null
 * @param accumulate true to add to what C holds; then there is no bias
 */
public record MatMul(
    int batch,
    int m,
    int n,
    int k,
    Buffer a,
    boolean transposeA,
    Buffer b,
    boolean transposeB,
    Buffer bias,
    Buffer c,
    boolean accumulate)
    implements Kernel {
  public MatMul {
    if (a.length() != batch * m * k || b.length() != batch * k * n || c.length() != batch * m * n) {
      throw new IllegalArgumentException(
          "matmul: buffers of "
              + a.length()
              + ", "
              + b.length()
              + ", "
              + c.length()
              + " against batch,m,n,k = "
              + List.of(batch, m, n, k));
    }
    if (bias != null && (bias.length() != n || accumulate)) {
      throw new IllegalArgumentException(
          "matmul: bias of " + bias.length() + " for " + n + " columns, accumulate " + accumulate);
    }
  }

  @Override
  public String name() {
    return "matmul";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(a, b, bias, c);
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(batch * m, 16, this::rows);
  }

  private void rows(int from, int to) {
    float[] as = a.floats();
    float[] bs = b.floats();
    float[] cs = c.floats();
    int aRow = transposeA ? 1 : k;
    int aCol = transposeA ? m : 1;
    int bRow = transposeB ? 1 : n;
    int bCol = transposeB ? k : 1;
    for (int row = from; row < to; row++) {
      int item = row / m;
      int ao = a.offset() + item * m * k + (row % m) * aRow;
      int co = c.offset() + row * n;
      for (int j = 0; j < n; j++) {
        int bo = b.offset() + item * k * n + j * bCol;
        float sum = accumulate ? cs[co + j] : bias == null ? 0f : bias.floats()[bias.offset() + j];
        for (int p = 0; p < k; p++) {
          sum = Math.fma(as[ao + p * aCol], bs[bo + p * bRow], sum);
        }
        cs[co + j] = sum;
      }
    }
  }
}
