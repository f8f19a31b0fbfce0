package dev.limbeck.bench.peers;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.function.Function;

/** One op, forward. */
final class DjlCase implements PeerCase {
  /**
   * What is computed.
   *
   * @param shapes of the operands; four axes are an image [N,H,W,C] or a weight [O,kh,kw,I]
   */
  record Op(List<int[]> shapes, Function<Var[], Var> ours, Function<NDArray[], NDArray> theirs) {}

  private final Op op;
  private final Scope scope = Scope.open();
  private final NDManager manager = NDManager.newBaseManager(ai.djl.Device.cpu(), DjlPeers.ENGINE);
  private final Var[] ours;
  private final NDArray[] theirs;

  DjlCase(Device device, Op op) {
    this.op = op;
    ours = new Var[op.shapes.size()];
    theirs = new NDArray[ours.length];
    for (int i = 0; i < ours.length; i++) {
      int[] shape = op.shapes.get(i);
      Tensor operand = Rng.of(1 + i).normal(device, Shape.of(shape));
      ours[i] = Var.constant(operand);
      NDArray copy = manager.create(operand.toFloats(), shape(shape));
      theirs[i] = shape.length == 4 ? contiguous(copy.transpose(0, 3, 1, 2)) : copy;
    }
  }

  private static ai.djl.ndarray.types.Shape shape(int[] sizes) {
    long[] all = new long[sizes.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = sizes[i];
    }
    return new ai.djl.ndarray.types.Shape(all);
  }

  private NDArray contiguous(NDArray turned) {
    return manager.create(turned.toFloatArray(), turned.getShape());
  }

  private Tensor forward() {
    return op.ours.apply(ours).value();
  }

  @Override
  public void limbeck() {
    try (Scope inner = Scope.open()) {
      forward();
    }
  }

  @Override
  public List<String> layouts() {
    return List.of("nchw");
  }

  @Override
  public void peer(int layout) {
    op.theirs.apply(theirs).close();
  }

  @Override
  public double difference() {
    try (Scope inner = Scope.open();
        NDArray result = op.theirs.apply(theirs)) {
      boolean image = result.getShape().dimension() == 4;
      NDArray turned = image ? result.transpose(0, 2, 3, 1) : result;
      float[] values = turned.toFloatArray();
      return Differences.relative(forward().toFloats(), values, 0);
    }
  }

  @Override
  public void close() {
    scope.close();
    manager.close();
  }
}
