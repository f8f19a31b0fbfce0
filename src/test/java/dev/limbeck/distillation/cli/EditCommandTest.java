package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.Architecture;
import dev.limbeck.distillation.Codec;
import dev.limbeck.distillation.GuidanceWeights;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EditCommandTest {
  @TempDir private Path folder;
  private Path student;
  private Path teacher;

  /** A student that is told a weight of guidance, and a teacher that is told none. */
  @BeforeEach
  void saveModels() {
    UNetConfig config = UNetConfig.toy(1).withClasses(10);
    teacher = folder.resolve("teacher.safetensors");
    Model model = Model.create(config, 8, Samplers.eulerOn(80, 1, 0), Device.cpu(), 0);
    model.save(teacher, "nothing");
    model.network().close();
    student = folder.resolve("student.safetensors");
    Architecture told = new Architecture.Images(config.withGuidanceInput(true), 8);
    Network network = told.create(Device.cpu(), Rng.of(1));
    // The projection of w and others start at 0 and would leave the answer blind to it.
    for (Parameter p : network.params().list()) {
      float[] noise = new float[p.value().size()];
      Rng.of(p.name().hashCode()).normal(noise);
      p.value().addInPlace(0.2f, Tensor.of(Device.cpu(), p.value().shape(), noise));
    }
    Samplers.Sampler sampler = Samplers.eulerOn(80, 5, 1, .3, 0);
    GuidanceWeights learnt = new GuidanceWeights(0, 4);
    new Model(told, sampler, new Preconditioning.Edm(), 0, learnt, Codec.IDENTITY, network)
        .save(student, "nothing");
    network.params().close();
  }

  private List<String> edit(Path out, String... more) {
    List<String> line = new ArrayList<>(List.of("edit", "--device=cpu"));
    line.addAll(List.of("--checkpoint=" + student, "--out=" + out));
    line.addAll(List.of(more));
    return line;
  }

  private BufferedImage edited(String... more) throws IOException {
    Path out = folder.resolve("edited.png");
    List<String> line = edit(out, more);
    line.add("--count=3");
    MainTest.Run run = MainTest.run(line.toArray(new String[0]));
    assertEquals(0, run.status(), run.err());
    assertTrue(run.out().contains("3 images"), run.out());
    return ImageIO.read(out.toFile());
  }

  private static int sum(BufferedImage image) {
    int sum = 0;
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        sum = 31 * sum + image.getRGB(x, y);
      }
    }
    return sum;
  }

  /** Two rows before and after, three where something is masked. */
  @Test
  void everyModeShowsBeforeAndAfter() throws IOException {
    int height = edited("--mode=vary").getHeight();
    assertTrue(height >= 2 * 64, "height " + height);
    assertEquals(height, edited("--mode=vary", "--level=3", "--class=4").getHeight());
    assertTrue(edited("--mode=inpaint", "--part=centre").getHeight() > height + 60);
    assertEquals(
        height, edited("--mode=transfer", "--class=7", "--encoder=" + teacher).getHeight());
  }

  @Test
  void classWeightAndPartAreHeeded() throws IOException {
    // The three digits that are spread over MNIST are sevens.
    int plain = sum(edited("--mode=inpaint"));
    for (String other : List.of("--guidance-weight=3", "--class=4", "--part=top", "--seed=1")) {
      assertNotEquals(plain, sum(edited("--mode=inpaint", other)), other);
    }
  }

  private void refused(String expected, String... more) {
    Path out = folder.resolve("none.png");
    String said = MainTest.sentence(2, edit(out, more).toArray(new String[0]));
    assertTrue(said.contains(expected), said);
    assertTrue(Files.notExists(out));
  }

  @Test
  void whatCannotBeIsRefused() {
    refused("--mode");
    refused("--class N", "--mode=transfer");
    refused("0 to 9", "--mode=vary", "--class=10");
    refused("levels 0 to 3", "--mode=vary", "--level=4");
    refused("at least 1", "--mode=vary", "--count=0");
    refused("--guidance-weight 2.0", "--mode=vary", "--guidance=3");
    refused("from 0.0 to 4.0", "--mode=vary", "--guidance-weight=5");
    String said =
        MainTest.sentence(
            2,
            "sample",
            "--device=cpu",
            "--checkpoint=" + teacher,
            "--guidance-weight=1",
            "--out=" + folder.resolve("none.png"));
    assertTrue(said.contains("told none"), said);
  }

  /** An encoder of a few steps, and a transfer with it. */
  @Test
  void aTrainedEncoderTransfers() throws IOException {
    Path out = folder.resolve("encoder");
    MainTest.Run run =
        MainTest.run("train-encoder", "--device=cpu", "--batch=2", "--steps=2", "--out=" + out);
    assertEquals(0, run.status(), run.err());
    Path encoder = out.resolve("encoder.safetensors");
    Path picture = folder.resolve("transfer.png");
    Path pixels = folder.resolve("pixels.safetensors");
    Model model = Model.builtIn(Device.cpu(), Preset.quick());
    model.save(pixels, "a copy");
    model.network().close();
    run =
        MainTest.run(
            "edit",
            "--device=cpu",
            "--checkpoint=" + pixels,
            "--encoder=" + encoder,
            "--mode=transfer",
            "--class=3",
            "--count=2",
            "--out=" + picture);
    assertEquals(0, run.status(), run.err());
    assertTrue(ImageIO.read(picture.toFile()).getHeight() >= 2 * 64);
    String said = MainTest.sentence(2, "sample", "--checkpoint=" + encoder, "--out=" + picture);
    assertTrue(said.contains("is an encoder"), said);
    said = MainTest.sentence(1, "train-encoder", "--preset=full", "--out=" + out);
    assertTrue(said.contains("teacher"), said);
    said =
        MainTest.sentence(
            1, "train-encoder", "--preset=full", "--teacher=" + pixels, "--out=" + out);
    assertTrue(said.contains("16×16×1, the run is set to 32×32×1"), said);
  }
}
