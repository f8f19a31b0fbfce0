package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Methods;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code distill --data toy:…} with a few steps of everything. */
class DistillPointsTest {
  private static final String THREE =
      "{\"weights\": [1, 3], \"means\": [[0, 1, 2], [3, 4, 6]], \"covariances\":"
          + " [[[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]}";

  @TempDir private Path folder;

  private static MainTest.Run distill(Path out, String data, String... more) {
    return distill(4, out, data, more);
  }

  private static MainTest.Run distill(int steps, Path out, String data, String... more) {
    List<String> words =
        new ArrayList<>(
            List.of(
                "distill",
                "--device=cpu",
                "--data=" + data,
                "--out=" + out,
                "--steps=" + steps,
                "--teacher-steps=4",
                "--batch=16",
                "--samples=200"));
    words.addAll(List.of(more));
    return MainTest.run(words.toArray(String[]::new));
  }

  private static Map<String, Object> metrics(Path out) throws IOException {
    return Json.parseObject(Files.readString(out.resolve("metrics.json")));
  }

  private static final List<String> MEASURES = List.of("within_mode_w2", "mass_error", "outliers");

  /** A student's row in the metrics, by its method and its number of steps. */
  private static Map<String, Map<String, Object>> students(Path out) throws IOException {
    Map<String, Map<String, Object>> all = new TreeMap<>();
    for (Object each : Json.list(metrics(out).get("students"), "students")) {
      Map<String, Object> student = Json.object(each, "student");
      all.put(student.get("method") + ", " + student.get("nfe"), student);
    }
    return all;
  }

  private static double number(Object of, String key) {
    Map<String, Object> all = Json.object(of, "numbers");
    assertTrue(all.get(key) instanceof Number, key + " of " + all);
    return ((Number) all.get(key)).doubleValue();
  }

  private static double[] shift(Map<String, Object> student, String key) {
    return Json.list(student.get("covariate_shift"), "nodes").stream()
        .mapToDouble(node -> number(node, key))
        .toArray();
  }

  @Test
  void everyMethodRunsOnAMixture() throws IOException {
    Path out = folder.resolve("run");
    String all = String.join(",", Methods.allNames());
    MainTest.Run run = distill(out, "toy:spiral", "--method=" + all);
    assertEquals(0, run.status(), run.err());
    Map<String, Object> metrics = metrics(out);
    for (String key : MEASURES) {
      // Two draws of 200 points never agree; and some of any draw are beyond the quantile.
      assertTrue(number(metrics.get("floor"), key) > 0, key);
      assertTrue(number(metrics.get("teacher"), key) >= 0, key);
    }
    Set<Object> found = new HashSet<>();
    for (Map<String, Object> student : students(out).values()) {
      found.add(student.get("method"));
      MEASURES.forEach(key -> assertTrue(number(student, key) >= 0, key));
      double ratio = number(student, "within_mode_w2");
      ratio /= number(metrics.get("floor"), "within_mode_w2");
      assertEquals(ratio, number(student, "within_mode_ratio"), 1e-9 * ratio);
    }
    assertEquals(new HashSet<Object>(Methods.allNames()), found);
    for (String method : Methods.allNames()) {
      assertTrue(run.out().contains(method), run.out());
      assertTrue(Files.exists(out.resolve("student-" + method + ".safetensors")), method);
    }
    assertTrue(Files.size(out.resolve("samples.png")) > 0);
    assertTrue(Files.readString(out.resolve("report.html")).contains("within-mode"));
  }

  /** A generator of two steps with a classifier; other settings are another run. */
  @Test
  void settingsOfMethodsCanBeChanged() throws IOException {
    Path out = folder.resolve("run");
    String[] changes = {
      "--method=dmd2",
      "--sample-steps=2",
      "--set=generatorWeight=0.003",
      "--set=classifierWeight=0.01"
    };
    MainTest.Run run = distill(out, "toy:ring", changes);
    assertEquals(0, run.status(), run.err());
    Map<String, Object> student =
        Json.object(Json.list(metrics(out).get("students"), "students").get(0), "student");
    assertEquals(2L, ((Number) student.get("nfe")).longValue());
    MainTest.Run other = distill(out, "toy:ring", "--method=dmd2", "--sample-steps=2");
    assertEquals(1, other.status());
    assertTrue(
        other.err().contains("set generatorWeight=0.003; classifierWeight=0.01, not none"),
        other.err());
    for (String[] bad :
        new String[][] {
          {"dmd2", "inputs=SOURCE", "translates"},
          {"dmd2", "iterations=0", "0 steps"},
          {"cd", "grid=", "two noise levels that fall"},
          {"ict", "nodes=Doubling(0,80)", "rise from 1 or more"}
        }) {
      String said =
          MainTest.sentence(
              2,
              "distill",
              "--device=cpu",
              "--data=toy:ring",
              "--out=" + out,
              "--method=" + bad[0],
              "--set=" + bad[1]);
      assertTrue(said.contains(bad[2]), said);
    }
    assertTrue(distill(out, "toy:ring", "--method=pd", "--set=x=1").err().contains("\"x\"; known"));
    MainTest.Run list = distill(folder.resolve("none"), "toy:ring", "--method=pd", "--settings");
    assertEquals(0, list.status(), list.err());
    assertTrue(list.out().contains("  stepsPerStage="), list.out());
    assertEquals(0, folder.resolve("none").toFile().list().length);
  }

