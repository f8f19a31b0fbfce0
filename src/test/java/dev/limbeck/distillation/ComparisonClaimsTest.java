package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.ComparisonClaims.Claim;
import dev.limbeck.distillation.ComparisonClaims.Verdict;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Verdicts on numbers that are made up for them. */
class ComparisonClaimsTest {
  private static final ComparisonScale SCALE = ComparisonScale.full();

  private final ComparisonResults results = new ComparisonResults();

  private void add(String data, String method, int steps, long seed, Map<String, Object> result) {
    results.add(new ComparisonCell(data, method, steps, seed), result);
  }

  private Claim claim(String start) {
    List<Claim> found =
        new ComparisonClaims(results, SCALE)
            .all().stream().filter(each -> each.text().startsWith(start)).toList();
    assertEquals(1, found.size(), start);
    return found.get(0);
  }

  @Test
  void nothingIsJudgedWithoutNumbers() {
    for (Claim claim : new ComparisonClaims(results, SCALE).all()) {
      assertEquals(Verdict.OPEN, claim.verdict(), claim.text());
    }
  }

  @Test
  void meansOverSeedsDecide() {
    double[] student = {.9, 1.2, .8};
    double[] teacher = {1, 1, 1};
    for (int seed = 0; seed < 3; seed++) {
      add("mnist", "dmd2", 1, seed, Map.of("fd", student[seed]));
      add("mnist", "teacher", 35, seed, Map.of("fd", teacher[seed]));
    }
    Claim holds = claim("dmd2 in one step");
    assertEquals(Verdict.HOLDS, holds.verdict());
    assertEquals("0.967 ± 0.208 against 1.000 ± 0.000: 0.967×", holds.numbers());
    add("mnist", "dmd2", 1, 0, Map.of("fd", 1.3));
    assertEquals(Verdict.FAILS, claim("dmd2 in one step").verdict());
  }

  @Test
  void aGuidedStudentMayBeATenthFarther() {
    add("mnist-guided", "guided", 4, 0, Map.of("fd", 2.19));
    add("mnist-guided", "teacher", 128, 0, Map.of("fd", 2.0));
    assertEquals(Verdict.HOLDS, claim("guided in four steps").verdict());
    add("mnist-guided", "guided", 4, 0, Map.of("fd", 2.21));
    assertEquals(Verdict.FAILS, claim("guided in four steps").verdict());
  }

  /**
   * The metric falls from 10 to 1 with steps of 10 iterations; the other is three times as fast.
   */
  @Test
  void degradationIsCountedOnceAndOnceNot() {
    add("mnist-curve", "diff-instruct", 1, 0, curve(0, 30));
    add("mnist-curve", "disback+diff-instruct", 1, 0, curve(50, 10));
    Claim claim = claim("disback reaches");
    // 270 iterations against 90, and against 90 + 50; seconds are twice that.
    assertTrue(claim.numbers().contains("3.00× in iterations, 3.00× in time"), claim.numbers());
    assertTrue(claim.numbers().contains("1.93×, 1.93×"), claim.numbers());
    assertEquals(Verdict.HOLDS, claim.verdict());
  }

  private static Map<String, Object> curve(int before, int stride) {
    List<Object> points = new ArrayList<>();
    if (before > 0) {
      points.add(point(before, 20));
    }
    for (int i = 0; i < 20; i++) {
      points.add(point(before + i * stride + 1e-9, Math.max(1, 10 - i)));
    }
    return Map.of("before", before, "points", points);
  }

  private static Map<String, Object> point(double iterations, double fd) {
    return Map.of("iterations", iterations, "seconds", 2 * iterations, "fd", fd);
  }

  @Test
  void slopesMustBeNearWholeNumbers() {
    List<Object> slopes = new ArrayList<>();
    slopes.add(Map.of("name", "distillation, Heun, Gaussian", "value", -2.09));
    slopes.add(Map.of("name", "isolation, Gaussian", "value", -.7));
    add("rates", "V1", ComparisonCell.ALL, 0, Map.of("slopes", slopes));
    assertEquals(Verdict.HOLDS, claim("cd with Heun").verdict());
    assertEquals(Verdict.FAILS, claim("ct converges").verdict());
  }

  @Test
  void limitsOnMixturesDependOnTheSteps() {
    for (String toy : SCALE.toys()) {
      add(
          "toy-" + toy,
          "pd",
          ComparisonCell.ALL,
          0,
          Map.of("rows", List.of(row(1, 2.9, .029), row(2, 1.4, .01))));
    }
    assertEquals(Verdict.HOLDS, claim("pd on mixtures").verdict());
    add(
        "toy-grid",
        "pd",
        ComparisonCell.ALL,
        0,
        Map.of("rows", List.of(row(1, 2.9, .029), row(2, 1.6, .01))));
    assertEquals(Verdict.FAILS, claim("pd on mixtures").verdict());
    add("toy-grid", "pd", ComparisonCell.ALL, 0, Map.of("rows", List.of(row(1, 1, .031))));
    assertEquals(Verdict.FAILS, claim("pd on mixtures").verdict());
  }

  private static Map<String, Object> row(int steps, double ratio, double mass) {
    return Map.of("steps", steps, "within_mode_ratio", ratio, "mass_error", mass);
  }

  @Test
  void everyMethodIsComparedEverywhereAndPairsHaveThreeSeeds() {
    List<String> cells = SCALE.cells().stream().map(ComparisonCell::id).toList();
    assertEquals(cells.size(), cells.stream().distinct().count());
    for (String method : Methods.allNames()) {
      for (String toy : List.of("ring", "grid", "spiral", "gaussian")) {
        assertTrue(cells.contains("toy-" + toy + "/" + method + "/all/0"), method);
      }
      for (int steps : new int[] {1, 2, 4}) {
        assertTrue(cells.contains("mnist/" + method + "/" + steps + "/0"), method);
      }
    }
    for (String pair :
        List.of(
            "mnist/dmd2/1",
            "mnist/teacher/35",
            "mnist/pd/4",
            "mnist/ddil+pd/4",
            "mnist/lcm/4",
            "mnist/ddil+dmd2/4",
            "mnist-guided/guided/4",
            "mnist-guided/teacher/128",
            "mnist-curve/diff-instruct/1",
            "mnist-curve/disback+diff-instruct/1")) {
      assertTrue(cells.contains(pair + "/2"), pair);
    }
    assertTrue(!cells.contains("mnist/pd/2/1"));
  }

  /** What was measured on digits survives another preset of the mixtures, and the other way. */
  @Test
  void aCellDependsOnItsOwnSettingsOnly() {
    ComparisonScale other =
        new ComparisonScale(
            SCALE.name(),
            SCALE.toys(),
            SCALE.points().withBatch(7),
            SCALE.digits(),
            SCALE.images(),
            SCALE.curveEvery(),
            SCALE.curveSamples(),
            SCALE.seeds());
    ComparisonCell digits = new ComparisonCell("mnist", "pd", 4, 0);
    ComparisonCell points = new ComparisonCell("toy-ring", "pd", ComparisonCell.ALL, 0);
    assertEquals(SCALE.settings(digits), other.settings(digits));
    assertNotEquals(SCALE.settings(points), other.settings(points));
    assertNotEquals(SCALE.settings(digits), ComparisonScale.quick().settings(digits));
  }
}
