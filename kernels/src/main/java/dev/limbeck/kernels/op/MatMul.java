package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.Tunable;
import java.util.Arrays;
import java.util.List;

/**
 * Multiplies matrices: Cᵢ = op(Aᵢ)·op(Bᵢ) + bias for every i of a batch, or Cᵢ += that.
 *
 * <p>Each element is a chain of fused multiply-adds in the order of k, starting from the bias (or
 * from C): the same bits for any vector width and number of threads. On CUDA the bias, or C, is
 * added to the sum at the end; operands may both be BF16 there, C then F32 or BF16.
 *
 * @shape op(A) [batch,m,k], op(B) [batch,k,n], C [batch,m,n], bias [n]; a transposed operand is
 *     stored with its last two axes exchanged
 * @param bias added to every row, or null
 * @param accumulate true to add to what C holds; then there is no bias
 */
@Definition(
    formula = "C = op(A)·op(B) (+ bias), or C ← C + op(A)·op(B)",
    cost = "2·batch·m·n·k flops")
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
    implements Tunable {
  /** From this batch size on, each product is one thread's work. */
  private static final int BATCH_CHUNKS = 4;

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
  public double flops() {
    return 2.0 * batch * m * n * k;
  }

  @Override
  public String path(boolean simd) {
    return simd ? "tiles of vectors" : "tiles";
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0 && (bias == null || bias.type() == DType.F32);
  }

  @Override
  public Kernel on(Operands by) {
    ProductPlan.checkTypes(a, b, c);
    Buffer to = accumulate ? by.updated(c) : by.written(c);
    return new MatMul(
        batch,
        m,
        n,
        k,
        by.read(a),
        transposeA,
        by.read(b),
        transposeB,
        by.read(bias),
        to,
        accumulate);
  }

  @Override
  public void onCpu(Ranges ranges) {
    if (batch < BATCH_CHUNKS) {
      for (int item = 0; item < batch; item++) {
        product(item).run(ranges);
      }
    } else {
      // Inside a chunk the product runs on the chunk's thread alone.
      ranges.chunks(batch, item -> product(item).run(ranges));
    }
  }

  /** All but the buffers. */
  private record Sizes(
      int batch,
      int m,
      int n,
      int k,
      boolean transposeA,
      boolean transposeB,
      boolean bias,
      boolean accumulate,
      DType operands,
      DType result) {}

  @Override
  public Object shape() {
    boolean biased = bias != null;
    return new Sizes(
        batch, m, n, k, transposeA, transposeB, biased, accumulate, a.type(), c.type());
  }

  @Override
  public Buffer result() {
    return c;
  }

  @Override
  public void onCuda(Launcher cuda) {
    boolean done =
        a.type() == DType.F32
            && c.type() == DType.F32
            && cuda.libraries().matMul(batch, m, n, k, a, transposeA, b, transposeB, c, accumulate);
    if (done) {
      ProductPlan.add(cuda, n, bias, null, c);
      return;
    }
    // Both operands stored across the sum is rare: it has small tiles only.
    ProductPlan plan = ProductPlan.of(cuda, a, b, c, batch, m, n, k, transposeA && transposeB);
    Buffer partial = plan.partial(cuda, c.length());
    String name =
        transposeA
            ? (transposeB ? "matmul_tt" : "matmul_tn")
            : (transposeB ? "matmul_nt" : "matmul_nn");
    cuda.kernel("matmul", plan.symbol(name));
    plan.sizes(cuda).i32(batch).i32(accumulate ? 1 : 0);
    cuda.pointer(a).pointer(b).pointer(bias).pointer(c).pointer(partial);
    plan.launch(cuda);
    plan.finish(cuda, partial, bias, null, accumulate, c);
  }

  private Product product(int item) {
    float[] as = a.floats();
    float[] bs = b.floats();
    int ao = a.offset() + item * m * k;
    int bo = b.offset() + item * k * n;
    int co = c.offset() + item * m * n;
    Product.Packer left =
        transposeA
            ? (from, to, start, end, block, at) ->
                Gemm.copy(as, ao + start * m + from, m, end - start, to - from, block, at)
            : (from, to, start, end, block, at) ->
                Gemm.transpose(as, ao + from * k + start, k, end - start, to - from, block, at);
    Product.Packer right =
        transposeB
            ? (from, to, start, end, block, at) ->
                Gemm.transpose(bs, bo + start * k + from, k, to - from, end - start, block, at)
            : (from, to, start, end, block, at) ->
                Gemm.copy(bs, bo + from * n + start, n, to - from, end - start, block, at);
    if (accumulate) {
      return new Product(m, n, k, left, true, right, c.floats(), co, n, c.floats(), co);
    }
    float[] init = bias == null ? Gemm.zeros(n) : bias.floats();
    int io = bias == null ? 0 : bias.offset();
    return new Product(m, n, k, left, true, right, init, io, 0, c.floats(), co);
  }
}
