package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Methods;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code distill --data toy:…} with a few steps of everything. */
class DistillPointsTest {
  private static final String THREE =
      "{\"weights\": [1, 3], \"means\": [[0, 1, 2], [3, 4, 6]], \"covariances\":"
          + " [[[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]}";

  @TempDir private Path folder;

  private MainTest.Run distill(Path out, String data, String... more) {
    List<String> words =
        new ArrayList<>(
            List.of(
                "distill",
                "--device=cpu",
                "--data=" + data,
                "--out=" + out,
                "--steps=4",
                "--teacher-steps=4",
                "--batch=16",
                "--samples=200"));
    words.addAll(List.of(more));
    return MainTest.run(words.toArray(String[]::new));
  }

  private static Map<String, Object> metrics(Path out) throws IOException {
    return Json.parseObject(Files.readString(out.resolve("metrics.json")));
  }

  @Test
  void everyMethodRunsOnAMixture() throws IOException {
    Path out = folder.resolve("run");
    String all = String.join(",", Methods.names());
    MainTest.Run run = distill(out, "toy:spiral", "--method=" + all);
    assertEquals(0, run.status(), run.err());
    Map<String, Object> metrics = metrics(out);
    Map<String, Object> floor = Json.object(metrics.get("floor"), "floor");
    assertTrue(((Number) floor.get("within_mode_w2")).doubleValue() > 0);
    Set<Object> found = new HashSet<>();
    for (Object each : Json.list(metrics.get("students"), "students")) {
      Map<String, Object> student = Json.object(each, "student");
      found.add(student.get("method"));
      for (String key :
          List.of("nfe", "within_mode_w2", "within_mode_ratio", "mass_error", "outliers")) {
        assertTrue(student.get(key) instanceof Number, key + " of " + student);
      }
    }
    assertEquals(new HashSet<Object>(Methods.names()), found);
    for (String method : Methods.names()) {
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
    assertTrue(distill(out, "toy:ring", "--method=pd", "--set=x=1").err().contains("\"x\"; known"));
    MainTest.Run list = distill(folder.resolve("none"), "toy:ring", "--method=pd", "--settings");
    assertEquals(0, list.status(), list.err());
    assertTrue(list.out().contains("  stepsPerStage="), list.out());
    assertEquals(0, folder.resolve("none").toFile().list().length);
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
