package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CompareCommandTest {
  @TempDir private Path folder;

  private MainTest.Run compare(String only) {
    return MainTest.run("compare", "--quick", "--device=cpu", "--out=" + folder, "--only=" + only);
  }

  private Map<String, Object> json() throws IOException {
    return Json.parseObject(Files.readString(folder.resolve("compare.json")));
  }

  private List<Object> cells() throws IOException {
    List<Object> names = new ArrayList<>();
    for (Object cell : Json.list(json().get("cells"), "cells")) {
      names.add(Json.object(cell, "cell").get("cell"));
    }
    return names;
  }

  private Path cell(String id) {
    return folder.resolve("cells").resolve(id);
  }

  @Test
  void cellsThatAreDoneAreNotRunAgain() throws IOException {
    MainTest.Run first = compare("^toy-ring/pd/");
    assertEquals(0, first.status(), first.err());
    assertEquals(List.of("toy-ring/pd/all/0"), cells());
    Path result = cell("toy-ring/pd/all/0").resolve("result.json");
    Object modified = Files.getLastModifiedTime(result);
    MainTest.Run second = compare("^toy-ring/(pd|dmd2)/");
    assertEquals(0, second.status(), second.err());
    assertEquals(modified, Files.getLastModifiedTime(result));
    assertEquals(List.of("toy-ring/pd/all/0", "toy-ring/dmd2/all/0"), cells());
    // Of its own choice dmd2 draws in one step; students of two and four are trained besides.
    List<Object> steps = new ArrayList<>();
    Path matched = cell("toy-ring/dmd2/all/0").resolve("result.json");
    for (Object row : Json.list(Json.parseObject(Files.readString(matched)).get("rows"), "rows")) {
      steps.add(((Number) Json.object(row, "row").get("steps")).intValue());
    }
    assertEquals(List.of(1, 2, 4), steps);
    String page = Files.readString(folder.resolve("compare.html"));
    assertTrue(page.contains("not judged: a quick run"), "the page has verdicts");
    assertTrue(page.contains("pd on mixtures"), "the page has claims");
    Files.writeString(result, Files.readString(result).replace("quick", "other"));
    String said =
        MainTest.sentence(
            1, "compare", "--quick", "--device=cpu", "--out=" + folder, "--only=dmd2/all");
    assertTrue(said.contains("other settings"), said);
  }

  @Test
  void aCellThatFailsDoesNotStopTheOthers() throws IOException {
    Path broken = cell("toy-ring/pd/all/0").resolve("checkpoint-pd.safetensors");
    Files.createDirectories(broken.getParent());
    Files.writeString(broken, "no checkpoint");
    MainTest.Run run = compare("^toy-ring/(pd|dmd2)/");
    assertEquals(1, run.status(), run.err());
    assertTrue(run.err().contains("toy-ring/pd/all/0 failed"), run.err());
    assertFalse(run.err().contains("\tat "), run.err());
    assertEquals(List.of("toy-ring/dmd2/all/0"), cells());
    Map<String, Object> failures = Json.object(json().get("failures"), "failures");
    assertEquals(List.of("toy-ring/pd/all/0"), List.copyOf(failures.keySet()));
    Files.delete(broken);
    MainTest.Run again = compare("^toy-ring/(pd|dmd2)/");
    assertEquals(0, again.status(), again.err());
    assertEquals(2, cells().size());
  }

  @Test
  void digitsAndTheirPicture() throws IOException {
    MainTest.Run run = compare("^mnist/(teacher|ct|diff-instruct)/|^rates|^mnist-guided/guided");
    assertEquals(0, run.status(), run.err());
    assertEquals(9, cells().size(), cells().toString());
    Map<String, Object> measured =
        Json.parseObject(Files.readString(cell("mnist/ct/2/0").resolve("result.json")));
    for (String key : List.of("nfe", "fd", "kid", "precision", "recall")) {
      assertTrue(measured.get(key) instanceof Number, key + " of " + measured);
    }
    assertTrue(Files.exists(cell("mnist/ct/2/0").resolve("student.safetensors")));
    // Trained for four levels, of which the generator takes as many as are asked for.
    Map<String, Object> four =
        Json.parseObject(Files.readString(cell("mnist/diff-instruct/4/0").resolve("result.json")));
    assertEquals(4, ((Number) four.get("nfe")).intValue());
    aRowOfEachStudentWithTheSameClassAndNoise();
  }

  /** Methods in their order, most steps first; columns have one class and one noise each. */
  private void aRowOfEachStudentWithTheSameClassAndNoise() throws IOException {
    Device cpu = Device.cpu();
    int[] labels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    Model teacher = Model.builtIn(cpu, Preset.quick());
    ImageGrid grid = ImageGrid.of(teacher.image()).scale(3);
    grid.row("teacher", drawn(teacher, labels));
    for (String method : List.of("ct", "diff-instruct")) {
      for (int steps : List.of(4, 2, 1)) {
        Path file = cell("mnist/" + method + "/" + steps + "/0").resolve("student.safetensors");
        grid.row(method + " " + steps, drawn(Model.load(file, cpu), labels));
      }
    }
    Path expected = folder.resolve("expected.png");
    grid.write(expected);
    assertArrayEquals(
        Files.readAllBytes(expected), Files.readAllBytes(folder.resolve("compare.png")));
  }

  private static float[] drawn(Model model, int[] labels) {
    return model
        .generation()
        .draw(Device.cpu(), 2, labels, done -> {})
        .images(Dataset.range(0, labels.length));
  }

  @Test
  void curvesGoOnFromTheirCheckpoint() throws IOException {
    String pair = "^mnist-curve/disback";
    assertEquals(0, compare(pair).status());
    Path cell = cell("mnist-curve/disback+diff-instruct/1/0");
    String curve = Files.readString(cell.resolve("curve.json"));
    Files.delete(cell.resolve("result.json"));
    MainTest.Run again = compare(pair);
    assertEquals(0, again.status(), again.err());
    assertEquals(curve, Files.readString(cell.resolve("curve.json")));
  }

  @Test
  void whatMakesNoSenseIsSaid() {
    String nothing = MainTest.sentence(2, "compare", "--only=nonsense");
    assertTrue(nothing.contains("found in no cell"), nothing);
    String expression = MainTest.sentence(2, "compare", "--only=(");
    assertTrue(expression.contains("no regular expression"), expression);
    MainTest.Run list = MainTest.run("compare", "--list", "--only=^mnist/pd/");
    assertEquals(0, list.status());
    assertTrue(list.out().contains("mnist/pd/4/2"), list.out());
    assertFalse(list.out().contains("toy"), list.out());
  }
}
