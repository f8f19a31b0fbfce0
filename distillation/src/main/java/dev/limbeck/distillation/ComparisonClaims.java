package dev.limbeck.distillation;

import dev.limbeck.distillation.ComparisonResults.Sample;
import dev.limbeck.kernels.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** What was expected of the methods, and whether the numbers bear it out. */
final class ComparisonClaims {
  /** Within-mode distance over the floor, at two or more steps. */
  private static final double SEVERAL_STEPS = 1.5;

  /** The same at one step. */
  private static final double ONE_STEP = 3;

  private static final double MASS = 0.03;

  /** How much farther than its teacher a guided student of four steps may be. */
  private static final double GUIDED = 1.1;

  /** DisBack's gain as published, the least of three. */
  private static final double BACKTRACKING = 2.46;

  /** A slope counts as a whole number within this: the grids are finite. */
  private static final double SLOPE = 0.15;

  /** Whether a claim holds; OPEN where numbers are missing. */
  enum Verdict {
    HOLDS,
    FAILS,
    OPEN
  }

  /**
   * One claim.
   *
   * @param numbers what was measured
   */
  record Claim(String text, String numbers, Verdict verdict) {}

  private final ComparisonResults results;
  private final ComparisonScale scale;

  ComparisonClaims(ComparisonResults results, ComparisonScale scale) {
    this.results = results;
    this.scale = scale;
  }

  /** Every claim. */
  List<Claim> all() {
    List<Claim> all = new ArrayList<>();
    int teacher = EdmTraining.SAMPLER.evaluations();
    all.add(
        ratio(
            "dmd2 in one step is at most as far as its teacher (Yin et al. 2024)",
            results.sample("mnist", "dmd2", 1, "fd"),
            results.sample("mnist", "teacher", teacher, "fd"),
            1));
    all.add(
        ratio(
            "guided in four steps is within 1.1 of its guided teacher, 256 evaluations (Meng et al."
                + " 2023)",
            results.sample("mnist-guided", "guided", 4, "fd"),
            results.sample("mnist-guided", "teacher", ComparisonScale.GUIDED_STEPS, "fd"),
            GUIDED));
    for (String base : ComparisonScale.IMITATING) {
      all.add(
          ratio(
              "ddil brings " + base + " closer at four steps (Garrepalli et al. 2024)",
              results.sample("mnist", "ddil+" + base, 4, "fd"),
              results.sample("mnist", base, 4, "fd"),
              1));
    }
    all.add(backtracking());
    all.add(slope("cd with Heun's steps converges with slope −2", "Heun", -2));
    all.add(slope("ct converges with slope −1", "isolation", -1));
    Methods.allNames().forEach(method -> all.add(mixtures(method)));
    return all;
  }

  /** That one distance is at most so many times another; the mean over seeds decides. */
  private static Claim ratio(String text, Sample one, Sample other, double most) {
    if (one == null || other == null) {
      return new Claim(text, "not measured", Verdict.OPEN);
    }
    double ratio = one.mean() / other.mean();
    String numbers =
        String.format(Locale.ROOT, "%s against %s: %.3f×", one.text(), other.text(), ratio);
    return new Claim(text, numbers, ratio <= most ? Verdict.HOLDS : Verdict.FAILS);
  }

  // ---- convergence ----

  private Claim backtracking() {
    String text =
        "disback reaches the plateau of "
            + ComparisonScale.BASE
            + " × 1.05 at least 2.46 times sooner (Zhang et al. 2024)";
    List<Convergence> pairs = new ArrayList<>();
    for (int seed = 0; seed < scale.seeds(); seed++) {
      Map<String, Object> base = curveOf(ComparisonScale.BASE, seed);
      Map<String, Object> other = curveOf("disback+" + ComparisonScale.BASE, seed);
      if (base != null && other != null) {
        pairs.add(convergence(base, other));
      }
    }
    if (pairs.isEmpty()) {
      return new Claim(text, "not measured", Verdict.OPEN);
    }
    double gain = pairs.stream().mapToDouble(p -> p.gain().iterations()).average().getAsDouble();
    String numbers =
        pairs.stream()
            .map(
                p ->
                    String.format(
                        Locale.ROOT,
                        "%.2f× in iterations, %.2f× in time (with degradation %.2f×, %.2f×)",
                        p.gain().iterations(),
                        p.gain().seconds(),
                        p.gainWithCost().iterations(),
                        p.gainWithCost().seconds()))
            .collect(Collectors.joining("; "));
    return new Claim(text, numbers, gain >= BACKTRACKING ? Verdict.HOLDS : Verdict.FAILS);
  }

