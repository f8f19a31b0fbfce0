package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/**
 * Pairs of noise and what the teacher's deterministic sampler makes of it, and the regression of a
 * generator on them: E d(G(z), y).
 *
 * <p>They depend on the teacher and on these settings alone, so that a run that goes on makes the
 * same ones. Where a folder is given they are kept in it; the first of a file's pairs are made
 * again, and if they are others, all are.
 *
 * @paper Yin et al. 2023, arXiv 2311.18828, section 3.3
 */
final class TeacherPairs {
  /** The noise level at which the teacher looks at clean samples for its features. */
  private static final double FEATURE_NOISE = 0.1;

  /** Keeps the length of features off 0. */
  private static final float FLOOR = 1e-6f;

  /** Pairs made at a time. */
  private static final int CHUNK = 64;

  private static final String NOISE = "noise";
  private static final String RESULT = "result";

  private final MatchingConfig.Regression config;
  private final Denoiser teacher;
  private final NetworkDenoiser features;
  private final Device device;
  private final Shape sample;
  private final int classes;
  private Path file;

  /** All pairs, made before the first step. */
  private Tensor noise;

  private Tensor result;

  /**
   * No pairs yet.
   *
   * @param solved the denoiser whose ODE is solved
   */
  TeacherPairs(MatchingConfig.Regression config, Teacher teacher, Denoiser solved, Device device) {
    this.config = config;
    this.teacher = solved;
    this.device = device;
    this.features = config.metric() == Metric.FEATURES ? teacher.student() : null;
    this.sample = teacher.sample();
    this.classes = teacher.classes();
  }

  void keepIn(Path place) {
    file = place;
  }

  /** Makes them, or reads them, if that has not been done. */
  void make() {
    if (noise != null) {
      return;
    }
    float[] z = new float[config.pairs() * sample.size()];
    float[] y = new float[z.length];
    int known = read(z, y);
    for (int first = known; first < config.pairs(); first += CHUNK) {
      chunk(first, Math.min(CHUNK, config.pairs() - first), z, y);
    }
    Shape all = batchShape(config.pairs());
    noise = held(Tensor.of(device, all, z));
    result = held(Tensor.of(device, all, y));
    if (file != null && known == 0) {
      write();
    }
  }

  /** No scope closes it. */
  private static Tensor held(Tensor t) {
    t.buffer().hold();
    return t;
  }

  private Shape batchShape(int n) {
    int[] shape = new int[sample.rank() + 1];
    shape[0] = n;
    System.arraycopy(sample.toArray(), 0, shape, 1, sample.rank());
    return Shape.of(shape);
  }

  /** The class that pair i is to show. */
  private int label(int i) {
    return classes == 0 ? 0 : i % classes;
  }

  private void chunk(int first, int n, float[] z, float[] y) {
    try (Scope scope = Scope.open()) {
      int width = sample.size();
      int[] labels = new int[n];
      Arrays.setAll(labels, i -> label(first + i));
      Tensor given = classes == 0 ? null : Tensor.constant(device, Shape.of(n), labels);
      Tensor drawn = Rng.of(0).split(1).normalRows(device, batchShape(n), first);
      Tensor made =
          Samplers.heunOn(config.levels()).sample(teacher, drawn, given, Rng.of(0).split(2));
      System.arraycopy(drawn.toFloats(), 0, z, first * width, n * width);
      System.arraycopy(made.toFloats(), 0, y, first * width, n * width);
    }
  }

  /** The number of pairs taken from the file: all, or none. */
  private int read(float[] z, float[] y) {
    if (file == null || !Files.exists(file)) {
      return 0;
    }
    try (TensorFile saved = TensorFile.open(file)) {
      Shape all = batchShape(config.pairs());
      if (!saved.contains(NOISE) || !saved.shape(NOISE).equals(all)) {
        return 0;
      }
      System.arraycopy(saved.floats(NOISE), 0, z, 0, z.length);
      System.arraycopy(saved.floats(RESULT), 0, y, 0, y.length);
    } catch (TensorFileException e) {
      throw new TrainingException("the teacher's pairs cannot be read: " + e.getMessage(), e);
    }
    int n = Math.min(CHUNK, config.pairs());
    float[] z0 = Arrays.copyOf(z, n * sample.size());
    float[] y0 = Arrays.copyOf(y, n * sample.size());
    chunk(0, n, z, y);
    boolean same =
        Arrays.equals(z0, Arrays.copyOf(z, z0.length))
            && Arrays.equals(y0, Arrays.copyOf(y, y0.length));
    return same ? config.pairs() : 0;
  }

  private void write() {
    try {
      TensorFile.write(file, Map.of(NOISE, noise, RESULT, result), Map.of());
    } catch (TensorFileException e) {
      throw new TrainingException("the teacher's pairs cannot be kept: " + e.getMessage(), e);
    }
  }

  /**
   * weight · d(G(σ_max z), y) on pairs drawn at random; the gradient reaches the generator alone.
   *
   * @param sigmaMax the generator's first noise level
   */
  Var loss(Tape tape, StepInput in, NetworkDenoiser generator, double sigmaMax) {
    int[] drawn = in.integers("pairs", config.pairs());
    Tensor rows = Tensor.of(device, Shape.of(drawn.length), drawn);
    int[] classOf = new int[drawn.length];
    Arrays.setAll(classOf, i -> label(drawn[i]));
    Tensor labels = classes == 0 ? null : Tensor.constant(device, Shape.of(drawn.length), classOf);
    Tensor start = noise.gather(rows).mul((float) sigmaMax);
    Tensor wanted = result.gather(rows);
    Var x = generator.denoise(tape.input(start), Samplers.level(start, sigmaMax), labels);
    Var distance =
        config.metric() == Metric.L2
            ? RowOps.meanSquaredError(x, wanted, Samplers.level(wanted, 1))
            : between(directions(x, labels), directions(Var.constant(wanted), labels).value());
    return distance.mul((float) config.weight());
  }

  private static Var between(Var a, Tensor b) {
    return RowOps.meanSquaredError(a, b, Samplers.level(b, b.dim(-1)));
  }

  /** The teacher's hidden features, those of each position scaled to length 1. */
  private Var directions(Var x, Tensor labels) {
    try (Scope scope = Scope.open()) {
      Var f = features.features(x, Samplers.level(x.value(), FEATURE_NOISE), labels);
      return scope.keep(f.div(f.square().sum(-1, true).add(FLOOR).sqrt()));
    }
  }
}
