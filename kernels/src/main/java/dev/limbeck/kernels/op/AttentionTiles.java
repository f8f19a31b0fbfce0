package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Launcher;

/**
 * The functions of attention.cu (fused multiply-adds) and attention_tf32.cu (tensor cores): how
 * many features of the result a block of threads owns, and how many rows.
 */
enum AttentionTiles {
  F32_16(false, 16, 64, "attention_16_f32", "attention_grad_16_f32"),
  F32_32(false, 32, 64, "attention_32_f32", "attention_grad_32_f32"),
  F32_64(false, 64, 64, "attention_64_f32", "attention_grad_64_f32"),
  F32_128(false, 128, 64, "attention_128_f32", "attention_grad_128_f32"),
  TF32_16(true, 16, 128, "attention_16_tf32", "attention_grad_16_tf32"),
  TF32_32(true, 32, 128, "attention_32_tf32", "attention_grad_32_tf32"),
  TF32_64(true, 64, 128, "attention_64_tf32", "attention_grad_64_tf32"),
  TF32_128(true, 128, 64, "attention_128_tf32", "attention_grad_128_tf32");

  private static final int THREADS = 128;

  /** Rows of a block of every gradient function. */
  private static final int GRADIENT_ROWS = 64;

  private final boolean tensorCores;
  private final int width;
  private final int rows;
  private final String forward;
  private final String gradient;

  AttentionTiles(boolean tensorCores, int width, int rows, String forward, String gradient) {
    this.tensorCores = tensorCores;
    this.width = width;
    this.rows = rows;
    this.forward = forward;
    this.gradient = gradient;
  }

  /** The narrowest that holds a head, or the widest, of which a head then takes several. */
  static AttentionTiles of(Launcher cuda, int features) {
    boolean tensorCores = cuda.tf32() && cuda.capability() >= 80;
    AttentionTiles last = null;
    for (AttentionTiles each : values()) {
      if (each.tensorCores == tensorCores) {
        last = each;
        if (features <= each.width) {
          break;
        }
      }
    }
    return last;
  }

  /** Begins a launch of the forward function, up to its sizes. */
  Launcher forward(Launcher cuda, Attention.Layout layout) {
    return kernel(cuda, forward, layout);
  }

  /** Begins a launch of the gradient function, up to its sizes. */
  Launcher gradient(Launcher cuda, Attention.Layout layout) {
    return kernel(cuda, gradient, layout);
  }

  private Launcher kernel(Launcher cuda, String symbol, Attention.Layout layout) {
    Launcher next =
        tensorCores ? cuda.kernel("attention_tf32", symbol) : cuda.kernel("attention", symbol);
    return next.i32(layout.queries()).i32(layout.keys()).i32(layout.heads()).i32(layout.features());
  }

  /** Blocks of the forward function over the queries of a head. */
  int forwardBlocks(int queries) {
    return (queries + rows - 1) / rows;
  }

  /** Blocks of the gradient function over the queries or keys of a head. */
  static int gradientBlocks(int length) {
    return (length + GRADIENT_ROWS - 1) / GRADIENT_ROWS;
  }

  /** Launches so many blocks of each head, and as many again for every further width. */
  void launch(Launcher cuda, Attention.Layout layout, int blocks) {
    int strips = (layout.features() + width - 1) / width;
    cuda.launch(layout.samples() * layout.heads() * blocks, strips, 1, THREADS, 0);
  }
}
