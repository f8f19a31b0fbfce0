package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Conv2d.Algorithm;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import dev.limbeck.tensor.TensorFileWriter;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole networks against PyTorch's numbers: output, gradients of the input and of parameters. */
class GoldenTest {
  /** The goldens' own precision: float32 sums in another order. */
  private static final double DIRECT = 1e-5;

  /** Winograd's transforms lose up to three more bits. */
  private static final double WINOGRAD = 5e-5;

  @TempDir Path folder;

  static Path golden(String name) {
    try {
      return Path.of(GoldenTest.class.getResource("/golden/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  @AfterEach
  void chooseFreely() {
    dev.limbeck.kernels.op.Conv2d.force(Algorithm.AUTO);
  }

  private static void agrees(String name, boolean simd, Algorithm algorithm, double tolerance)
      throws TensorFileException {
    dev.limbeck.kernels.op.Conv2d.force(algorithm);
    try (CpuDevice device = CpuDevice.open(simd, 2)) {
      GoldenComparison c = GoldenComparison.of(golden(name + ".safetensors"), device);
      assertTrue(c.worst() < tolerance, c.toString());
      assertEquals(0, device.memory().liveBuffers());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"unet2d-attention", "unet2d-plain"})
  void directConvolutionsAgree(String name) throws TensorFileException {
    agrees(name, true, Algorithm.DIRECT, DIRECT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unet2d-attention", "unet2d-plain"})
  void scalarKernelsAgree(String name) throws TensorFileException {
    agrees(name, false, Algorithm.DIRECT, DIRECT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unet2d-attention", "unet2d-plain"})
  void winogradConvolutionsAgree(String name) throws TensorFileException {
    agrees(name, true, Algorithm.WINOGRAD, WINOGRAD);
  }

  @Test
  void aDifferenceIsFoundAndNamed() throws IOException {
    String victim = "grads.down_blocks.0.resnets.0.conv1.weight";
    Path changed = folder.resolve("changed.safetensors");
    try (TensorFile file = TensorFile.open(golden("unet2d-attention.safetensors"));
        CpuDevice device = CpuDevice.open(true, 2)) {
      TensorFileWriter writer = TensorFile.writer();
      for (String name : file.names()) {
        if (file.entry(name).type() == TensorFile.Type.I64) {
          writer.add(name, file.shape(name), file.longs(name));
          continue;
        }
        float[] values = file.floats(name);
        if (name.equals(victim)) {
          values[7] += 1f;
        }
        writer.add(name, file.shape(name), values);
      }
      writer.write(changed);
      assertThrows(TensorFileException.class, () -> GoldenComparison.of(changed, device));
      Files.copy(golden("unet2d-attention.json"), folder.resolve("changed.json"));
      GoldenComparison c = GoldenComparison.of(changed, device);
      assertEquals(victim.substring("grads.".length()), c.worstParameter());
      assertTrue(c.worstParameterError() > 1e-3 && c.outputError() < 1e-5, c.toString());
    }
  }

  @Test
  void aModelTravelsToDiffusersAndBack() throws IOException {
    Path config = folder.resolve("config.json");
    Path weights = folder.resolve("model.safetensors");
    try (TensorFile file = TensorFile.open(golden("unet2d-plain.safetensors"));
        CpuDevice device = CpuDevice.open(true, 2)) {
      UNetConfig read = UNetFiles.diffusersConfig(golden("unet2d-plain.json"));
      try (UNet net = UNetFiles.load(read, file, "weights.", device)) {
        net.toDiffusers(config, weights);
        try (UNet again = UNet.fromDiffusers(config, weights, device);
            TensorFile written = TensorFile.open(weights)) {
          assertEquals(net.config(), again.config());
          assertArrayEquals(
              file.floats("weights.mid_block.resnets.0.conv1.weight"),
              written.floats("mid_block.resnets.0.conv1.weight"));
          assertArrayEquals(
              file.floats("weights.mid_block.attentions.0.proj_attn.weight"),
              written.floats("mid_block.attentions.0.to_out.0.weight"));
          for (int i = 0; i < net.params().list().size(); i++) {
            assertArrayEquals(
                net.params().list().get(i).value().toFloats(),
                again.params().list().get(i).value().toFloats());
          }
        }
      }
      assertEquals(0, device.memory().liveBuffers());
    }
  }

  @Test
  void filesThatDoNotFitTheConfigurationAreRefusedByName() throws IOException {
    try (TensorFile file = TensorFile.open(golden("unet2d-plain.safetensors"));
        CpuDevice device = CpuDevice.open(true, 2)) {
      UNetConfig right = UNetFiles.diffusersConfig(golden("unet2d-plain.json"));
      for (UNetConfig wrong :
          new UNetConfig[] {
            right.withBlocksPerLevel(1),
            right.withBlocksPerLevel(3),
            right.withChannels(2, 1),
            right.withMiddleAttention(false),
            right.with(Map.of("groups", 7))
          }) {
        String message =
            assertThrows(
                    TensorFileException.class,
                    () -> UNetFiles.load(wrong, file, "weights.", device))
                .getMessage();
        assertTrue(message.contains("unet2d-plain.safetensors: "), message);
      }
      assertEquals(0, device.memory().liveBuffers());
    }
  }
}
