package dev.limbeck.bench;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.Batches;
import dev.limbeck.distillation.Ddil;
import dev.limbeck.distillation.DisBack;
import dev.limbeck.distillation.Distiller;
import dev.limbeck.distillation.EdmTraining;
import dev.limbeck.distillation.GuidedDistillation;
import dev.limbeck.distillation.Methods;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.Trainer;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.UNet;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.SplittableRandom;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/**
 * One training step of each method, on noise instead of images, and the evaluations of its networks
 * alone, which a step should cost at most a tenth more than.
 *
 * <p>Methods are measured from their first step. What some do later is a row of its own: {@code
 * guided/halving} is guided's stage 2, {@code disback+…/return} is DisBack's stage 2 with recorded
 * weights in the teacher's place, {@code ddil+…/mixture} is DDIL with its last shares of real data
 * and of the states of student and teacher. The first steps of {@code ddil+…} are the base
 * method's.
 */
public class MethodBench extends JobBench {
  private static final int IMAGES = 256;
  private static final int CLASSES = 10;

  /** Training of a teacher, or a method of distillation. */
  @Param({
    "edm",
    "pd",
    "guided",
    "cd",
    "ct",
    "ict",
    "ect",
    "scm",
    "sct",
    "meanflow",
    "lcm",
    "diff-instruct",
    "dmd",
    "dmd2",
    "ddil+pd",
    "disback+dmd2",
    "disback+diff-instruct",
    "guided/halving",
    "ddil+pd/mixture",
    "ddil+cd/mixture",
    "ddil+lcm/mixture",
    "ddil+dmd2/mixture",
    "disback+dmd2/return",
    "disback+diff-instruct/return"
  })
  public String method;

  /** Real images of a step. */
  @Param("64")
  public int batch;

  /** Steps on a GPU before it is waited for: of each kind, the third and later are replayed. */
  private static final int STEPS = 20;

  /**
   * Evaluations of networks for each training step: frozen ones, and ones with the gradient of
   * their parameters; a derivative along a direction counts as two frozen ones.
   */
  private record Evaluations(double frozen, double gradients) {
    /** Those of a method's steps, with the settings of this preset. */
    static Evaluations of(String method) {
      return switch (method) {
        case "edm" -> new Evaluations(0, 1);
        // Two of Heun's steps.
        case "pd", "ddil+pd", "guided/halving" -> new Evaluations(4, 1);
        case "guided" -> new Evaluations(2, 1);
        // One of Heun's steps, and the target.
        case "cd" -> new Evaluations(3, 1);
        case "ct", "ict", "ect" -> new Evaluations(1, 1);
        case "sct" -> new Evaluations(2, 1);
        case "scm", "meanflow" -> new Evaluations(3, 1);
        // One guided step, and the target.
        case "lcm" -> new Evaluations(3, 1);
        // The critic's samples; critic and teacher on the generator's.
        case "diff-instruct", "disback+diff-instruct/return" -> new Evaluations(3, 2);
        // The generator is trained on noise and on pairs.
        case "dmd" -> new Evaluations(2, 3);
        // Of three iterations one trains the generator too.
        case "dmd2", "disback+dmd2/return" -> new Evaluations(4.0 / 3, 4.0 / 3);
        // The critic, on samples of the generator.
        case "disback+dmd2", "disback+diff-instruct" -> new Evaluations(1, 1);
        // Four steps, the last of which is not taken; the teacher's by halves.
        case "ddil+pd/mixture" -> new Evaluations(4 + chains(3, 6), 1);
        // Estimates at both levels; 17 steps, without the last.
        case "ddil+cd/mixture" -> new Evaluations(3 + chains(2, 16), 1);
        // Four estimates; 50 guided steps, without the last.
        case "ddil+lcm/mixture" -> new Evaluations(3 + chains(4, 2 * 49), 1);
        // With four levels, of whose inputs the first's are noise.
        case "ddil+dmd2/mixture" -> new Evaluations(4.0 / 3 + 0.75 * chains(3, 6), 4.0 / 3);
        default -> throw new IllegalArgumentException("no evaluations are known of " + method);
      };
    }

