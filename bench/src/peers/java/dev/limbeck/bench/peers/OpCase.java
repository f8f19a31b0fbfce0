package dev.limbeck.bench.peers;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** One op, forward alone or with the gradients of all operands. */
final class OpCase implements PeerCase {
  /**
   * What is computed.
   *
   * @param shapes of the operands; four axes are an image [N,H,W,C] or a weight [O,kh,kw,I]
   */
  record Op(
      List<int[]> shapes,
      Function<Var[], Var> ours,
      Function<org.bytedeco.pytorch.Tensor[], org.bytedeco.pytorch.Tensor> theirs) {}

  private final Op op;
  private final boolean backward;
  private final PointerScope pointers = new PointerScope();
  private final Scope scope = Scope.open();
  private final Tensor[] ours;
  private final Tensor gradient;
  private final List<Layout> layouts;
  private final Map<Layout, org.bytedeco.pytorch.Tensor[]> theirs = new EnumMap<>(Layout.class);
  private final Map<Layout, org.bytedeco.pytorch.Tensor> gradients = new EnumMap<>(Layout.class);

  OpCase(Device device, Op op, boolean backward) {
    this.op = op;
    this.backward = backward;
    layouts = op.shapes.get(0).length == 4 ? List.of(Layout.values()) : List.of(Layout.NCHW);
    ours = new Tensor[op.shapes.size()];
    for (int i = 0; i < ours.length; i++) {
      ours[i] = Rng.of(1 + i).normal(device, Shape.of(op.shapes.get(i)));
    }
    try (Scope inner = Scope.open()) {
      gradient = inner.keep(Rng.of(99).normal(device, forward().shape()));
    }
    for (Layout layout : layouts) {
      theirs.put(layout, copies(layout));
      gradients.put(layout, copy(gradient, layout, false));
    }
  }

  private org.bytedeco.pytorch.Tensor[] copies(Layout layout) {
    org.bytedeco.pytorch.Tensor[] all = new org.bytedeco.pytorch.Tensor[ours.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = copy(ours[i], layout, backward);
    }
    return all;
  }

  private static org.bytedeco.pytorch.Tensor copy(Tensor t, Layout layout, boolean trained) {
    int[] shape = t.shape().toArray();
    org.bytedeco.pytorch.Tensor copied =
        shape.length == 4
            ? Torch.image(t.toFloats(), layout, shape)
            : Torch.of(t.toFloats(), shape);
    return copied.set_requires_grad(trained);
  }

  private Tensor forward() {
    Var[] operands = new Var[ours.length];
    for (int i = 0; i < operands.length; i++) {
      operands[i] = Var.constant(ours[i]);
    }
    return op.ours.apply(operands).value();
  }

  /** Gradients of the operands, or the result. */
  private float[][] oursOnce(boolean read) {
    if (!backward) {
      try (Scope inner = Scope.open()) {
        Tensor y = forward();
        return read ? new float[][] {y.toFloats()} : null;
      }
    }
    try (Tape tape = Tape.open(List.of())) {
      Var[] operands = new Var[ours.length];
      for (int i = 0; i < operands.length; i++) {
        operands[i] = tape.inputWithGradient(ours[i]);
      }
      tape.backward(op.ours.apply(operands), gradient);
      if (!read) {
        return null;
      }
      float[][] all = new float[ours.length][];
      for (int i = 0; i < all.length; i++) {
        all[i] = operands[i].gradient().toFloats();
      }
      return all;
    }
  }

  private float[][] theirsOnce(Layout layout, boolean read) {
    try (PointerScope inner = new PointerScope()) {
      org.bytedeco.pytorch.Tensor[] operands = theirs.get(layout);
      if (!backward) {
        try (NoGradGuard guard = new NoGradGuard()) {
          org.bytedeco.pytorch.Tensor y = op.theirs.apply(operands);
          return read ? new float[][] {floats(y)} : null;
        }
      }
      TensorVector found =
          torch.grad(
              new TensorVector(op.theirs.apply(operands)),
              new TensorVector(operands),
              new TensorVector(gradients.get(layout)),
              new BoolOptional(),
              false,
              false);
      if (!read) {
        return null;
      }
      float[][] all = new float[ours.length][];
      for (int i = 0; i < all.length; i++) {
        all[i] = floats(found.get(i));
      }
      return all;
    }
  }

  private static float[] floats(org.bytedeco.pytorch.Tensor t) {
    return t.dim() == 4 ? Torch.imageFloats(t) : Torch.floats(t);
  }

  @Override
  public void limbeck() {
    oursOnce(false);
  }

  @Override
  public List<String> layouts() {
    return layouts.stream().map(Layout::label).toList();
  }

  @Override
  public void peer(int layout) {
    theirsOnce(layouts.get(layout), false);
  }

  @Override
  public double difference() {
    double worst = 0;
    for (Layout layout : layouts) {
      float[][] a = oursOnce(true);
      float[][] b = theirsOnce(layout, true);
      for (int i = 0; i < a.length; i++) {
        worst = Math.max(worst, Differences.relative(a[i], b[i], 0));
      }
    }
    return worst;
  }

  @Override
  public void close() {
    scope.close();
    pointers.close();
  }
}
