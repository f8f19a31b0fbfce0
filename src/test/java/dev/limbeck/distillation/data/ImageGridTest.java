package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageGridTest {
  @TempDir Path folder;

  private static int[] samples(byte[] png) throws IOException {
    BufferedImage image = ImageIO.read(new ByteArrayInputStream(png));
    return image.getRaster().getPixels(0, 0, image.getWidth(), image.getHeight(), (int[]) null);
  }

  @Test
  void anotherReaderSeesTheSamePixels() throws IOException {
    Random random = new Random(1);
    for (int channels : new int[] {1, 3}) {
      byte[] pixels = new byte[5 * 7 * channels];
      random.nextBytes(pixels);
      int[] expected = new int[pixels.length];
      for (int i = 0; i < pixels.length; i++) {
        expected[i] = pixels[i] & 0xff;
      }
      assertArrayEquals(expected, samples(Png.encode(pixels, 5, 7, channels)));
    }
  }

  @Test
  void tilesStandInRowsBehindTheirLabels() throws IOException {
    Path file = folder.resolve("new/grid.png");
    ImageGrid grid = ImageGrid.of(1, 1, 1).scale(2);
    grid.row("A", new float[] {1, -1}).row("", new float[] {0});
    grid.write(file);
    Picture picture = grid.picture();
    assertEquals(2 + 2 * 4, picture.height());
    // Eight pixels for the letter, a gap on either side of it, and the gap before the first tile.
    assertEquals(8 + 4 + 2 + 2 * 4, picture.width());
    int[] pixels = samples(Files.readAllBytes(file));
    assertEquals(255, pixels[2 * picture.width() + 14]);
    assertEquals(0, pixels[3 * picture.width() + 19]);
    assertEquals(128, pixels[6 * picture.width() + 15]);
  }

  @Test
  void aFailedWriteLeavesTheEarlierFile() throws IOException {
    Path file = folder.resolve("x.png");
    SafeFiles.write(file, "earlier");
    DataException e =
        assertThrows(
            DataException.class,
            () ->
                SafeFiles.write(
                    file,
                    out -> {
                      out.write(1);
                      throw new IOException("No space left on device");
                    }));
    assertEquals("cannot write " + file + ": No space left on device", e.getMessage());
    assertEquals("earlier", Files.readString(file));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(1, files.count());
    }
    Path inside = file.resolve("y.png");
    assertThrows(DataException.class, () -> SafeFiles.write(inside, "z"));
  }

  @Test
  void everyLetterOfTheFontIsDrawn() {
    for (char c = 'a'; c <= 'z'; c++) {
      int set = 0;
      for (int i = 0; i < 15; i++) {
        set += PixelFont.isSet(c, i % 3, i / 3) ? 1 : 0;
      }
      assertTrue(set >= 6, "letter " + c);
    }
  }
}
