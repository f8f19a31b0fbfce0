package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Latents and colours, from the teacher's training to edits. */
class LatentCommandsTest {
  @TempDir private Path folder;

  private static MainTest.Run run(String... line) {
    MainTest.Run run = MainTest.run(line);
    assertEquals(0, run.status(), run.err());
    return run;
  }

  private String[] distill(Path out, String... more) {
    List<String> line = new ArrayList<>(List.of("distill", "--device=cpu", "--batch=2"));
    line.addAll(List.of("--samples=20", "--steps=2", "--teacher-steps=2", "--train-teacher"));
    line.add("--out=" + out);
    line.addAll(List.of(more));
    return line.toArray(new String[0]);
  }

  private static Shape imageOf(Path file) {
    Model model = Model.load(file, Device.cpu());
    Shape image = model.image();
    model.network().close();
    return image;
  }

  /** Students, samples and edits follow a teacher into its latent space. */
  @Test
  void everythingFollowsTheTeacher() throws IOException {
    Path out = folder.resolve("run");
    run(distill(out, "--latent=2x3", "--method=lcm"));
    Path student = out.resolve("student-lcm.safetensors");
    assertEquals(Shape.of(16, 16, 1), imageOf(student));
    String checkpoint = "--checkpoint=" + student;
    String picture = "--out=" + folder.resolve("picture.png");
    assertTrue(
        run("sample", "--device=cpu", checkpoint, "--count=3", picture).out().contains("16×16×1"));
    run("evaluate", "--device=cpu", checkpoint, "--samples=20");
    String teacher = "--encoder=" + out.resolve("teacher.safetensors");
    for (String mode : List.of("--mode=vary", "--mode=inpaint", "--mode=transfer")) {
      String by = mode.equals("--mode=transfer") ? teacher : "--part=top";
      run("edit", "--device=cpu", checkpoint, mode, "--class=3", "--count=2", by, picture);
      assertTrue(ImageIO.read(folder.resolve("picture.png").toFile()).getHeight() >= 2 * 64);
    }
    // The teacher that comes with Limbeck knows pixels, no latents.
    String said =
        MainTest.sentence(
            2, "edit", "--device=cpu", checkpoint, "--mode=transfer", "--class=3", picture);
    assertTrue(said.contains("--encoder"), said);
    said = MainTest.sentence(2, "sample", checkpoint, "--threshold=clip", picture);
    assertTrue(said.contains("--threshold"), said);
  }

  @Test
  void whatFitsNoImagesIsRefused() {
    Path out = folder.resolve("none");
    for (String latent : List.of("3x1", "2x5", "2", "axb")) {
      String said = MainTest.sentence(2, "train", "--latent=" + latent, "--out=" + out);
      assertTrue(said.contains("--latent is \"" + latent + "\""), said);
    }
    String small =
        MainTest.sentence(2, "distill", "--train-teacher", "--latent=16x3", "--out=" + out);
    assertTrue(small.contains("multiple of 2"), small);
    String said = MainTest.sentence(2, "distill", "--latent=2x3", "--out=" + out);
    assertTrue(said.contains("--train-teacher"), said);
  }

  /** Images of three channels: networks, pictures and measures take them. */
  @Test
  void coloursAreKept() throws IOException {
    Path data = folder.resolve("colours.safetensors");
    try (CpuDevice device = CpuDevice.open(true, 1);
        Tensor images = Rng.of(1).uniform(device, Shape.of(40, 16, 16, 3))) {
      TensorFile.write(data, Map.of("images", images), Map.of());
    }
    Path out = folder.resolve("run");
    run(distill(out, "--data=" + data, "--method=pd"));
    assertEquals(Shape.of(16, 16, 3), imageOf(out.resolve("student-pd.safetensors")));
    Path latent = folder.resolve("latent");
    run(distill(latent, "--data=" + data, "--latent=4x6", "--method=pd"));
    assertEquals(Shape.of(16, 16, 3), imageOf(latent.resolve("student-pd.safetensors")));
  }
}
