package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.io.TempDir;

class SampleFormatTest {
  @TempDir private Path folder;

  /** Three images, each of one grey. */
  private static Tensor greys(Device device) {
    Shape shape = Shape.of(3, 4, 5, 1);
    float[] values = new float[shape.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = i / 20 - 1;
    }
    return Tensor.of(device, shape, values);
  }

  @DeviceTest
  void aPngShowsAllImages(Device device) throws IOException {
    Path file = folder.resolve("grid.png");
    SampleFormat.PNG.write(greys(device), file);
    int sides = Math.round(64f / 4);
    assertTrue(ImageIO.read(file.toFile()).getWidth() > 2 * 5 * sides);
  }

  @DeviceTest
  void filesAreOnePngEach(Device device) throws IOException {
    Path to = folder.resolve("files");
    SampleFormat.FILES.write(greys(device), to);
    try (Stream<Path> files = Files.list(to)) {
      List<String> names =
          files.map(f -> f.getFileName().toString()).sorted().collect(Collectors.toList());
      assertEquals(List.of("000000.png", "000001.png", "000002.png"), names);
    }
    assertEquals(0xffffffff, ImageIO.read(to.resolve("000002.png").toFile()).getRGB(0, 0));
  }

  @DeviceTest
  void anArrayFileHoldsTheNumbers(Device device) throws IOException {
    Path file = folder.resolve("a.npy");
    Tensor images = greys(device);
    SampleFormat.NPY.write(images, file);
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int header = bytes.getShort(8);
    assertEquals(0, (10 + header) % 64);
    String text = new String(bytes.array(), 10, header, StandardCharsets.US_ASCII);
    assertTrue(text.contains("'shape': (3, 4, 5, 1") && text.endsWith("\n"), text);
    float[] values = new float[images.size()];
    bytes.position(10 + header);
    bytes.asFloatBuffer().get(values);
    assertArrayEquals(images.toFloats(), values);
    assertEquals(10 + header + 4 * values.length, bytes.capacity());
  }

  @DeviceTest
  void aTensorFileHoldsTheNumbers(Device device) throws IOException {
    Path file = folder.resolve("a.safetensors");
    Tensor images = greys(device);
    SampleFormat.SAFETENSORS.write(images, file);
    try (TensorFile read = TensorFile.open(file)) {
      assertEquals(images.shape(), read.shape("images"));
      assertArrayEquals(images.toFloats(), read.floats("images"));
    }
  }
}
