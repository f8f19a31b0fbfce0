package dev.limbeck.nn;

import dev.limbeck.autograd.Checkpoint;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.UNetConfig.Resampling;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import dev.limbeck.tensor.TensorFileWriter;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The U-shaped convolutional network of diffusion models: an encoder that halves the resolution
 * level by level, a bottleneck, and a decoder that sees every encoder block's result again.
 *
 * <p>Parameters carry the names that diffusers gives them, whatever the configuration.
 *
 * @shape x [N,H,W,in] with sides that are multiples of 2^(levels - 1), answer [N,H,W,out]
 * @paper Ho, Jain, Abbeel 2020, arXiv 2006.11239; Song et al. 2021, arXiv 2011.13456; Dhariwal,
 *     Nichol 2021, arXiv 2105.05233
 */
public final class UNet implements Network {
  private final UNetConfig config;
  private final Device device;
  private final Params params;
  private final UNetEmbedding embedding;
  private final Conv2d first;
  private final List<Level> encoder = new ArrayList<>();
  private final Stage middleIn;
  private final ResBlock middleOut;
  private final List<Level> decoder = new ArrayList<>();
  private final GroupNorm lastNorm;
  private final Conv2d last;
  private boolean recomputing;

  /** A residual block, and attention behind it or null. */
  private record Stage(ResBlock block, SelfAttention attention) {
    /** Of the embedding and the images, or of embedding, images and skip. */
    Var forward(boolean recompute, Dropout dropout, Var... embeddingAndParts) {
      Function<Var[], Var> body =
          v -> {
            try (Scope scope = Scope.open()) {
              Var x = v.length == 2 ? v[1] : Var.concat(3, v[1], v[2]);
              Var h = block.forward(x, v[0], dropout);
              return scope.keep(attention == null ? h : attention.forward(h));
            }
          };
      return recompute ? Checkpoint.run(body, embeddingAndParts) : body.apply(embeddingAndParts);
    }
  }

  /** The stages of one resolution, and the way to the next: a convolution, a block, or nothing. */
  private record Level(List<Stage> stages, Conv2d convolution, ResBlock resizing, boolean up) {
    boolean isLast() {
      return convolution == null && resizing == null;
    }

    Var toNext(Var x, Var e, Dropout dropout) {
      if (resizing != null) {
        return resizing.forward(x, e, dropout);
      }
      try (Scope scope = Scope.open()) {
        Var h = up ? x.resizeNearest(2 * x.dim(1), 2 * x.dim(2)) : x;
        return scope.keep(convolution.forward(h));
      }
    }
  }

  /** Draws a new network's parameters. */
  public UNet(UNetConfig config, Device device, Rng rng) {
    this.config = config;
    this.device = device;
    Weights weights = new Weights();
    int width = config.widths().get(0);
    Initializer inner = Initializer.inner(config.initial());
    first = Conv2d.same(weights, "conv_in", config.inChannels(), width, 3, inner);
    UNetBuilder builder = new UNetBuilder(config, weights);
    Deque<Integer> skips = new ArrayDeque<>(List.of(width));
    for (int level = 0; level < config.levels(); level++) {
      encoder.add(encoderLevel(builder, level, skips));
    }
    int deep = config.widths().get(config.levels() - 1);
    middleIn =
        new Stage(
            builder.middle("mid_block.resnets.0", deep),
            config.middleAttention()
                ? builder.attention("mid_block.attentions.0", deep, config.middleScale())
                : null);
    middleOut = builder.middle("mid_block.resnets.1", deep);
    for (int level = config.levels() - 1; level >= 0; level--) {
      decoder.add(decoderLevel(builder, level, skips));
    }
    lastNorm =
        new GroupNorm(
            weights, "conv_norm_out", width, config.groupsOf(width), config.normEpsilon());
    last =
        Conv2d.same(
            weights,
            "conv_out",
            width,
            config.outChannels(),
            3,
            Initializer.last(config.initial()));
    // Last, because it alone allocates: a configuration that a part refuses leaves nothing behind.
    embedding = new UNetEmbedding(config, device, weights);
    params = weights.build(device, rng);
  }

