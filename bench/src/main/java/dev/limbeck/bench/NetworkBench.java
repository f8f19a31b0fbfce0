package dev.limbeck.bench;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** A UNet: its answer, its derivative, a training step, a step of sampling. */
public class NetworkBench extends JobBench {
  private static final double[] STEP = {1, 0.5};

  /** The network of the main job on 16×16×1, or one of six million parameters on 32×32×3. */
  @Param({"mnist", "cifar"})
  public String network;

  /** Images. */
  @Param({"1", "16", "64"})
  public int batch;

  private UNet net;
  private UNet frozen;
  private NetworkDenoiser denoiser;
  private AdamW optimizer;
  private Ema ema;
  private Tensor x;
  private Tensor target;
  private Tensor noise;
  private Tensor labels;
  private Tensor ones;

  /** DDPM++ with fewer channels and blocks, attention at 16×16. */
  public static UNetConfig cifar() {
    List<AttendIn> middle = List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK, AttendIn.NO_BLOCK);
    return UNetConfig.ddpmpp(3, 64, 128, 128)
        .withBlocksPerLevel(2)
        .withAttention(middle, middle)
        .withClasses(10);
  }

  @Override
  protected void build() {
    boolean small = network.equals("mnist");
    if (!small && !network.equals("cifar")) {
      throw new IllegalArgumentException("the network " + network + " is neither mnist nor cifar");
    }
    UNetConfig config = small ? Preset.quick().network().withClasses(10) : cifar();
    int side = small ? 16 : 32;
    net = new UNet(config, device(), Rng.of(1));
    frozen = new UNet(config, device(), Rng.of(1));
    frozen.params().freeze();
    denoiser = new NetworkDenoiser(frozen, new Preconditioning.Edm());
    optimizer = new AdamW(net.params(), AdamW.Config.of(1e-4f));
    ema = new Ema(net.params(), Ema.Kind.rate(0.999f));
    Shape shape = Shape.of(batch, side, side, config.inChannels());
    x = Rng.of(2).normal(device(), shape);
    target = Rng.of(3).normal(device(), shape);
    noise = Rng.of(4).normal(device(), Shape.of(batch));
    labels = Rng.of(5).integers(device(), Shape.of(batch), 10);
    ones = Tensor.full(device(), Shape.of(batch), 1f);
  }

  /** The answer of a frozen network. */
  @Benchmark
  public void forward(Images images) {
    run(this::forward);
    images.images += batch;
  }

  private void forward() {
    try (Scope scope = Scope.open()) {
      frozen.forward(Var.constant(x), Condition.of(noise, labels), Dropout.off());
    }
  }

  /** The answer of a frozen network with its derivative along a direction of x and noise. */
  @Benchmark
  public void tangent(Images images) {
    try (Scope scope = Scope.open()) {
      Var along = Var.dual(noise, ones);
      frozen.forward(Var.dual(x, target), new Condition(along, labels, null), Dropout.off());
    }
    images.images += batch;
  }

  /** Forward, backward, AdamW with a moving average. */
  @Benchmark
  public void trainingStep(Images images) {
    run(this::train);
    images.images += batch;
  }

  private void train() {
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      Var y = net.forward(tape.input(x), Condition.of(noise, labels), Dropout.off());
      tape.backward(RowOps.meanSquaredError(y, target, ones));
    }
    optimizer.step(1f, 1f, ema);
  }

  /** One step of Heun's method, two evaluations. */
  @Benchmark
  public void samplerStep(Images images) {
    run(this::sample);
    images.images += batch;
  }

  private void sample() {
    try (Scope scope = Scope.open()) {
      Samplers.heun(denoiser, x, STEP, labels, Samplers.Churn.none(), null);
    }
  }
}
