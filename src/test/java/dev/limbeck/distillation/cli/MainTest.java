package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.tensor.TensorFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The program as a whole: exit status, and one sentence for whatever is wrong. */
class MainTest {
  @TempDir private Path folder;

  /** What one run left behind. */
  record Run(int status, String out, String err) {}

  static Run run(String... args) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int status =
        Main.run(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            args);
    return new Run(
        status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
  }

  static String sentence(int status, String... args) {
    Run run = run(args);
    assertEquals(status, run.status(), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
    assertTrue(run.err().startsWith("limbeck"), run.err());
    assertTrue(!run.err().contains("internal error"), run.err());
    assertTrue(!run.err().contains("\tat "), run.err());
    return run.err().strip();
  }

  @Test
  void helpNamesEveryCommand() {
    Run run = run("--help");
    assertEquals(0, run.status());
    assertTrue(run.out().contains("info"), run.out());
  }

  @Test
  void infoNamesTheDevices() {
    Run run = run("info");
    assertEquals(0, run.status(), run.err());
    assertTrue(run.out().contains("cpu "), run.out());
    assertTrue(run.out().contains(System.getProperty("java.vm.version")), run.out());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "no-such-command",
        "info --no-such-option",
        "info --threads 0",
        "info --threads x"
      })
  void aWrongCommandLineIsRefused(String line) {
    String said = sentence(2, line.isEmpty() ? new String[0] : line.split(" "));
    assertTrue(said.endsWith("--help"), said);
  }

  @Test
  void aMissingFileIsNamed() {
    String file = folder.resolve("missing.safetensors").toString();
    assertTrue(sentence(1, "info", file).contains(file));
  }

  @Test
  void aTruncatedCheckpointIsNamed() throws IOException {
    Path file = folder.resolve("short.safetensors");
    Files.write(file, new byte[] {8, 0, 0, 0, 0, 0, 0, 0, '{'});
    assertTrue(sentence(1, "info", file.toString()).contains("short.safetensors"));
  }

  @Test
  void aGoldenFileIsMatched() {
    Run run = run("compare-golden", "--device", "cpu", golden().toString());
    assertEquals(0, run.status(), run.err());
    assertTrue(run.out().contains("input gradient"), run.out());
  }

  @Test
  void aGoldenFileThatSaysOtherwiseIsNot() throws IOException {
    Path changed = folder.resolve("changed.safetensors");
    byte[] bytes = Files.readAllBytes(golden());
    try (TensorFile file = TensorFile.open(golden())) {
      // The exponent's low bit and the mantissa's high bits of the first output.
      bytes[(int) file.entry("io.output").from() + 2] ^= 0x70;
    }
    Files.write(changed, bytes);
    Run run = run("compare-golden", "--device", "cpu", changed.toString());
    assertEquals(1, run.status(), run.out());
    assertTrue(run.err().contains("changed.safetensors"), run.err());
  }

  private static Path golden() {
    return Path.of(
        System.getProperty("limbeck.root"), "src/test/resources/golden/unet2d-plain.safetensors");
  }
}