  /**
   * The shift of a student before its training depends on where it starts, that after it on how it
   * went; both are kept for later runs in the folder.
   */
  @Test
  void covariateShiftIsReportedBeforeAndAfter() throws IOException {
    Map<Path, Map<String, Map<String, Object>>> runs = new LinkedHashMap<>();
    String methods = "--method=ddil+pd,lcm,dmd2";
    for (int steps : new int[] {2, 6}) {
      Path out = folder.resolve("steps" + steps);
      MainTest.Run run = distill(steps, out, "toy:ring", methods);
      assertEquals(0, run.status(), run.err());
      runs.put(out, students(out));
    }
    Path few = folder.resolve("steps2");
    for (String student : List.of("ddil+pd, 2", "ddil+pd, 4", "lcm, 2", "lcm, 4")) {
      Map<String, Object> little = runs.get(few).get(student);
      Map<String, Object> more = runs.get(folder.resolve("steps6")).get(student);
      for (String same : List.of("sigma", "before", "floor")) {
        assertArrayEquals(shift(little, same), shift(more, same), same + " of " + student);
      }
      double[] before = shift(little, "before");
      double[] after = shift(little, "distance");
      assertEquals(Character.digit(student.charAt(student.length() - 1), 10) - 1, after.length);
      String page = Files.readString(few.resolve("report.html"));
      for (int j = 0; j < after.length; j++) {
        assertNotEquals(before[j], after[j], student);
        assertNotEquals(shift(more, "distance")[j], after[j], student);
        assertTrue(page.contains(String.format(Locale.ROOT, ">%.4f<", before[j])), student);
        assertTrue(page.contains(String.format(Locale.ROOT, ">%.4f<", after[j])), student);
      }
    }
    // One step has no states in between.
    assertEquals(0, shift(runs.get(few).get("dmd2, 1"), "sigma").length);
    assertEquals(0, distill(2, few, "toy:ring", "--method=pd").status());
    Map<String, Map<String, Object>> later = students(few);
    runs.get(few)
        .forEach(
            (student, row) ->
                assertEquals(
                    row.get("covariate_shift"), later.get(student).get("covariate_shift")));
    String page = Files.readString(few.resolve("report.html"));
    double kept = shift(runs.get(few).get("lcm, 4"), "before")[0];
    assertTrue(page.contains(String.format(Locale.ROOT, ">%.4f<", kept)), page);
  }

  @Test
  void aFileOfThreeDimensionsWithoutLabels() throws IOException {
    Path file = folder.resolve("three.json");
    Files.writeString(file, THREE);
    Path out = folder.resolve("run");
    MainTest.Run run = distill(out, "toy:" + file, "--method=pd");
    assertEquals(0, run.status(), run.err());
    assertEquals("toy:" + file, metrics(out).get("data"));
    String first = Files.readString(out.resolve("metrics.json"));
    // Again: everything is done, and nothing but the times may differ.
    assertEquals(0, distill(out, "toy:" + file, "--method=pd").status());
    String again = Files.readString(out.resolve("metrics.json"));
    assertEquals(first.replaceAll(".*seconds.*", ""), again.replaceAll(".*seconds.*", ""));
    String model = "--checkpoint=" + out.resolve("student-pd.safetensors");
    String said = MainTest.sentence(2, "sample", "--device=cpu", model, "--out=" + folder);
    assertTrue(said.contains("--format npy"), said);
    String images = MainTest.sentence(1, "evaluate", "--device=cpu", model);
    assertTrue(images.contains("draws images is needed"), images);
    Path drawn = folder.resolve("points.npy");
    MainTest.Run sample =
        MainTest.run(
            "sample", "--device=cpu", model, "--count=3", "--format=npy", "--out=" + drawn);
    assertEquals(0, sample.status(), sample.err());
    assertTrue(sample.out().contains("3 points of 3 coordinates"), sample.out());
    // Nine floats behind a header of 128 bytes.
    assertEquals(128 + 36, Files.size(drawn));
    MainTest.Run info = MainTest.run("info", out.resolve("student-pd.safetensors").toString());
    assertTrue(info.out().contains("limbeck.mlp"), info.out());
    String guided =
        MainTest.sentence(
            2, "distill", "--device=cpu", "--data=toy:" + file, "--guidance=2", "--out=" + folder);
    assertTrue(guided.contains("labels"), guided);
  }

  @Test
  void whatMakesNoSenseIsSaid() {
    String unknown =
        MainTest.sentence(
            1, "distill", "--device=cpu", "--data=toy:circle", "--out=" + folder.resolve("a"));
    assertTrue(unknown.contains("ring, grid, spiral, gaussian"), unknown);
    String teacher =
        MainTest.sentence(
            2, "distill", "--device=cpu", "--data=toy:ring", "--train-teacher", "--out=" + folder);
    assertTrue(teacher.contains("is exact"), teacher);
    assertFalse(Files.exists(folder.resolve("a/metrics.json")));
  }
}
