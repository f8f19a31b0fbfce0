package dev.limbeck.kernels.op;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Launcher;

/**
 * The functions of attention.cu (fused multiply-adds), attention_tf32.cu and attention_bf16.cu
 * (tensor cores, the latter for BF16 operands): how many features of the result a block of threads
 * owns, and how many rows.
 */
enum AttentionTiles {
  F32_16(Kind.F32, 16, 64, "attention_16_f32", "attention_grad_16_f32"),
  F32_32(Kind.F32, 32, 64, "attention_32_f32", "attention_grad_32_f32"),
  F32_64(Kind.F32, 64, 64, "attention_64_f32", "attention_grad_64_f32"),
  F32_128(Kind.F32, 128, 64, "attention_128_f32", "attention_grad_128_f32"),
  TF32_16(Kind.TF32, 16, 128, "attention_16_tf32", "attention_grad_16_tf32"),
  TF32_32(Kind.TF32, 32, 128, "attention_32_tf32", "attention_grad_32_tf32"),
  TF32_64(Kind.TF32, 64, 128, "attention_64_tf32", "attention_grad_64_tf32"),
  TF32_128(Kind.TF32, 128, 64, "attention_128_tf32", "attention_grad_128_tf32"),
  BF16_32(Kind.BF16, 32, 64, "attention_32_bf16", "attention_grad_32_bf16"),
  BF16_64(Kind.BF16, 64, 64, "attention_64_bf16", "attention_grad_64_bf16"),
  BF16_128(Kind.BF16, 128, 64, "attention_128_bf16", "attention_grad_128_bf16");

  private enum Kind {
    F32,
    TF32,
    BF16
  }

  private static final int THREADS = 128;

  /** Rows of a block of every gradient function. */
  private static final int GRADIENT_ROWS = 64;

  private final Kind kind;
  private final int width;
  private final int rows;
  private final String forward;
  private final String gradient;

  AttentionTiles(Kind kind, int width, int rows, String forward, String gradient) {
    this.kind = kind;
    this.width = width;
    this.rows = rows;
    this.forward = forward;
    this.gradient = gradient;
  }

  /** The narrowest that holds a head, or the widest, of which a head then takes several. */
  static AttentionTiles of(Launcher cuda, int features, DType type) {
    boolean tf32 = cuda.tf32() && cuda.capability() >= 80;
    Kind kind = type == DType.BF16 ? Kind.BF16 : tf32 ? Kind.TF32 : Kind.F32;
    AttentionTiles last = null;
    for (AttentionTiles each : values()) {
      if (each.kind == kind) {
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
        switch (kind) {
          case F32 -> cuda.kernel("attention", symbol);
          case TF32 -> cuda.kernel("attention_tf32", symbol);
          case BF16 -> cuda.kernel("attention_bf16", symbol);
        };
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
