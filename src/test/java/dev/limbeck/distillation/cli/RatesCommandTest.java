package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Json;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RatesCommandTest {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... args) {
    return Main.run(
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        args);
  }

  @Test
  void writesPlotsNumbersAndATable(@TempDir Path folder) throws Exception {
    assertEquals(0, run("rates", "--quick", "--only", "V4", "--out", folder.toString()));
    assertTrue(out.toString(StandardCharsets.UTF_8).contains("slope"));
    assertTrue(Files.size(folder.resolve("V4.png")) > 1000);
    assertTrue(Files.readString(folder.resolve("rates.txt")).contains("theory 1"));
    var record = Json.parseObject(Files.readString(folder.resolve("rates.json")));
    assertEquals(1, ((List<?>) record.get("experiments")).size());
    // A second run of other experiments adds to the folder, one with another seed is refused.
    assertEquals(0, run("rates", "--quick", "--only", "V1", "--out", folder.toString()));
    record = Json.parseObject(Files.readString(folder.resolve("rates.json")));
    assertEquals(2, ((List<?>) record.get("experiments")).size());
    String kept = Files.readString(folder.resolve("rates.txt"));
    assertTrue(kept.contains("V1") && kept.contains("V4"), kept);
    assertEquals(1, run("rates", "--quick", "--seed=3", "--out", folder.toString()));
    assertTrue(err.toString(StandardCharsets.UTF_8).contains("seed 0, not 3"));
    assertEquals(kept, Files.readString(folder.resolve("rates.txt")));
  }

  @Test
  void unknownExperiments(@TempDir Path folder) {
    assertEquals(2, run("rates", "--only", "V7", "--out", folder.toString()));
    assertTrue(err.toString(StandardCharsets.UTF_8).contains("known are V1, V2"));
  }
}
