package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.EdmTraining;
import dev.limbeck.distillation.Methods;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Command lines and files that make no sense, and what is said of them. */
class BadInputTest {
  @TempDir private Path folder;

  private String refused(int status, String line) {
    List<String> words = new ArrayList<>(Arrays.asList(line.split(" ")));
    words.add("--out=" + folder.resolve("out"));
    return MainTest.sentence(status, words.toArray(new String[0]));
  }

  @ParameterizedTest
  @CsvSource({
    "distill --steps 0, --steps is 0; at least 1",
    "distill --batch -4, --batch is -4; at least 1",
    "distill --samples 1, --samples is 1; at least 2",
    "distill --data toy:ring --teacher-steps -2, --teacher-steps is -2",
    "distill --guidance -1, --guidance is -1.0; at least 0",
    "distill --preset huge, quick and full",
    "'distill --method pd,pd', names pd twice",
    "distill --method ddil+ct, it fits pd",
    "distill --method ct --guidance 3, learns from data alone",
    "distill --data toy:ring --method lcm --guidance 9, of which 9.0 is none",
    "distill --data toy:ring --train-teacher, leave out --train-teacher",
    "train --steps -5, --steps is -5",
    "train-encoder --steps 0, --steps is 0"
  })
  void senselessCommandLines(String line, String expected) {
    String said = refused(2, line);
    assertTrue(said.contains(expected), said);
  }

  /** One line for each method, below the sentence. */
  @Test
  void anUnknownMethodListsTheKnownOnes() {
    MainTest.Run run = MainTest.run("distill", "--method=pdd", "--out=" + folder.resolve("out"));
    assertEquals(2, run.status());
    List<String> lines = run.err().lines().toList();
    assertTrue(lines.get(0).contains("no method \"pdd\""), lines.get(0));
    for (String name : Methods.names()) {
      assertTrue(lines.stream().anyMatch(each -> each.startsWith("  " + name + " ")), name);
    }
    assertFalse(run.err().contains("internal error"), run.err());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[1] | [[1,2]] | [[[0,0],[0,0]]] | [0] | all its points are one",
        "[1e308,1e308] | [[0],[1]] | [[[1]],[[1]]] | [0,0] | sum of the weights",
        "[1] | [[1e200]] | [[[1]]] | [0] | numbers up to",
        "[1] | [[0]] | [[[1]]] | [2000000000] | from 0 to 9999"
      })
  void mixturesThatAreNone(String w, String m, String c, String l, String expected)
      throws IOException {
    Path file = folder.resolve("mixture.json");
    Files.writeString(
        file,
        String.format(
            "{\"weights\":%s,\"means\":%s,\"covariances\":%s,\"labels\":%s}", w, m, c, l));
    String said = refused(1, "distill --data toy:" + file);
    assertTrue(said.contains("mixture.json") && said.contains(expected), said);
  }

  /** A student that is told more than a teacher is, and weights that a failed training left. */
  @Test
  void checkpointsThatCannotTeach() {
    Path told = folder.resolve("told.safetensors");
    UNetConfig config = Preset.quick().network().withClasses(10);
    Device cpu = Device.cpu();
    Model.create(config.withGuidanceInput(true), 16, EdmTraining.SAMPLER, cpu, 0)
        .save(told, "test");
    assertTrue(refused(1, "distill --method pd --teacher " + told).contains("is a student"));
    Path broken = folder.resolve("broken.safetensors");
    Model model = Model.create(config, 16, EdmTraining.SAMPLER, cpu, 0);
    Tensor first = model.network().params().list().get(0).value();
    first.addInPlace(Float.NaN, first);
    model.save(broken, "test");
    assertTrue(refused(1, "sample --checkpoint " + broken).contains("NaN"));
  }
}
