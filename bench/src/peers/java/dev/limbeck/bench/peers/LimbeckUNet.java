package dev.limbeck.bench.peers;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.TimeEmbedding;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Limbeck's side of a {@link NetworkWork}: a network of fresh weights with its data. */
final class LimbeckUNet implements AutoCloseable {
  private final NetworkWork work;
  private final Scope scope = Scope.open();
  private final UNet net;
  private final AdamW optimizer;
  private final Ema ema;
  private final Tensor x;
  private final Tensor target;
  private final Tensor noise;
  private final Tensor labels;

  LimbeckUNet(Device device, NetworkWork work) {
    this.work = work;
    net = new UNet(work.config(), device, Rng.of(1));
    moveAway();
    optimizer =
        work.training()
            ? new AdamW(
                net.params(), AdamW.Config.of(NetworkWork.RATE).withWeightDecay(NetworkWork.DECAY))
            : null;
    ema = work.training() ? new Ema(net.params(), Ema.Kind.rate(NetworkWork.EMA)) : null;
    x = Rng.of(2).normal(device, Shape.of(work.imageShape()));
    target = Rng.of(3).normal(device, Shape.of(work.imageShape()));
    Shape each = Shape.of(work.batch());
    noise = Tensor.of(device, each, work.levels());
    labels = work.config().classes() > 0 ? Tensor.of(device, each, work.labels()) : null;
  }

  /** Fresh networks end in zeros, which would hide every difference. */
  private void moveAway() {
    try (Scope inner = Scope.open()) {
      for (Parameter p : net.params().list()) {
        Tensor away = Rng.of(p.name().hashCode()).normal(net.device(), p.value().shape());
        p.value().addInPlace(0.05f, away);
      }
    }
    net.params().touch();
  }

  /** Does it once. */
  void run() {
    once(false, true);
  }

  /** The answer and, of a training step, every parameter's gradient; no weight is changed. */
  List<float[]> results() {
    return once(true, false);
  }

  private List<float[]> once(boolean read, boolean update) {
    List<float[]> results = new ArrayList<>();
    if (!work.training()) {
      try (Scope inner = Scope.open()) {
        Var y = net.forward(Var.constant(x), Condition.of(noise, labels), Dropout.off());
        results.add(read ? y.value().toFloats() : null);
      }
      return results;
    }
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      Var y = net.forward(tape.input(x), Condition.of(noise, labels), Dropout.off());
      if (read) {
        tape.retain(y);
      }
      Tensor ones = Tensor.full(x.device(), Shape.of(x.dim(0)), 1f);
      tape.backward(RowOps.meanSquaredError(y, target, ones));
      if (read) {
        results.add(y.value().toFloats());
      }
    }
    for (Parameter p : net.params().list()) {
      if (read) {
        results.add(p.gradient().toFloats());
      }
    }
    if (update) {
      optimizer.step(1f, 1f, ema);
    }
    return results;
  }

  UNet net() {
    return net;
  }

  float[] images() {
    return x.toFloats();
  }

  float[] targets() {
    return target.toFloats();
  }

  /** The features of the noise levels, [N, width]. */
  float[] time() {
    try (Scope inner = Scope.open();
        TimeEmbedding features =
            new TimeEmbedding(net.device(), net.config().time(), work.timeWidth())) {
      return features.forward(Var.constant(noise), Var.constant(x)).value().toFloats();
    }
  }

  /** The shapes of the parameters by name. */
  Map<String, int[]> weights() {
    Map<String, int[]> shapes = new LinkedHashMap<>();
    net.params().list().forEach(p -> shapes.put(p.name(), p.value().shape().toArray()));
    return shapes;
  }

  @Override
  public void close() {
    if (work.training()) {
      ema.close();
      optimizer.close();
    }
    net.close();
    scope.close();
  }
}
