package dev.limbeck.distillation;

import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.Optimizer;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The methods of distillation; a further one is a class and its line here.
 *
 * <p>A variation and a method joined by {@code +} make a method too.
 */
public final class Methods {
  private static final List<Method> ALL =
      List.of(
          ProgressiveDistillation.METHOD,
          GuidedDistillation.METHOD,
          ConsistencyDistillation.METHOD,
          ConsistencyTraining.METHOD,
          ImprovedConsistencyTraining.METHOD,
          EasyConsistencyTuning.METHOD,
          ContinuousConsistency.METHOD,
          ContinuousConsistency.TRAINING,
          MeanFlow.METHOD,
          LatentConsistency.METHOD,
          DiffInstruct.METHOD,
          Dmd.METHOD,
          Dmd2.METHOD);
  private static final List<Variation> VARIATIONS = List.of(Ddil.VARIATION, DisBack.VARIATION);

  /** What a run without a choice takes: the best at several steps, and the best at one. */
  private static final List<String> DEFAULT = List.of("pd", "dmd2");

  private Methods() {}

  /** Every method's name, without those that variations make. */
  public static List<String> names() {
    return ALL.stream().map(Method::name).collect(Collectors.toList());
  }

  /** Every method's name, with those that variations make. */
  public static List<String> allNames() {
    List<String> all = names();
    for (Variation variation : VARIATIONS) {
      variation.bases().forEach(base -> all.add(variation.name() + "+" + base));
    }
    return all;
  }

  /** The names of the methods that a run without a choice takes, in its order. */
  public static List<String> byDefault() {
    return DEFAULT;
  }

  /** One line for each method and variation. */
  public static String list() {
    StringBuilder text = new StringBuilder();
    for (Method method : ALL) {
      text.append(String.format("%n  %-14s %s", method.name(), method.summary()));
    }
    for (Variation variation : VARIATIONS) {
      String bases = String.join(", ", variation.bases());
      text.append(
          String.format("%n  %-14s %s (%s)", variation.name() + "+…", variation.summary(), bases));
    }
    return text.toString();
  }

  /**
   * Looks at a method that was made to see whether it fits, and gives back its memory.
   *
   * @param folder where a run would keep what it records
   * @throws IllegalArgumentException if no student comes of it
   */
  static void tryOut(Distiller distiller, Path folder) {
    distiller.keepIn(folder);
    try {
      distiller.sampler();
      if (distiller.steps() < 1) {
        throw new IllegalArgumentException(
            distiller.name() + " is to train for " + distiller.steps() + " steps; it needs one");
      }
      if (translates(distiller)) {
        throw new IllegalArgumentException(
            distiller.name()
                + ": a generator with the inputs SOURCE translates samples and draws none from"
                + " noise: there is DistributionMatching.translate for it, and no job");
      }
    } finally {
      release(distiller);
    }
  }

  private static boolean translates(Distiller distiller) {
    Distiller base = distiller instanceof DisBack disBack ? disBack.base() : distiller;
    return base instanceof DistributionMatching matching
        && matching.config().inputs() == MatchingConfig.Inputs.SOURCE;
  }

  /** Gives back the memory of a method that was made to see whether it fits. */
  static void release(Distiller distiller) {
    for (Objective objective : distiller.objectives()) {
      objective.optimizers().forEach(Optimizer::close);
    }
    distiller.networks().values().forEach(Params::close);
  }

  /**
   * The method of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Method of(String name) {
    int plus = name.indexOf('+');
    if (plus >= 0) {
      for (Variation variation : VARIATIONS) {
        if (variation.name().equals(name.substring(0, plus))) {
          return variation.of(of(name.substring(plus + 1)));
        }
      }
    }
    for (Method method : ALL) {
      if (method.name().equals(name)) {
        return method;
      }
    }
    throw new IllegalArgumentException("there is no method \"" + name + "\"; known are" + list());
  }
}