  private Map<String, Object> curveOf(String method, long seed) {
    return results.of(new ComparisonCell("mnist-curve", method, 1, seed));
  }

  static Convergence convergence(Map<String, Object> base, Map<String, Object> other) {
    return Convergence.of(curve(base), curve(other), before(other));
  }

  private static double beforehand(Map<String, Object> result) {
    return ((Number) result.get("before")).doubleValue();
  }

  /** The iterations and the time before the first of the method's own. */
  private static Convergence.Cost before(Map<String, Object> result) {
    double before = beforehand(result);
    if (before > 0) {
      for (Object point : Json.list(result.get("points"), "points")) {
        if (ComparisonDigits.number(point, "iterations") == before) {
          return new Convergence.Cost(before, ComparisonDigits.number(point, "seconds"));
        }
      }
    }
    return Convergence.Cost.NONE;
  }

  private static Convergence.Curve curve(Map<String, Object> result) {
    Convergence.Cost before = before(result);
    List<Convergence.Cost> spent = new ArrayList<>();
    List<Double> distances = new ArrayList<>();
    for (Object point : Json.list(result.get("points"), "points")) {
      double iterations = ComparisonDigits.number(point, "iterations");
      if (iterations > before.iterations()) {
        double seconds = ComparisonDigits.number(point, "seconds");
        spent.add(
            new Convergence.Cost(iterations - before.iterations(), seconds - before.seconds()));
        distances.add(ComparisonDigits.number(point, "fd"));
      }
    }
    return new Convergence.Curve(
        spent.toArray(Convergence.Cost[]::new), distances.stream().mapToDouble(d -> d).toArray());
  }

  // ---- slopes ----

  private Claim slope(String text, String series, double expected) {
    Map<String, Object> rates =
        results.of(new ComparisonCell("rates", "V1", ComparisonCell.ALL, 0));
    if (rates == null) {
      return new Claim(text, "not measured", Verdict.OPEN);
    }
    boolean holds = true;
    List<String> numbers = new ArrayList<>();
    for (Object each : Json.list(rates.get("slopes"), "slopes")) {
      Map<String, Object> slope = Json.object(each, "a slope");
      String name = slope.get("name").toString();
      if (name.contains(series)) {
        double value = ComparisonResults.number(slope, "value");
        holds &= Math.abs(value - expected) <= SLOPE;
        numbers.add(String.format(Locale.ROOT, "%s %.3f", name, value));
      }
    }
    Verdict verdict = numbers.isEmpty() ? Verdict.OPEN : holds ? Verdict.HOLDS : Verdict.FAILS;
    return new Claim(text, String.join("; ", numbers), verdict);
  }

  // ---- mixtures ----

  private Claim mixtures(String method) {
    String text =
        method
            + " on mixtures: within-mode ratio at most 1.5 at several steps and 3 at one, mass error"
            + " at most 0.03";
    boolean holds = true;
    Map<String, String> numbers = new LinkedHashMap<>();
    for (String toy : scale.toys()) {
      Map<String, Object> result =
          results.of(new ComparisonCell("toy-" + toy, method, ComparisonCell.ALL, 0));
      if (result == null) {
        return new Claim(text, "not measured on " + toy, Verdict.OPEN);
      }
      List<String> each = new ArrayList<>();
      for (Map<String, Object> row : ComparisonResults.rows(result)) {
        double steps = ComparisonResults.number(row, "steps");
        double ratio = ComparisonResults.number(row, "within_mode_ratio");
        double mass = ComparisonResults.number(row, "mass_error");
        holds &= ratio <= (steps > 1 ? SEVERAL_STEPS : ONE_STEP) && mass <= MASS;
        each.add(String.format(Locale.ROOT, "%.2f/%.3f at %.0f", ratio, mass, steps));
      }
      numbers.put(toy, toy + " " + String.join(", ", each));
    }
    return new Claim(
        text, String.join("; ", numbers.values()), holds ? Verdict.HOLDS : Verdict.FAILS);
  }
}
