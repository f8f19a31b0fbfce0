package dev.limbeck.nn;

import dev.limbeck.tensor.JsonRecord;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Everything that determines a {@link UNet}'s structure: the block structures of DDPM++, of ADM and
 * of diffusers' {@code UNet2DModel} are points of one space.
 *
 * <p>Per-level lists run from the finest resolution to the coarsest.
 *
 * @param inChannels channels of the input image
 * @param outChannels channels of the output
 * @param widths channels of each level
 * @param blocksPerLevel residual blocks of each level of the encoder; the decoder has one more
 * @param encoderAttention which blocks of each encoder level end in self-attention
 * @param decoderAttention which blocks of each decoder level end in self-attention
 * @param middleAttention whether self-attention stands between the two blocks of the bottleneck
 * @param headChannels channels per attention head; 0 for a single head
 * @param groups groups of each group normalisation; 0 for min(32, channels / 4)
 * @param normEpsilon added to each variance
 * @param modulation how the embedding enters a block
 * @param residualScale factor on each sum of a block and its bypass: 1, or √½ in DDPM++
 * @param middleScale the same for the bottleneck
 * @param resampling how levels are connected
 * @param downPadding padding of strided convolutions: 1 on every side, or 0 for one row and column
 *     at the bottom and right
 * @param time what the first layer sees of the noise condition
 * @param classInput how labels enter
 * @param classes number of classes, without the null class
 * @param nullClass whether label {@link #nullLabel} means "no class"
 * @param guidanceInput whether a guidance weight is an input (guided distillation)
 * @param centerInput whether images in [0,1] are mapped to [-1,1] first
 * @param divideByTime whether the output is divided by the noise condition, which then is σ
 * @param embeddingWidth width of the embedding; 0 for 4·widths[0]
 * @param dropout rate inside residual blocks while training; 0 for the one that training asks for
 * @param initial how weights are drawn
 */
public record UNetConfig(
    int inChannels,
    int outChannels,
    List<Integer> widths,
    int blocksPerLevel,
    List<AttendIn> encoderAttention,
    List<AttendIn> decoderAttention,
    boolean middleAttention,
    int headChannels,
    int groups,
    float normEpsilon,
    Modulation modulation,
    float residualScale,
    float middleScale,
    Resampling resampling,
    int downPadding,
    TimeFeatures time,
    ClassInput classInput,
    int classes,
    boolean nullClass,
    boolean guidanceInput,
    boolean centerInput,
    boolean divideByTime,
    int embeddingWidth,
    float dropout,
    Initial initial) {

  /** Which residual blocks of a level end in self-attention. */
  public enum AttendIn {
    NO_BLOCK,
    LAST_BLOCK,
    EVERY_BLOCK
  }

  /** How the embedding enters a residual block. */
  public enum Modulation {
    /** A projection is added before the second normalisation. */
    ADD,
    /** Projections scale and shift the second normalisation's result: x·(1 + scale) + shift. */
    SCALE_SHIFT
  }

  /** How a level is connected to the next. */
  public enum Resampling {
    /** Down by a strided convolution, up by repetition and a convolution. */
    CONVOLUTION,
    /** By a residual block that averages or repeats inside; its bypass only resamples (ADM). */
    RESIDUAL,
    /** As {@link #RESIDUAL}, with a 1×1 convolution in the bypass (DDPM++). */
    RESIDUAL_PROJECTED
  }

  /** How labels enter. */
  public enum ClassInput {
    NONE,
    /** A learned row per class is added to the time features, before the embedding's layers. */
    TABLE_BEFORE_LAYERS,
    /** A learned row per class is added to the embedding. */
    TABLE,
    /** Labels are numbers, embedded like the noise condition by layers of their own. */
    TIME_LIKE,
    /** Labels are embedding vectors, added as they are. */
    VECTOR
  }

  /** How weights are drawn. */
  public enum Initial {
    /** Uniform in ±1/√fan-in, biases too: PyTorch's default, which diffusers keeps. */
    TORCH,
    /** Xavier-uniform, zero biases, last layers of residual branches near zero. */
    DDPM,
    /** Uniform in ±1/√fan-in, biases too; last layers of residual branches zero. */
    ADM
  }

  /** What family of functions the noise condition is expanded into. */
  public enum TimeKind {
    /** Sines and cosines of t·10000^(-k/(half - shift)). */
    POSITIONAL,
    /** Sines and cosines of 2π·f·t with fixed random f. */
    FOURIER,
    /** As {@link #FOURIER}, of ln t. */
    FOURIER_OF_LOG
  }

  /**
   * What the first layer sees of the noise condition t.
   *
   * @param kind the family of functions
   * @param cosineFirst whether cosines precede sines
   * @param frequencyShift subtracted from half the width in the exponent of positional frequencies
   * @param bandwidth standard deviation of random frequencies
   * @param scale factor on t beforehand
   */
  public record TimeFeatures(
      TimeKind kind, boolean cosineFirst, float frequencyShift, float bandwidth, float scale) {
    /** Positional features as DDPM++ has them: sines first, the lowest frequency 1/10000. */
    public static TimeFeatures positional() {
      return new TimeFeatures(TimeKind.POSITIONAL, false, 1f, 0f, 1f);
    }

    /** Random Fourier features. */
    public static TimeFeatures fourier(float bandwidth) {
      return new TimeFeatures(TimeKind.FOURIER, false, 0f, bandwidth, 1f);
    }

    /** With another factor on t. */
    public TimeFeatures withScale(float scale) {
      return new TimeFeatures(kind, cosineFirst, frequencyShift, bandwidth, scale);
    }
  }

  public UNetConfig {
    widths = List.copyOf(widths);
    encoderAttention = List.copyOf(encoderAttention);
    decoderAttention = List.copyOf(decoderAttention);
    check(inChannels > 0 && outChannels > 0, "channels must be positive");
    check(!widths.isEmpty(), "there must be at least one level");
    check(widths.stream().allMatch(w -> w > 0), "widths must be positive");
    check(blocksPerLevel > 0, "there must be at least one block per level");
    check(
        encoderAttention.size() == widths.size() && decoderAttention.size() == widths.size(),
        "attention must be said for each of the " + widths.size() + " levels");
    check(headChannels >= 0 && groups >= 0, "head channels and groups must not be negative");
    check(downPadding == 0 || downPadding == 1, "padding of strided convolutions must be 0 or 1");
    check(residualScale > 0 && middleScale > 0, "residual scales must be positive");
    check(
        classInput != ClassInput.TABLE && classInput != ClassInput.TABLE_BEFORE_LAYERS
            || classes > 0,
        "a class table needs classes");
    check(dropout >= 0 && dropout < 1, "the dropout rate must lie in [0,1)");
  }

  private static void check(boolean holds, String rule) {
    if (!holds) {
      throw new IllegalArgumentException("UNet: " + rule);
    }
  }

  // ---- presets ----

  /** The smallest form of DDPM++: widths given, no attention outside the bottleneck. */
  public static UNetConfig ddpmpp(int channels, Integer... widths) {
    List<AttendIn> none = Collections.nCopies(widths.length, AttendIn.NO_BLOCK);
    return new UNetConfig(
        channels,
        channels,
        List.of(widths),
        1,
        none,
        none,
        true,
        0,
        0,
        1e-6f,
        Modulation.ADD,
        (float) Math.sqrt(0.5),
        (float) Math.sqrt(0.5),
        Resampling.RESIDUAL_PROJECTED,
        1,
        TimeFeatures.positional(),
        ClassInput.NONE,
        0,
        false,
        false,
        false,
        false,
        0,
        0f,
        Initial.DDPM);
  }

  /**
   * The teacher of EDM on 32×32 images: DDPM++ with 56 million parameters.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, Table 7
   */
  public static UNetConfig cifar10() {
    return ddpmpp(3, 256, 256, 256)
        .withBlocksPerLevel(4)
        .withAttention(
            List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK, AttendIn.NO_BLOCK),
            List.of(AttendIn.NO_BLOCK, AttendIn.LAST_BLOCK, AttendIn.NO_BLOCK))
        .withClasses(10)
        .withDropout(0.13f);
  }

  /**
   * ADM on 64×64 images: scale-shift modulation, attention on the three coarser levels.
   *
   * @paper Dhariwal, Nichol 2021, arXiv 2105.05233
   */
  public static UNetConfig imagenet64() {
    List<AttendIn> attention =
        List.of(
            AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK, AttendIn.EVERY_BLOCK, AttendIn.EVERY_BLOCK);
    return new UNetConfig(
        3,
        3,
        List.of(192, 384, 576, 768),
        3,
        attention,
        attention,
        true,
        64,
        32,
        1e-5f,
        Modulation.SCALE_SHIFT,
        1f,
        1f,
        Resampling.RESIDUAL,
        1,
        new TimeFeatures(TimeKind.POSITIONAL, true, 0f, 0f, 1f),
        ClassInput.TABLE,
        1000,
        true,
        false,
        false,
        false,
        0,
        0.1f,
        Initial.ADM);
  }

  /**
   * 16×16 grey digits of ten classes: 381 thousand parameters, small enough to train on a CPU in
   * minutes. Its widths are multiples of the register tiles of the convolutions.
   */
  public static UNetConfig mnist16() {
    return ddpmpp(1, 32, 32, 32).withResampling(Resampling.CONVOLUTION).withClasses(10);
  }

  /** 32×32 grey digits of ten classes. */
  public static UNetConfig mnist32() {
    return ddpmpp(1, 32, 64, 64).withResampling(Resampling.CONVOLUTION).withClasses(10);
  }

  /** For tests: two levels of a few channels, every kind of layer. */
  public static UNetConfig toy(int channels) {
    return ddpmpp(channels, 8, 16).withClasses(3);
  }

  // ---- variations ----

  /** With labels 0 to {@code classes - 1} and a null class; none for 0. */
  public UNetConfig withClasses(int classes) {
    ClassInput input =
        classes == 0
            ? ClassInput.NONE
            : modulation == Modulation.ADD ? ClassInput.TABLE_BEFORE_LAYERS : ClassInput.TABLE;
    return with(Map.of("classInput", input.name(), "classes", classes, "nullClass", classes > 0));
  }

  public UNetConfig withWidths(Integer... widths) {
    List<AttendIn> none = Collections.nCopies(widths.length, AttendIn.NO_BLOCK);
    return with(
        Map.of("widths", List.of(widths), "encoderAttention", none, "decoderAttention", none));
  }

  public UNetConfig withChannels(int in, int out) {
    return with(Map.of("inChannels", in, "outChannels", out));
  }

  public UNetConfig withBlocksPerLevel(int blocks) {
    return with(Map.of("blocksPerLevel", blocks));
  }

  public UNetConfig withAttention(List<AttendIn> encoder, List<AttendIn> decoder) {
    return with(Map.of("encoderAttention", encoder, "decoderAttention", decoder));
  }

  public UNetConfig withMiddleAttention(boolean attention) {
    return with(Map.of("middleAttention", attention));
  }

  public UNetConfig withResampling(Resampling resampling) {
    return with(Map.of("resampling", resampling));
  }

  public UNetConfig withTime(TimeFeatures time) {
    return with(Map.of("time", JsonRecord.fields(time)));
  }

  public UNetConfig withGuidanceInput(boolean guidanceInput) {
    return with(Map.of("guidanceInput", guidanceInput));
  }

  public UNetConfig withDropout(float rate) {
    return with(Map.of("dropout", rate));
  }

  /** With some components replaced, named as in the record. */
  public UNetConfig with(Map<String, ?> changes) {
    return JsonRecord.read(changes, this);
  }

  // ---- what follows from it ----

  /** Number of resolutions. */
  public int levels() {
    return widths.size();
  }

  /** The label that means "no class". */
  public int nullLabel() {
    return classes;
  }

  /** Rows of the class table. */
  int classRows() {
    return classes + (nullClass ? 1 : 0);
  }

  /** Width of the embedding that every block sees. */
  int embedding() {
    return embeddingWidth > 0 ? embeddingWidth : 4 * widths.get(0);
  }

  /** Image sides must be multiples of this. */
  public int sideMultiple() {
    return 1 << (levels() - 1);
  }

  public int groupsOf(int channels) {
    return groups > 0 ? groups : Math.max(1, Math.min(32, channels / 4));
  }

  // ---- text ----

  /** As JSON, for a checkpoint's metadata. */
  public Map<String, Object> toJson() {
    return JsonRecord.fields(this);
  }

  /**
   * From JSON as {@link #toJson} makes it; what is absent is as in {@link #mnist16}.
   *
   * @throws IllegalArgumentException for unknown or ill-typed components
   */
  public static UNetConfig fromJson(Map<String, ?> json) {
    return JsonRecord.read(json, mnist16());
  }
}
