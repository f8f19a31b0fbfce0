package dev.limbeck.bench.peers;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.TimeEmbedding;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** A whole network: its answer, or a training step with AdamW and a moving average. */
final class UNetCase implements PeerCase {
  private static final float RATE = 1e-4f;
  private static final float DECAY = 0.01f;
  private static final float EMA = 0.999f;

  private final boolean training;
  private final Scope scope = Scope.open();
  private final PointerScope pointers = new PointerScope();
  private final UNet net;
  private final AdamW optimizer;
  private final Ema ema;
  private final Tensor x;
  private final Tensor target;
  private final Tensor noise;
  private final Tensor labels;
  private final Map<Layout, Side> sides = new EnumMap<>(Layout.class);

  /** libtorch's network and data in one layout. */
  private record Side(
      TorchUNet net,
      TorchAdamW optimizer,
      org.bytedeco.pytorch.Tensor x,
      org.bytedeco.pytorch.Tensor target,
      org.bytedeco.pytorch.Tensor time,
      org.bytedeco.pytorch.Tensor labels) {}

  /**
   * Prepares a network of fresh weights.
   *
   * @param side height and width of the images
   */
  UNetCase(Device device, UNetConfig config, int batch, int side, boolean training) {
    this.training = training;
    net = new UNet(config, device, Rng.of(1));
    moveAway();
    optimizer = new AdamW(net.params(), AdamW.Config.of(RATE).withWeightDecay(DECAY));
    ema = new Ema(net.params(), Ema.Kind.rate(EMA));
    Shape shape = Shape.of(batch, side, side, config.inChannels());
    x = Rng.of(2).normal(device, shape);
    target = Rng.of(3).normal(device, shape);
    float[] levels = new float[batch];
    int[] classes = new int[batch];
    for (int i = 0; i < batch; i++) {
      levels[i] = (i % 7 - 3) * 0.3f;
      classes[i] = i % Math.max(1, config.classes());
    }
    noise = Tensor.of(device, Shape.of(batch), levels);
    labels = config.classes() > 0 ? Tensor.of(device, Shape.of(batch), classes) : null;
    for (Layout layout : Layout.values()) {
      sides.put(layout, side(layout, classes));
    }
  }

  /** Fresh networks end in zeros, which would hide every difference. */
  private void moveAway() {
    try (Scope inner = Scope.open()) {
      for (Parameter p : net.params().list()) {
        Tensor noise = Rng.of(p.name().hashCode()).normal(net.device(), p.value().shape());
        p.value().addInPlace(0.05f, noise);
      }
    }
    net.params().touch();
  }

  private Side side(Layout layout, int[] classes) {
    TorchUNet copy = new TorchUNet(net, layout);
    int[] shape = x.shape().toArray();
    int width = net.config().widths().get(0);
    try (Scope inner = Scope.open();
        TimeEmbedding features = new TimeEmbedding(net.device(), net.config().time(), width)) {
      float[] time = features.forward(noise, Var.constant(x)).value().toFloats();
      long[] numbers = new long[classes.length];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = classes[i];
      }
      return new Side(
          copy,
          new TorchAdamW(new ArrayList<>(copy.weights().values()), RATE, DECAY, EMA),
          Torch.image(x.toFloats(), layout, shape),
          Torch.image(target.toFloats(), layout, shape),
          Torch.of(time, shape[0], width),
          org.bytedeco.pytorch.Tensor.create(numbers));
    }
  }

  // ---- Limbeck ----

  private List<float[]> ours(boolean read, boolean update) {
    List<float[]> results = new ArrayList<>();
    if (!training) {
      try (Scope inner = Scope.open()) {
        Var y = net.forward(Var.constant(x), noise, labels, Dropout.off());
        results.add(read ? y.value().toFloats() : null);
      }
      return results;
    }
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      Var y = net.forward(tape.input(x), noise, labels, Dropout.off());
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

  // ---- libtorch ----

  private List<float[]> theirs(Layout layout, boolean read, boolean update) {
    Side side = sides.get(layout);
    List<float[]> results = new ArrayList<>();
    try (PointerScope inner = new PointerScope()) {
      if (!training) {
        try (NoGradGuard guard = new NoGradGuard()) {
          org.bytedeco.pytorch.Tensor y = side.net.forward(side.x, side.time, side.labels);
          results.add(read ? Torch.imageFloats(y) : null);
        }
        return results;
      }
      org.bytedeco.pytorch.Tensor y = side.net.forward(side.x, side.time, side.labels);
      org.bytedeco.pytorch.Tensor loss = torch.mse_loss(y, side.target);
      org.bytedeco.pytorch.Tensor[] all =
          side.net.weights().values().toArray(new org.bytedeco.pytorch.Tensor[0]);
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
          org.bytedeco.pytorch.Tensor g = gradients.get(i);
          results.add(g.dim() == 4 ? Torch.imageFloats(g) : Torch.floats(g));
        }
      }
      if (update) {
        side.optimizer.step(gradients);
      }
    }
    return results;
  }

  @Override
  public void limbeck() {
    ours(false, true);
  }

  @Override
  public void torch(Layout layout) {
    theirs(layout, false, true);
  }

  /** Of the answer and of every parameter's gradient. */
  @Override
  public double difference() {
    double worst = 0;
    for (Layout layout : Layout.values()) {
      List<float[]> a = ours(true, false);
      List<float[]> b = theirs(layout, true, false);
      double largest = 0;
      for (float[] values : b) {
        largest = Math.max(largest, Torch.largest(values));
      }
      for (int i = 0; i < a.size(); i++) {
        // Keys' biases have no influence: their gradients are nothing but rounding.
        double floor = 1e-4 * largest;
        worst = Math.max(worst, Torch.difference(a.get(i), b.get(i), floor));
      }
    }
    return worst;
  }

  @Override
  public boolean hasLayout() {
    return true;
  }

  @Override
  public void close() {
    ema.close();
    optimizer.close();
    net.close();
    scope.close();
    pointers.close();
  }
}
