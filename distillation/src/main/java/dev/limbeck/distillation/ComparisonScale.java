package dev.limbeck.distillation;

import java.util.ArrayList;
import java.util.List;

/**
 * How much of everything a comparison takes.
 *
 * @param toys names of mixtures
 * @param points preset of the mixtures
 * @param digits preset of the digits
 * @param images that each method sees in training on digits
 * @param curveEvery training steps between two points of a convergence curve
 * @param curveSamples images that each of these is measured on
 * @param seeds for pairs that a claim is about; everything else has one
 */
record ComparisonScale(
    String name,
    List<String> toys,
    Preset points,
    Preset digits,
    long images,
    long curveEvery,
    int curveSamples,
    int seeds) {
  /** Scale of guidance of the guided teacher. */
  static final double GUIDANCE = 2;

  /** Steps of the guided teacher: 256 evaluations, two a step. */
  static final int GUIDED_STEPS = 128;

  /** The pair whose convergence is measured. */
  static final String BASE = "diff-instruct";

  static final List<Integer> STEPS = List.of(4, 2, 1);

  /** Methods that DDIL is to help at four steps. */
  static final List<String> IMITATING = List.of("pd", "lcm", "dmd2");

  /** The digits of 16×16 with the teacher that comes with Limbeck: hours. */
  static ComparisonScale full() {
    Preset digits = Preset.quick();
    return new ComparisonScale(
        "full",
        List.of("ring", "grid", "spiral", "gaussian"),
        Preset.points(),
        digits,
        1000L * digits.batch(),
        50,
        2000,
        3);
  }

  /** Whether everything runs: minutes. Its numbers say nothing. */
  static ComparisonScale quick() {
    return new ComparisonScale(
        "quick",
        List.of("ring"),
        Preset.points().withBatch(64).withStudentSteps(40).withTeacherSteps(40).withEvaluated(500),
        Preset.quick().withBatch(4).withEvaluated(50),
        4 * 4,
        4,
        50,
        1);
  }

  boolean isQuick() {
    return name.equals("quick");
  }

  /** What every cell depends on, in words. */
  String settings() {
    return ofDigits() + "; " + ofPoints();
  }

  /** What a cell's result depends on: one that was measured with other settings is of no use. */
  String settings(ComparisonCell cell) {
    return cell.data().equals("rates") ? name : cell.isOnPoints() ? ofPoints() : ofDigits();
  }

  private String ofDigits() {
    return String.format(
        "%s digits, %d images of training in batches of %d, %d evaluated",
        name, images, digits.batch(), digits.evaluated());
  }

  private String ofPoints() {
    return String.format(
        "%s points, %s in batches of %d, students of 1, 2 and 4 steps, %d evaluated",
        name,
        points.studentSteps() == null ? "own steps" : points.studentSteps() + " steps",
        points.batch(),
        points.evaluated());
  }

  /** Every cell, in the order in which they run. */
  List<ComparisonCell> cells() {
    List<ComparisonCell> all = new ArrayList<>();
    all.add(new ComparisonCell("rates", "V1", ComparisonCell.ALL, 0));
    for (String toy : toys) {
      for (String method : Methods.allNames()) {
        all.add(new ComparisonCell("toy-" + toy, method, ComparisonCell.ALL, 0));
      }
    }
    digits(all);
    for (int seed = 0; seed < seeds; seed++) {
      all.add(new ComparisonCell("mnist-guided", "teacher", GUIDED_STEPS, seed));
      all.add(new ComparisonCell("mnist-guided", "guided", 4, seed));
      all.add(new ComparisonCell("mnist-curve", BASE, 1, seed));
      all.add(new ComparisonCell("mnist-curve", "disback+" + BASE, 1, seed));
    }
    all.removeIf(
        cell ->
            !cell.method().equals("teacher")
                && !cell.data().equals("rates")
                && !Methods.allNames().contains(cell.method()));
    return all;
  }

  private void digits(List<ComparisonCell> all) {
    for (int seed = 0; seed < seeds; seed++) {
      all.add(new ComparisonCell("mnist", "teacher", EdmTraining.SAMPLER.evaluations(), seed));
    }
    for (String method : Methods.allNames()) {
      for (int seed = 0; seed < seeds; seed++) {
        for (int steps : STEPS) {
          if (seed == 0 || isClaimed(method, steps)) {
            all.add(new ComparisonCell("mnist", method, steps, seed));
          }
        }
      }
    }
  }

  private static boolean isClaimed(String method, int steps) {
    String base = method.startsWith("ddil+") ? method.substring("ddil+".length()) : method;
    return steps == 4 && IMITATING.contains(base) || steps == 1 && method.equals("dmd2");
  }
}
