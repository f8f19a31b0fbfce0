package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SampleCommandTest {
  @TempDir private Path folder;
  private Path checkpoint;

  @BeforeEach
  void saveAModel() {
    checkpoint = folder.resolve("model.safetensors");
    Model model =
        Model.create(
            UNetConfig.toy(1).withClasses(10), 8, Samplers.eulerOn(80, 1, 0), Device.cpu(), 0);
    model.save(checkpoint, "nothing");
    model.network().close();
  }

  private float[] drawn(String... options) throws IOException {
    Path to = folder.resolve("out.safetensors");
    String[] common = {
      "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--format=safetensors", "--out=" + to
    };
    String[] all = Arrays.copyOf(common, common.length + options.length);
    System.arraycopy(options, 0, all, common.length, options.length);
    MainTest.Run run = MainTest.run(all);
    assertEquals(0, run.status(), run.err());
    try (TensorFile file = TensorFile.open(to)) {
      assertEquals(Shape.of(8, 8, 1), file.shape("images").without(0));
      return file.floats("images");
    }
  }

  @Test
  void theFirstImagesDoNotDependOnTheirNumber() throws IOException {
    float[] five = drawn("--count=5");
    assertArrayEquals(Arrays.copyOf(five, 3 * 64), drawn("--count=3"));
    assertFalse(Arrays.equals(five, drawn("--count=5", "--seed=1")));
  }

  @Test
  void samplerStepsClassAndGuidanceAreHeeded() throws IOException {
    float[] own = drawn("--count=2");
    for (String other :
        new String[] {"--sampler=heun", "--steps=4", "--guidance=3", "--class=7", "--steps=1"}) {
      assertFalse(Arrays.equals(own, drawn("--count=2", other)), other);
    }
    assertEquals(2 * 64, drawn("--count=2", "--sampler=renoising", "--steps=1").length);
  }

  /** The toy answers 0 at first: what differs is the noise, which is scaled in F32. */
  @Test
  void imagesInBf16AreNearlyTheSame() throws IOException {
    float[] exact = drawn("--count=2", "--precision=f32");
    assertArrayEquals(exact, drawn("--count=2"));
    assertArrayEquals(exact, drawn("--count=2", "--precision=bf16"), 0.02f);
  }

  @Test
  void tunedSamplersGridsAndThresholdsAreHeeded() throws IOException {
    float[] usual = drawn("--count=2", "--sampler=ddim", "--steps=3");
    for (String other : new String[] {"ddim:eta=0.5", "DPMPP-2M-SDE:solver=heun"}) {
      assertFalse(
          Arrays.equals(usual, drawn("--count=2", "--sampler=" + other, "--steps=3")), other);
    }
    for (String other :
        new String[] {
          "--grid=exponential", "--grid=lcm", "--sigma-max=40", "--sigma-min=0.5",
        }) {
      assertFalse(
          Arrays.equals(usual, drawn("--count=2", "--sampler=ddim", "--steps=3", other)), other);
    }
    float[] clipped = drawn("--count=2", "--sampler=ddim", "--steps=3", "--threshold=clip");
    assertEquals(usual.length, clipped.length);
  }

  @Test
  void theSamplersAreListedALineEach() {
    for (String[] line :
        new String[][] {{"sample", "--sampler", "list"}, {"evaluate", "--sampler=list"}}) {
      MainTest.Run run = MainTest.run(line);
      assertEquals(0, run.status(), run.err());
      assertEquals(Samplers.Method.values().length, run.out().lines().count());
      for (Samplers.Method method : Samplers.Method.values()) {
        assertTrue(run.out().contains(method.text() + " "), method.text());
        assertTrue(run.out().contains(method.summary()), method.text());
      }
    }
    String said =
        MainTest.sentence(
            2, "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--sampler=magic");
    assertTrue(said.contains("magic") && said.contains("dpmpp_2m_sde"), said);
    said =
        MainTest.sentence(
            2, "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--sampler=ddim:eta=3");
    assertTrue(said.contains("between 0.0 and 1.0"), said);
    said =
        MainTest.sentence(
            2, "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--grid=magic");
    assertTrue(said.contains("polyexponential"), said);
    said =
        MainTest.sentence(
            2, "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--grid=lcm", "--steps=99");
    assertTrue(said.contains("at most 50"), said);
  }

  @Test
  void whatCannotBeIsRefused() {
    for (String wrong :
        new String[] {
          "--class=10",
          "--count=0",
          "--steps=0",
          "--precision=f64",
          "--format=gif",
          "--sampler=magic"
        }) {
      MainTest.sentence(2, "sample", "--device=cpu", "--checkpoint=" + checkpoint, wrong);
    }
  }

  @Test
  void anEarlierResultSurvivesAFailure() throws IOException {
    Path to = folder.resolve("kept.png");
    Files.writeString(to, "kept");
    Files.write(checkpoint, Arrays.copyOf(Files.readAllBytes(checkpoint), 5000));
    String said =
        MainTest.sentence(1, "sample", "--device=cpu", "--checkpoint=" + checkpoint, "--out=" + to);
    assertTrue(said.contains("model.safetensors"), said);
    assertEquals("kept", Files.readString(to));
  }
}
