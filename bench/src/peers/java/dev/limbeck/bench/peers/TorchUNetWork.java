package dev.limbeck.bench.peers;

import dev.limbeck.bench.peers.Torch.Layout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** libtorch's side of a {@link NetworkWork}, in one layout. */
final class TorchUNetWork {
  private final NetworkWork work;
  private final TorchUNet net;
  private final TorchAdamW optimizer;
  private final Tensor x;
  private final Tensor target;
  private final Tensor time;
  private final Tensor labels;

  private TorchUNetWork(NetworkWork work, TorchUNet net, Tensor x, Tensor target, Tensor time) {
    this.work = work;
    this.net = net;
    this.x = x;
    this.target = target;
    this.time = time;
    optimizer =
        work.training()
            ? new TorchAdamW(
                new ArrayList<>(net.weights().values()),
                NetworkWork.RATE,
                NetworkWork.DECAY,
                NetworkWork.EMA)
            : null;
    int[] classes = work.labels();
    long[] numbers = new long[classes.length];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = classes[i];
    }
    labels = Tensor.create(numbers);
  }

  /** The same network on the same data. */
  static TorchUNetWork copyOf(NetworkWork work, LimbeckUNet ours, Layout layout) {
    return new TorchUNetWork(
        work,
        TorchUNet.copyOf(ours.net(), layout),
        Torch.image(ours.images(), layout, work.imageShape()),
        Torch.image(ours.targets(), layout, work.imageShape()),
        Torch.of(ours.time(), work.batch(), work.timeWidth()));
  }

  /**
   * A network of the same shape on random data, for which Limbeck's need not exist.
   *
   * @param weights the shapes of the parameters by name, as Limbeck has them
   */
  static TorchUNetWork random(NetworkWork work, Map<String, int[]> weights, Layout layout) {
    return new TorchUNetWork(
        work,
        TorchUNet.random(work.config(), weights, layout),
        Torch.random(layout, work.imageShape()),
        Torch.random(layout, work.imageShape()),
        Torch.random(layout, work.batch(), work.timeWidth()));
  }

  /** Does it once. */
  void run() {
    once(false, true);
  }

  /** As {@link LimbeckUNet#results}. */
  List<float[]> results() {
    return once(true, false);
  }

  private List<float[]> once(boolean read, boolean update) {
    List<float[]> results = new ArrayList<>();
    try (PointerScope inner = new PointerScope()) {
      if (!work.training()) {
        try (NoGradGuard guard = new NoGradGuard()) {
          Tensor y = net.forward(x, time, labels);
          results.add(read ? Torch.imageFloats(y) : null);
        }
        return results;
      }
      Tensor y = net.forward(x, time, labels);
      Tensor loss = torch.mse_loss(y, target);
      Tensor[] all = net.weights().values().toArray(new Tensor[0]);
      TensorVector gradients =
          torch.grad(
              new TensorVector(loss),
              new TensorVector(all),
              new TensorVector(),
              new BoolOptional(),
              false,
              false);
      if (read) {
        results.add(Torch.imageFloats(y));
        for (int i = 0; i < all.length; i++) {
          Tensor g = gradients.get(i);
          results.add(g.dim() == 4 ? Torch.imageFloats(g) : Torch.floats(g));
        }
      }
      if (update) {
        optimizer.step(gradients);
      }
    }
    return results;
  }
}
