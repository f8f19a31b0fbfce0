package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Launcher;

/**
 * How a CUDA device cuts a batch of matrix products C [m,n] = Σ_k: the arithmetic, the tile of C
 * that a block computes, and the parts of a long sum. This is the one place that decides it; a plan
 * follows from the shape, {@link Launcher#tf32()} and {@link Launcher#way()} alone.
 *
 * @param arithmetic "_f32" (exact products and sums) or "_tf32" (tensor cores, operands rounded to
 *     11 significant bits)
 * @param large tiles of 128×128, else of 64×64
 * @param parts into which the sum is cut; they are added in order by a second pass
 * @param perPart terms per part
 */
record ProductPlan(
    int batch,
    int m,
    int n,
    int k,
    String arithmetic,
    boolean narrow,
    boolean large,
    int parts,
    int perPart) {
  /** Blocks that keep a large device busy; a constant, so that sums do not depend on the device. */
  private static final int BLOCKS = 128;

  /** Large tiles are worth it from here on: they leave some multiprocessors idle. */
  private static final int LARGE_BLOCKS = 96;

  /** A part has at least this many terms, or the second pass costs more than it saves. */
  private static final int PART = 256;

  /** Parts begin at multiples of this many terms, so that 16-byte access stays aligned. */
  private static final int ALIGNMENT = 32;

  /** Elements of all parts together: 32 MiB. */
  private static final int PARTIAL_LIMIT = 1 << 23;

  /** Shorter sums gain nothing from tensor cores. */
  private static final int TENSOR_TERMS = 16;

  /**
   * The plan for a shape.
   *
   * @param a the left operand
   * @param b the right operand
   * @param c the result
   * @param onlySmall true where there is no kernel with large tiles
   */
  static ProductPlan of(
      Launcher cuda,
      Buffer a,
      Buffer b,
      Buffer c,
      int batch,
      int m,
      int n,
      int k,
      boolean onlySmall) {
    checkTypes(a, b, c);
    boolean halves = a.type() == DType.BF16;
    boolean narrow = c.type() == DType.BF16;
    boolean tensor = cuda.tf32() && cuda.capability() >= 80 && k >= TENSOR_TERMS;
    String arithmetic = halves ? "_bf16" : tensor ? "_tf32" : "_f32";
    // Without tensor cores BF16 has small tiles only: it is there to run at all.
    boolean noLarge = onlySmall || halves && cuda.capability() < 80;
    long largeTiles = tiles(m, 128) * tiles(n, 128) * batch;
    boolean large =
        !noLarge
            && m > 64
            && n > 64
            && switch (cuda.way()) {
              case SMALL_TILES -> false;
              case LARGE_TILES -> true;
              default -> largeTiles * Math.max(1, k / (2 * PART)) >= LARGE_BLOCKS;
            };
    long blocks = large ? largeTiles : tiles(m, 64) * tiles(n, 64) * batch;
    long size = Math.max(1, (long) batch * m * n);
    long wanted = Math.min(BLOCKS / Math.max(1, blocks), Math.min(k / PART, PARTIAL_LIMIT / size));
    int perPart = k;
    if (wanted > 1) {
      perPart = (int) tiles((int) tiles(k, (int) wanted), ALIGNMENT) * ALIGNMENT;
    }
    int parts = wanted > 1 ? (int) tiles(k, perPart) : 1;
    return new ProductPlan(batch, m, n, k, arithmetic, narrow, large, parts, perPart);
  }

  /** Throws unless operands are both F32 or both BF16, and the result F32 or like them. */
  static void checkTypes(Buffer a, Buffer b, Buffer c) {
    boolean known = a.type() == DType.F32 || a.type() == DType.BF16;
    if (!known || b.type() != a.type() || c.type() != DType.F32 && c.type() != a.type()) {
      throw new IllegalArgumentException(
          "a product of "
              + a.type()
              + " and "
              + b.type()
              + " into "
              + c.type()
              + ": operands are both F32 or both BF16, the result F32 or like the operands");
    }
  }

  /** The same tiles and number of parts for other sizes. */
  ProductPlan with(int m, int k) {
    int perPart = parts > 1 ? (int) tiles((int) tiles(k, parts), ALIGNMENT) * ALIGNMENT : k;
    return new ProductPlan(batch, m, n, k, arithmetic, narrow, large, parts, perPart);
  }

  private static long tiles(int count, int size) {
    return ((long) count + size - 1) / size;
  }

  /** The function of this plan: a name, its arithmetic and its tile. */
  String symbol(String name) {
    return name + arithmetic + (large ? "_large" : "_small");
  }

  /** Passes the sizes that every function of a product begins with. */
  Launcher sizes(Launcher cuda) {
    return cuda.i32(m).i32(n).i32(k).i32(perPart).i32(narrow ? 1 : 0);
  }

  /** One block per tile and part. */
  void launch(Launcher cuda) {
    int size = large ? 128 : 64;
    cuda.launch(Math.toIntExact(batch * tiles(m, size) * tiles(n, size)), parts, 1, 2 * size, 0);
  }

  /** Memory for the parts of a result, or null if the sum is in one part. */
  Buffer partial(Launcher cuda, int size) {
    return parts > 1 ? cuda.scratch(DType.F32, Math.multiplyExact(parts, size)) : null;
  }

  /** Adds the parts, and what else belongs to the result; does nothing if there is one part. */
  void finish(
      Launcher cuda, Buffer partial, Buffer bias, Buffer residual, boolean accumulate, Buffer c) {
    if (partial != null) {
      add(cuda, n, parts, partial, bias, residual, accumulate, c);
    }
  }

  /** C ← C + bias + residual, for what a library left out; does nothing if both are null. */
  static void add(Launcher cuda, int n, Buffer bias, Buffer residual, Buffer c) {
    if (bias != null || residual != null) {
      add(cuda, n, 0, null, bias, residual, true, c);
    }
  }

  private static void add(
      Launcher cuda,
      int n,
      int parts,
      Buffer partial,
      Buffer bias,
      Buffer residual,
      boolean accumulate,
      Buffer c) {
    boolean narrow = c.type() == DType.BF16;
    cuda.kernel("product", narrow ? "product_parts_bf16" : "product_parts_f32");
    cuda.i32(c.length()).i32(n).i32(parts).i32(accumulate ? 1 : 0);
    cuda.pointer(partial).pointer(bias).pointer(residual).pointer(c);
    int items = n % 4 == 0 ? c.length() / 4 : c.length();
    cuda.launch(cuda.blocks(items, Launcher.THREADS), Launcher.THREADS);
  }
}