  private static Level encoderLevel(UNetBuilder builder, int level, Deque<Integer> skips) {
    UNetConfig config = builder.config();
    String name = "down_blocks." + level;
    int width = config.widths().get(level);
    List<Stage> stages = new ArrayList<>();
    for (int i = 0; i < config.blocksPerLevel(); i++) {
      ResBlock block =
          builder.block(name + ".resnets." + i, i == 0 ? skips.peekLast() : width, width);
      boolean attends = attends(config.encoderAttention().get(level), i, config.blocksPerLevel());
      stages.add(stage(builder, block, attends, name + ".attentions." + i, width));
      skips.addLast(width);
    }
    if (level == config.levels() - 1) {
      return new Level(stages, null, null, false);
    }
    skips.addLast(width);
    return config.resampling() == Resampling.CONVOLUTION
        ? new Level(stages, builder.down(name + ".downsamplers.0.conv", width), null, false)
        : new Level(
            stages,
            null,
            builder.resizing(name + ".downsamplers.0", width, ResBlock.Resize.HALVE),
            false);
  }

  private static Level decoderLevel(UNetBuilder builder, int level, Deque<Integer> skips) {
    UNetConfig config = builder.config();
    int top = config.levels() - 1;
    String name = "up_blocks." + (top - level);
    int width = config.widths().get(level);
    int below = config.widths().get(Math.min(level + 1, top));
    int count = config.blocksPerLevel() + 1;
    List<Stage> stages = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int in = (i == 0 ? below : width) + skips.removeLast();
      ResBlock block = builder.block(name + ".resnets." + i, in, width);
      boolean attends = attends(config.decoderAttention().get(level), i, count);
      // Where only the last block attends, it is attention number 0.
      int number = config.decoderAttention().get(level) == AttendIn.LAST_BLOCK ? 0 : i;
      stages.add(stage(builder, block, attends, name + ".attentions." + number, width));
    }
    if (level == 0) {
      return new Level(stages, null, null, true);
    }
    return config.resampling() == Resampling.CONVOLUTION
        ? new Level(stages, builder.convolution(name + ".upsamplers.0.conv", width), null, true)
        : new Level(
            stages,
            null,
            builder.resizing(name + ".upsamplers.0", width, ResBlock.Resize.DOUBLE),
            true);
  }

  private static boolean attends(AttendIn where, int i, int count) {
    return where == AttendIn.EVERY_BLOCK || where == AttendIn.LAST_BLOCK && i == count - 1;
  }

  private static Stage stage(
      UNetBuilder builder, ResBlock block, boolean attends, String name, int width) {
    return new Stage(
        block, attends ? builder.attention(name, width, builder.config().residualScale()) : null);
  }

  // ---- running ----

  public UNetConfig config() {
    return config;
  }

  public Device device() {
    return device;
  }

  /**
   * Whether training keeps each block's inputs only, and computes the rest of it again for the
   * gradient: the same bits from a fraction of the memory, for one more forward pass.
   */
  public UNet recomputing(boolean on) {
    recomputing = on;
    return this;
  }

  /**
   * This network, which computes in a precision from now on; inputs and answers stay F32. In BF16,
   * noise conditions and labels are embedded in F32, as in EDM.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364
   */
  @Override
  public UNet in(Precision precision) {
    params.setPrecision(precision);
    return this;
  }

  @Override
  public Params params() {
    return params;
  }

  @Override
  public boolean takesGuidance() {
    return config.guidanceInput();
  }

  @Override
  public double guidanceWavelength() {
    return UNetEmbedding.GUIDANCE_WAVELENGTH;
  }

  @Override
  public Var forward(Var x, Condition condition, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      return scope.keep(run(scope, x, condition, dropout).output());
    }
  }

  @Override
  public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      Answer answer = run(scope, x, condition, dropout);
      Var features = scope.keep(answer.features().to(DType.F32));
      return new Answer(scope.keep(answer.output()), features);
    }
  }

  /**
   * The encoder's last result.
   *
   * @shape answer [N, H / 2^(levels - 1), W / 2^(levels - 1), {@link #featureChannels}]
   */
  @Override
  public Var features(Var x, Condition condition, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      checkInput(x, condition.noise());
      Var e = embedding.forward(x, condition);
      return scope.keep(encode(scope, x, e, dropout, null).to(DType.F32));
    }
  }

  /** Channels of {@link #features}. */
  public int featureChannels() {
    return config.widths().get(config.levels() - 1);
  }

  private Answer run(Scope scope, Var x, Condition condition, Dropout dropout) {
    checkInput(x, condition.noise());
    Var e = embedding.forward(x, condition);
    Deque<Var> skips = new ArrayDeque<>();
    Var features = encode(scope, x, e, dropout, skips);
    Var h = middleIn.forward(recomputing, dropout, e, features);
    h = replace(scope, h, middleOut.forward(h, e, dropout));
    for (Level level : decoder) {
      for (Stage stage : level.stages()) {
        Var skip = skips.removeLast();
        Var next = stage.forward(recomputing, dropout, e, h, skip);
        if (skip != features) {
          scope.free(skip);
        }
        h = replace(scope, h, next);
      }
      if (!level.isLast()) {
        h = replace(scope, h, level.toNext(h, e, dropout));
      }
    }
    Var y = last.forward(lastNorm.thenSilu(h)).to(DType.F32);
    if (config.divideByTime()) {
      int n = x.dim(0);
      y = y.div(condition.noise().reshape(n, 1, 1, 1));
    }
    return new Answer(y, features);
  }

  /** Ends the old value early where no tape needs it: inference then holds one activation. */
  private static Var replace(Scope scope, Var old, Var next) {
    scope.free(old);
    return next;
  }

  /** Runs the encoder; collects what the decoder will see in {@code skips}, if that is not null. */
  private Var encode(Scope scope, Var x, Var e, Dropout dropout, Deque<Var> skips) {
    Var centred = config.centerInput() ? x.mul(2f).add(-1f) : x;
    Var h = first.forward(centred.to(params.precision().activations()));
    push(skips, h);
    for (Level level : encoder) {
      for (Stage stage : level.stages()) {
        h = step(scope, h, stage.forward(recomputing, dropout, e, h), skips);
      }
      if (!level.isLast()) {
        h = step(scope, h, level.toNext(h, e, dropout), skips);
      }
    }
    return h;
  }

  private static Var step(Scope scope, Var old, Var next, Deque<Var> skips) {
    push(skips, next);
    return skips == null ? replace(scope, old, next) : next;
  }

  private static void push(Deque<Var> skips, Var v) {
    if (skips != null) {
      skips.addLast(v);
    }
  }

  private void checkInput(Var x, Var noiseCondition) {
    int multiple = config.sideMultiple();
    Shape shape = x.shape();
    if (shape.rank() != 4 || shape.dim(3) != config.inChannels()) {
      throw new ShapeException(
          "UNet: expects images [N,H,W," + config.inChannels() + "], x is " + shape);
    }
    if (shape.dim(1) % multiple != 0 || shape.dim(2) % multiple != 0 || shape.size() == 0) {
      throw new ShapeException(
          "UNet: "
              + config.levels()
              + " levels need sides that are multiples of "
              + multiple
              + ", x is "
              + shape);
    }
    if (!noiseCondition.shape().equals(Shape.of(shape.dim(0)))
        || noiseCondition.value().type() != DType.F32) {
      throw new ShapeException(
          "UNet: expects one F32 noise condition per image, x is "
              + shape
              + ", the condition is "
              + noiseCondition);
    }
  }

  // ---- files ----

  /**
   * A {@code UNet2DModel} of diffusers.
   *
   * @param configJson its {@code config.json}
   * @param weights its {@code diffusion_pytorch_model.safetensors}
   * @throws TensorFileException if a file is missing or damaged, or the model has parts that this
   *     network has not, naming them
   */
  public static UNet fromDiffusers(Path configJson, Path weights, Device device)
      throws TensorFileException {
    UNetConfig config = UNetFiles.diffusersConfig(configJson);
    try (TensorFile file = TensorFile.open(weights)) {
      return UNetFiles.load(config, file, "", device);
    }
  }

  /**
   * Writes this network as diffusers reads it.
   *
   * @throws IllegalArgumentException naming what {@code UNet2DModel} cannot express
   */
  public void toDiffusers(Path configJson, Path weights) throws TensorFileException {
    Map<String, Object> json = DiffusersConfig.write(config);
    TensorFileWriter writer = TensorFile.writer().metadata("format", "pt");
    UNetFiles.write(this, writer, "");
    writer.write(weights);
    UNetFiles.writeText(configJson, json);
  }

  /** A network as {@link #addTo} stored it. */
  public static UNet load(TensorFile file, String prefix, Device device)
      throws TensorFileException {
    return UNetFiles.load(UNetFiles.ownConfig(file), file, prefix, device);
  }

  /** Adds parameters under {@code prefix}, and the configuration as metadata "unet". */
  public void addTo(TensorFileWriter writer, String prefix) {
    UNetFiles.write(this, writer, prefix);
    writer.metadata(UNetFiles.CONFIG, Json.write(config.toJson()));
  }

  /** Fixed random frequencies, which files hold beside the parameters; null if there are none. */
  Tensor randomFrequencies() {
    return embedding.randomFrequencies();
  }

  @Override
  public void close() {
    params.close();
    embedding.close();
  }
}
