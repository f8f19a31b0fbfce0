package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The main job from end to end, as short as can be, and what may happen to it. */
class DistillCommandTest {
  /** Checkpoints come every 200 steps: long enough for some. */
  private static final String STEPS = "250";

  @TempDir private Path folder;

  private static List<String> distill(Path out, String... more) {
    List<String> line = new ArrayList<>(List.of("distill", "--device=cpu", "--batch=2"));
    line.addAll(List.of("--samples=20", "--out=" + out));
    line.addAll(List.of(more));
    return line;
  }

  private static String[] words(List<String> line) {
    return line.toArray(new String[0]);
  }

  /** A process of its own, for what ends a process. */
  private Process start(List<String> line, String shell) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()) {
      command.add("--add-modules=jdk.incubator.vector");
    }
    command.add("-Dlimbeck.threads=1");
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(line);
    List<String> all = new ArrayList<>();
    if (shell != null) {
      all.addAll(List.of("bash", "-c", shell + " exec \"$0\" \"$@\""));
    }
    all.addAll(command);
    return new ProcessBuilder(all)
        .redirectOutput(folder.resolve("said.txt").toFile())
        .redirectErrorStream(true)
        .start();
  }

  private String said() throws IOException {
    return Files.readString(folder.resolve("said.txt"), StandardCharsets.UTF_8);
  }

  private static String hash(Path out, String method) {
    Model model = Model.load(out.resolve("student-" + method + ".safetensors"), Device.cpu());
    String hash = model.hash();
    model.network().close();
    return hash;
  }

  @Test
  void everythingIsWritten() throws IOException {
    Path out = folder.resolve("run");
    MainTest.Run run = MainTest.run(words(distill(out, "--steps=3")));
    assertEquals(0, run.status(), run.err());
    Map<String, Object> metrics = Json.parseObject(Files.readString(out.resolve("metrics.json")));
    for (String key : List.of("device", "seed", "data", "teacher", "students", "wall_seconds")) {
      assertTrue(metrics.containsKey(key), key);
    }
    assertEquals(2, ((List<?>) metrics.get("students")).size());
    // Rows: real, teacher, pd, dmd2; three pixels for each of the 16 of an image.
    assertTrue(ImageIO.read(out.resolve("samples.png").toFile()).getHeight() >= 4 * 48);
    assertTrue(Files.readString(out.resolve("report.html")).contains("</html>"));
    try (Stream<Path> files = Files.list(out)) {
      assertTrue(files.anyMatch(f -> f.getFileName().toString().contains("tfevents")));
    }
  }

  /** Stopped by kill −9 at several moments and started again each time: the same bits. */
  @Test
  void killedRunsAreContinued() throws Exception {
    Path whole = folder.resolve("whole");
    Path cut = folder.resolve("cut");
    MainTest.Run run = MainTest.run(words(distill(whole, "--steps=" + STEPS)));
    assertEquals(0, run.status(), run.err());
    for (String until : List.of("checkpoint-pd.safetensors", "checkpoint-dmd2.safetensors")) {
      Process process = start(distill(cut, "--steps=" + STEPS), null);
      while (process.isAlive() && !Files.exists(cut.resolve(until))) {
        Thread.sleep(5);
      }
      assertTrue(process.isAlive(), () -> "ended before it could be killed");
      process.destroyForcibly().waitFor();
    }
    assertFalse(Files.exists(cut.resolve("metrics.json")));
    MainTest.Run again = MainTest.run(words(distill(cut, "--steps=" + STEPS)));
    assertEquals(0, again.status(), again.err());
    for (String method : List.of("pd", "dmd2")) {
      assertEquals(hash(whole, method), hash(cut, method), method);
    }
  }

  @Test
  void aRunIsNotContinuedFromAnotherTeacherOrGuidance() {
    Path out = folder.resolve("run");
    assertEquals(0, MainTest.run(words(distill(out, "--steps=2", "--method=pd"))).status());
    String kept = hash(out, "pd");
    List<String> guided = distill(out, "--steps=2", "--method=pd", "--guidance=2");
    String refused = MainTest.sentence(1, words(guided));
    assertTrue(refused.contains("another run"), refused);
    Path other = out.resolve("student-pd.safetensors");
    List<String> taught = distill(out, "--steps=2", "--method=pd", "--teacher=" + other);
    assertTrue(MainTest.sentence(1, words(taught)).contains("another teacher"));
    assertEquals(kept, hash(out, "pd"));
  }

  /** A method more in the same folder: the report has both; what belongs to others is refused. */
  @Test
  void earlierStudentsAreKept() throws IOException {
    Path out = folder.resolve("run");
    assertEquals(0, MainTest.run(words(distill(out, "--steps=2", "--method=pd"))).status());
    String pd = metrics(out, "pd");
    List<?> nodes = Json.list(Json.parseObject(pd).get("covariate_shift"), "nodes");
    assertEquals(3, nodes.size());
    assertEquals(0, MainTest.run(words(distill(out, "--steps=2", "--method=dmd2"))).status());
    assertEquals(pd, metrics(out, "pd"));
    assertTrue(metrics(out, "dmd2").contains("fd"));
    String page = Files.readString(out.resolve("report.html"));
    for (Object each : nodes) {
      Map<String, Object> node = Json.object(each, "a node");
      assertNotEquals(node.get("before"), node.get("distance"));
      for (String key : List.of("before", "distance", "floor")) {
        String cell = String.format(Locale.ROOT, ">%.4f<", (Double) node.get(key));
        assertTrue(page.contains(cell), key + " of " + node);
      }
    }
    // Rows: real, teacher, pd, dmd2.
    assertTrue(ImageIO.read(out.resolve("samples.png").toFile()).getHeight() >= 4 * 48);
    String seed = MainTest.sentence(1, words(distill(out, "--steps=2", "--seed=5")));
    assertTrue(seed.contains("seed 0, not 5"), seed);
    Path trained = folder.resolve("trained");
    MainTest.Run train =
        MainTest.run("train", "--device=cpu", "--batch=2", "--steps=1", "--out=" + trained);
    assertEquals(0, train.status(), train.err());
    byte[] teacher = Files.readAllBytes(trained.resolve("teacher.safetensors"));
    String other = MainTest.sentence(1, words(distill(trained, "--steps=2")));
    assertTrue(other.contains("another teacher"), other);
    assertTrue(Arrays.equals(teacher, Files.readAllBytes(trained.resolve("teacher.safetensors"))));
  }

  /** What the metrics say of a method, without times. */
  private static String metrics(Path out, String method) throws IOException {
    Map<String, Object> metrics = Json.parseObject(Files.readString(out.resolve("metrics.json")));
    for (Object each : Json.list(metrics.get("students"), "students")) {
      Map<String, Object> student = Json.object(each, "a student");
      if (method.equals(student.get("method"))) {
        student.remove("seconds_per_image");
        return Json.write(student);
      }
    }
    throw new AssertionError("no " + method + " in " + metrics);
  }

  /** Images of some of the teacher's classes alone. */
  @Test
  void classesWithoutImagesStayBlank() throws IOException {
    Path data = folder.resolve("three.safetensors");
    try (CpuDevice device = CpuDevice.open(true, 1);
        Tensor images = Rng.of(1).uniform(device, Shape.of(30, 16, 16, 1));
        Tensor labels = Tensor.of(device, Shape.of(30), new int[30])) {
      TensorFile.write(data, Map.of("images", images, "labels", labels), Map.of());
    }
    Path out = folder.resolve("run");
    MainTest.Run run =
        MainTest.run(words(distill(out, "--steps=2", "--method=dmd2", "--data=" + data)));
    assertEquals(0, run.status(), run.err());
    // The first row: class 0 has images of noise, class 1 has none and its place is black.
    BufferedImage picture = ImageIO.read(out.resolve("samples.png").toFile());
    int left = picture.getWidth() - 20 * 50;
    assertTrue(brightness(picture, left) > 20);
    assertEquals(0, brightness(picture, left + 50), 1e-9);
  }

  /** The mean of the green of 38 pixels each way in the first row of images. */
  private static double brightness(BufferedImage picture, int left) {
    double sum = 0;
    for (int y = 6; y < 44; y++) {
      for (int x = 4; x < 42; x++) {
        sum += (picture.getRGB(left + x, y) >> 8 & 255) / 1444.0;
      }
    }
    return sum;
  }

  /** A run that ended before it had results does not claim its folder. */
  @Test
  void aFolderWithoutResultsIsFree() throws IOException {
    Path out = folder.resolve("run");
    Files.createDirectories(out);
    Files.writeString(out.resolve("run.json"), "{\"seed\": 7}");
    assertEquals(0, MainTest.run(words(distill(out, "--steps=2", "--method=pd"))).status());
    // Results of which nothing is known belong to nobody.
    Files.delete(out.resolve("run.json"));
    String said = MainTest.sentence(1, words(distill(out, "--steps=2", "--method=pd")));
    assertTrue(said.contains("not known"), said);
  }

  @Test
  void aFolderThatCannotBeMadeIsNamed() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    String said = MainTest.sentence(1, words(distill(file.resolve("run"), "--steps=1")));
    assertTrue(said.contains(file.resolve("run").toString()), said);
  }

  /** A limit on the size of files stands for a disk that is full. */
  @Test
  @EnabledOnOs({OS.LINUX, OS.MAC})
  void aFullDiskIsOneSentenceAndCostsNoResult() throws Exception {
    Path out = folder.resolve("run");
    assertEquals(0, MainTest.run(words(distill(out, "--steps=2", "--method=pd"))).status());
    byte[] kept = Files.readAllBytes(out.resolve("student-pd.safetensors"));
    String checkpoint = "--checkpoint=" + out.resolve("student-pd.safetensors");
    Path picture = out.resolve("samples.png");
    byte[] drawn = Files.readAllBytes(picture);
    Process sample =
        start(
            List.of("sample", "--device=cpu", checkpoint, "--count=1000", "--out=" + picture),
            "ulimit -f 100;");
    assertTrue(sample.waitFor(2, TimeUnit.MINUTES));
    assertEquals(1, sample.exitValue(), said());
    assertTrue(said().contains("samples.png") && !said().contains("\tat "), said());
    assertTrue(Arrays.equals(drawn, Files.readAllBytes(picture)));
    Path full = folder.resolve("full");
    Process train = start(distill(full, "--steps=2", "--method=pd"), "ulimit -f 2000;");
    assertTrue(train.waitFor(2, TimeUnit.MINUTES));
    assertEquals(1, train.exitValue(), said());
    assertTrue(said().contains("could not be written"), said());
    assertFalse(said().contains("\tat "), said());
    assertTrue(Arrays.equals(kept, Files.readAllBytes(out.resolve("student-pd.safetensors"))));
  }

  @Test
  void evaluatePrintsEveryMeasure() throws IOException {
    Path out = folder.resolve("run");
    assertEquals(0, MainTest.run(words(distill(out, "--steps=1", "--method=dmd2"))).status());
    Path model = out.resolve("student-dmd2.safetensors");
    MainTest.Run run =
        MainTest.run("evaluate", "--device=cpu", "--checkpoint=" + model, "--samples=30");
    assertEquals(0, run.status(), run.err());
    for (String measure :
        List.of("Fréchet distance", "kernel distance", "precision", "recall", "Wasserstein")) {
      assertTrue(run.out().contains(measure), run.out());
    }
    assertTrue(run.out().contains("30 samples"), run.out());
    MainTest.sentence(2, "evaluate", "--checkpoint=" + model, "--samples=1");
  }
}