    /** What ddil's chains cost a step, from the evaluations of each. */
    private static double chains(int student, int teacher) {
      Ddil.Config shares = Ddil.Config.of(PRESET);
      double rest = 1 - shares.forward();
      return rest
          * (shares.student() * shares.refresh() * student
              + (1 - shares.student()) * shares.teacherRefresh() * teacher);
    }
  }

  private static final Preset PRESET = Preset.quick();

  /** Levels of a generator whose later ones have inputs for ddil to mix. */
  private static final int LEVELS = 4;

  private Preset preset;
  private Trainer trainer;
  private long step;
  private UNet network;
  private Tensor x;
  private Tensor level;
  private Tensor labels;
  private double frozenDue;
  private double gradientsDue;

  @Override
  protected void build() {
    boolean several = method.startsWith("ddil+dmd2");
    preset = several ? PRESET.withSampleSteps(LEVELS) : PRESET;
    Model teacher =
        Model.create(
            preset.network().withClasses(CLASSES), preset.side(), EdmTraining.SAMPLER, device(), 1);
    Distiller distiller =
        method.equals("edm")
            ? training(teacher)
            : Methods.of(method.split("/")[0]).create(preset.withBatch(batch), teacher.teacher());
    Batches batches = Batches.of(noise(), device(), batch, 1);
    trainer =
        new Trainer(distiller, batches, "bench", Trainer.Options.watchedBy((d, s, losses) -> {}));
    step = firstStep(distiller.steps());
    if (step > 0) {
      // What a method prepares with its first step is there when the later ones are measured.
      trainer.run(0, 1);
    }
    network = new UNet(preset.network().withClasses(CLASSES), device(), Rng.of(1));
    x = Rng.of(2).normal(device(), Shape.of(batch, preset.side(), preset.side(), 1));
    level = Rng.of(3).normal(device(), Shape.of(batch));
    labels = Rng.of(4).integers(device(), Shape.of(batch), CLASSES);
  }

  /** Where what is measured begins, in a run of so many steps. */
  private long firstStep(long steps) {
    int slash = method.indexOf('/');
    return switch (slash < 0 ? "" : method.substring(slash + 1)) {
      case "" -> 0;
      case "halving" -> GuidedDistillation.Config.of(preset).absorbingSteps();
      case "mixture" -> (long) Math.ceil(Ddil.Config.of(preset).fall() * steps);
      case "return" -> DisBack.Config.of(preset).degradation();
      default -> throw new IllegalArgumentException("no part of a method is called " + method);
    };
  }

  private Distiller training(Model model) {
    return new EdmTraining(
        preset.teacher(),
        model.teacher().blueprint(),
        model.denoiser().preconditioning(),
        CLASSES,
        batch);
  }

  private Dataset noise() {
    SplittableRandom random = new SplittableRandom(1);
    byte[] pixels = new byte[IMAGES * preset.side() * preset.side()];
    random.nextBytes(pixels);
    int[] labels = random.ints(IMAGES, 0, CLASSES).toArray();
    int[] shape = {IMAGES, preset.side(), preset.side(), 1};
    return Dataset.ofBytes("noise", shape, pixels, labels);
  }

  /** One step, or some on a GPU; every method's takes the same number of real images. */
  @Benchmark
  public void step(Images images) {
    int steps = device().isAsynchronous() ? STEPS : 1;
    trainer.run(step, step + steps);
    step += steps;
    images.images += (double) steps * batch;
  }

  /**
   * The evaluations of as many steps, without all else that a step does. A GPU is told of each
   * anew, where it replays steps: compare on the CPU.
   */
  @Benchmark
  public void evaluations(Images images) {
    int steps = device().isAsynchronous() ? STEPS : 1;
    Evaluations each = Evaluations.of(method);
    frozenDue += steps * each.frozen;
    gradientsDue += steps * each.gradients;
    // Thirds do not add up to whole numbers.
    for (; frozenDue > 0.5; frozenDue--) {
      try (Scope scope = Scope.open()) {
        network.forward(Var.constant(x), Condition.of(level, labels), Dropout.off());
      }
    }
    for (; gradientsDue > 0.5; gradientsDue--) {
      network.params().zeroGradients();
      try (Tape tape = Tape.open(network.params().list())) {
        Var y = network.forward(tape.input(x), Condition.of(level, labels), Dropout.off());
        tape.backward(y.square().mean());
      }
    }
    device().synchronize();
    images.images += (double) steps * batch;
  }
}
