package dev.limbeck.bench.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.kernels.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class BenchCommandTest {
  static List<String> networks() {
    return ShapeFile.NAMES;
  }

  @ParameterizedTest
  @MethodSource("networks")
  void everyShapeBelongsToAFamily(String network) throws ReflectiveOperationException {
    Map<String, List<String>> families = ShapeFile.of(network);
    assertFalse(families.isEmpty());
    for (Map.Entry<String, List<String>> family : families.entrySet()) {
      Class<?> bench = Class.forName("dev.limbeck.bench." + family.getKey() + "Bench");
      assertEquals(String.class, bench.getField("shape").getType());
      for (String shape : family.getValue()) {
        assertTrue(shape.matches("\\d+(x\\d+)*"), shape);
      }
    }
  }

  @Test
  void batchesAreFilledIn() {
    List<String> convolutions = ShapeFile.of("mnist").get("Conv2d");
    assertTrue(convolutions.contains("1x16x32x32x3x1"));
    assertTrue(convolutions.contains("64x16x32x32x3x1"));
  }

  @Test
  void unknownShapesNameTheKnown() {
    Exception e = assertThrows(DataException.class, () -> ShapeFile.of("../mnist"));
    assertTrue(e.getMessage().contains("imagenet64"), e.getMessage());
  }

  private static List<Map<String, Object>> rows() {
    Map<String, Object> compute = row(JmhRun.COMPUTE, 100.0, null);
    Map<String, Object> memory = row(JmhRun.MEMORY, null, 10.0);
    return List.of(memory, compute, row("MatMulBench.plain", 80.0, 1.0), row("A, b", 1.0, 8.0));
  }

  private static Map<String, Object> row(String name, Double flops, Double bytes) {
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", name);
    row.put(JmhRun.FLOPS, flops);
    row.put(JmhRun.BYTES, bytes);
    return row;
  }

  @Test
  void factsStandBeforeATableAndInEveryRowOfData() {
    Map<String, Object> facts = Map.of("commit", "abc");
    String md = Table.text(Table.Format.MD, facts, rows());
    assertTrue(md.startsWith("- commit: abc\n\n| name | gflop/s | GB/s |\n|---|---|---|\n"), md);
    String csv = Table.text(Table.Format.CSV, facts, rows());
    assertTrue(csv.startsWith("name,gflop/s,GB/s,commit\n"), csv);
    assertTrue(csv.endsWith("\n\"A, b\",1.0,8.0,abc\n"), csv);
    List<?> json = (List<?>) Json.parse(Table.text(Table.Format.JSON, facts, rows()));
    assertEquals(4, json.size());
    assertEquals("abc", ((Map<?, ?>) json.get(0)).get("commit"));
  }

  @Test
  void ownKernelsStandBesideTheLibrary() {
    List<Map<String, Object>> own = List.of(timed("MatMulBench.plain", 2.0));
    GpuRun.compare(own, List.of(timed("MatMulBench.plain", 1.5)), "of NVIDIA's library");
    assertEquals(75.0, own.get(0).get("% of NVIDIA's library"));
    List<Map<String, Object>> other = List.of(timed("Conv2dBench.forward", 1.5));
    assertThrows(IllegalStateException.class, () -> GpuRun.compare(own, other, ""));
  }

  @Test
  void whatFailsOnAGpuIsARowAmongTheOthers() {
    List<Map<String, Object>> rows =
        GpuRun.attempt(
            "MatMulBench",
            () -> {
              throw new IllegalStateException("no memory");
            });
    rows.addAll(GpuRun.attempt("Conv2dBench", () -> List.of(timed("Conv2dBench.forward", 2.0))));
    assertEquals("no memory", rows.get(0).get(GpuRun.FAILED));
    assertFalse(rows.get(1).containsKey(GpuRun.FAILED));
    List<?> json = (List<?>) Json.parse(Table.text(Table.Format.JSON, Map.of(), rows));
    assertEquals("no memory", ((Map<?, ?>) json.get(0)).get(GpuRun.FAILED));
    assertEquals(2.0, ((Map<?, ?>) json.get(1)).get("ms"));
  }

  private static Map<String, Object> timed(String name, double ms) {
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", name);
    row.put("shape", "1x2x3x4");
    row.put("ms", ms);
    return row;
  }

  @Test
  void rooflineIsAPictureAndAPage(@TempDir Path folder) throws Exception {
    Path out = folder.resolve("new");
    new Roofline(rows()).write(out, Map.of("commit", "abc"));
    assertTrue(ImageIO.read(out.resolve("roofline.png").toFile()).getWidth() >= 800);
    String page = Files.readString(out.resolve("roofline.html"));
    assertTrue(page.contains("data:image/png;base64,"));
    assertTrue(page.contains("100 gflop/s on registers alone, 10.0 GB/s in a copy"));
  }

  @Test
  void rooflineNeedsTheCeilings() {
    assertThrows(IllegalStateException.class, () -> new Roofline(List.of()));
  }
}
