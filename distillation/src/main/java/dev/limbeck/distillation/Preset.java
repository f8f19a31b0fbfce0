package dev.limbeck.distillation;

import dev.limbeck.nn.UNetConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * The size of a run: resolution, network, batch, and how long training takes. What a method makes
 * of it stands with the method.
 *
 * @param side images are brought to this height and width
 * @param batch samples in a training step
 * @param patient whether to train students to their best rather than for minutes
 * @param studentSteps training steps of each stage of a method, or null for the method's own choice
 * @param sampleSteps steps that students are to draw in, or null for the method's own choice
 * @param evaluated samples that each Fréchet distance is measured on
 * @param settings configurations of single methods, in place of what they would choose for this
 *     preset, and {@link Settings} that change them
 */
public record Preset(
    String name,
    int side,
    UNetConfig network,
    int batch,
    boolean patient,
    EdmTraining.Config teacher,
    Long studentSteps,
    Integer sampleSteps,
    int evaluated,
    List<Object> settings) {
  private static final String POINTS = "points";

  /** Minutes on two cores: digits of 16×16. */
  public static Preset quick() {
    return new Preset(
        "quick",
        16,
        UNetConfig.mnist16().withWidths(32, 48),
        64,
        false,
        EdmTraining.Config.small(2000),
        null,
        null,
        5000,
        List.of());
  }

  /** Digits of 32×32, without a limit of time. */
  public static Preset full() {
    return new Preset(
        "full",
        32,
        UNetConfig.mnist32().withWidths(32, 48, 48),
        64,
        true,
        EdmTraining.Config.small(6000),
        null,
        null,
        5000,
        List.of());
  }

  /**
   * Points of few dimensions, scaled to the standard deviation of images; the network is a {@link
   * dev.limbeck.nn.Mlp} of the job's.
   */
  public static Preset points() {
    // With side 8 the noise levels are those of unshifted schedules.
    return new Preset(
        POINTS, 8, null, 256, false, EdmTraining.Config.small(8000), null, null, 10_000, List.of());
  }

  /** Whether this is the preset for points, whose steps take far less time than those on images. */
  public boolean isPoints() {
    return name.equals(POINTS);
  }

  /**
   * σ at which images of this size are half signal and half noise to the eye, in units of that of
   * digits of 8×8: larger images show the same through more noise.
   *
   * @paper Hoogeboom et al. 2023, simple diffusion, arXiv 2301.11093, section 3.1
   */
  public double shift() {
    return side / 8.0;
  }

  /**
   * The settings of a method for this run: those given, or else the method's own, with the changes
   * that {@link Settings} ask for.
   */
  public <C> C settings(Class<C> type, Supplier<C> own) {
    C chosen =
        settings.stream().filter(type::isInstance).findFirst().map(type::cast).orElseGet(own);
    for (Object given : settings) {
      if (given instanceof Settings changes) {
        chosen = changes.applied(chosen);
      }
    }
    return chosen;
  }

  /** What {@link Settings} change, as one text, or an empty one. */
  String changes() {
    return settings.stream()
        .filter(Settings.class::isInstance)
        .map(given -> ((Settings) given).text())
        .collect(Collectors.joining("; "));
  }

  /** The same behind the origin of a training, which tells its checkpoints from others. */
  String changed(String origin) {
    return changes().isEmpty() ? origin : origin + " with " + changes();
  }

  /** For a reader: what is not as methods would choose it. */
  String told() {
    List<String> all = new ArrayList<>();
    if (studentSteps != null) {
      all.add(studentSteps + " training steps");
    }
    if (sampleSteps != null) {
      all.add(sampleSteps + " steps to draw");
    }
    if (!changes().isEmpty()) {
      all.add(changes());
    }
    return all.isEmpty() ? "each method's own" : String.join("; ", all);
  }

  /** Training steps of a stage: those asked for, or else the method's own. */
  public long studentSteps(long own) {
    return studentSteps == null ? own : studentSteps;
  }

  /** Steps that a student is to draw in: those asked for, or else the method's own choice. */
  public int sampleSteps(int own) {
    return sampleSteps == null ? own : sampleSteps;
  }

  /** With the settings of a method. */
  public Preset with(Object methodSettings) {
    List<Object> all = new ArrayList<>(List.of(methodSettings));
    all.addAll(settings);
    return new Preset(
        name,
        side,
        network,
        batch,
        patient,
        teacher,
        studentSteps,
        sampleSteps,
        evaluated,
        List.copyOf(all));
  }

  /** With another batch size. */
  public Preset withBatch(int size) {
    return new Preset(
        name,
        side,
        network,
        size,
        patient,
        teacher,
        studentSteps,
        sampleSteps,
        evaluated,
        settings);
  }

  /** With another number of samples for each Fréchet distance. */
  public Preset withEvaluated(int samples) {
    return new Preset(
        name, side, network, batch, patient, teacher, studentSteps, sampleSteps, samples, settings);
  }

  /** With another length of every method: steps of each halving, iterations of the matching. */
  public Preset withStudentSteps(long steps) {
    return new Preset(
        name, side, network, batch, patient, teacher, steps, sampleSteps, evaluated, settings);
  }

  /** With another number of steps that students are to draw in. */
  public Preset withSampleSteps(int steps) {
    return new Preset(
        name, side, network, batch, patient, teacher, studentSteps, steps, evaluated, settings);
  }

  /** With another length of the teacher's training. */
  public Preset withTeacherSteps(long steps) {
    return new Preset(
        name,
        side,
        network,
        batch,
        patient,
        teacher.withSteps(steps),
        studentSteps,
        sampleSteps,
        evaluated,
        settings);
  }

  /** The preset of a name. */
  public static Preset of(String name) {
    return switch (name) {
      case "quick" -> quick();
      case "full" -> full();
      default ->
          throw new IllegalArgumentException(
              "there is no preset \"" + name + "\"; known are quick and full");
    };
  }
}
