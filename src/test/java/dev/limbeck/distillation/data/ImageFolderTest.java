package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageFolderTest {
  @TempDir Path folder;

  private Path grey(String name, int height, int width, int value) throws IOException {
    byte[] pixels = new byte[height * width];
    Arrays.fill(pixels, (byte) value);
    Path file = folder.resolve(name);
    SafeFiles.write(file, Png.encode(pixels, height, width, 1));
    return file;
  }

  @Test
  void subFoldersAreClassesAndGreyStaysAsItIsStored() throws IOException {
    grey("cats/a.png", 2, 3, 100);
    grey("cats/b.png", 2, 3, 7);
    grey("dogs/c.PNG", 2, 3, 200);
    Files.writeString(folder.resolve("cats/notes.txt"), "no image");
    Dataset data = Datasets.open(folder.toString());
    assertEquals(folder + " 3×2×3×1, 2 classes", data.toString());
    assertEquals(100 / 127.5f - 1, data.images(0)[0]);
    assertEquals(200 / 127.5f - 1, data.images(2)[5]);
    assertArrayEquals(new int[] {0, 0, 1}, new int[] {data.label(0), data.label(1), data.label(2)});
  }

  @Test
  void colourTransparencyPaletteAndJpegAreRead() throws IOException {
    BufferedImage image = new BufferedImage(2, 1, BufferedImage.TYPE_INT_ARGB);
    image.setRGB(0, 0, 0xff102030);
    image.setRGB(1, 0, 0x80ff00ff);
    ImageIO.write(image, "png", folder.resolve("a.png").toFile());
    BufferedImage palette = new BufferedImage(2, 1, BufferedImage.TYPE_BYTE_INDEXED);
    palette.setRGB(0, 0, 0xffff0000);
    ImageIO.write(palette, "png", folder.resolve("b.png").toFile());
    BufferedImage jpeg = new BufferedImage(2, 1, BufferedImage.TYPE_INT_RGB);
    ImageIO.write(jpeg, "jpg", folder.resolve("c.jpeg").toFile());
    Dataset data = Datasets.open(folder.toString());
    assertEquals("3×1×2×3,", data.toString().split(" ")[1]);
    assertEquals(0, data.classes());
    int[] first = new int[6];
    for (int i = 0; i < 6; i++) {
      first[i] = Dataset.toByte(data.images(0)[i]) & 0xff;
    }
    assertArrayEquals(new int[] {0x10, 0x20, 0x30, 0x80, 0, 0x80}, first);
    assertArrayEquals(
        new float[] {1, -1, -1}, Arrays.copyOf(data.images(1), 3), "red of the palette");
  }

  @Test
  void everyBadImageIsToldInOneSentence() throws IOException {
    grey("a.png", 2, 2, 1);
    Path other = grey("b.png", 2, 3, 1);
    says("b.png is 2×3");
    Files.write(other, Arrays.copyOf(Files.readAllBytes(other), 40));
    says("b.png");
    Files.writeString(other, "hello");
    says("no PNG or JPEG");
  }

  private void says(String words) {
    DataException e = assertThrows(DataException.class, () -> Datasets.open(folder.toString()));
    assertTrue(e.getMessage().contains(words), e.getMessage());
  }

  @Test
  void cifarBatchesAreRecordsOfPlanes() throws IOException {
    byte[] records = new byte[2 * 3073];
    records[0] = 9;
    records[1] = (byte) 255;
    records[1 + 1024] = 51;
    records[3073 + 1] = 10;
    Files.write(folder.resolve("data_batch_1.bin"), records);
    Files.write(folder.resolve("test_batch.bin"), Arrays.copyOf(records, 3073));
    Dataset train = Datasets.open(folder.toString());
    assertEquals("2×32×32×3,", train.toString().split(" ")[1]);
    assertEquals(9, train.label(0));
    assertEquals(10, train.classes());
    assertArrayEquals(new float[] {1, -0.6f, -1}, Arrays.copyOf(train.images(0), 3), 1e-6f);
    assertEquals(1, Datasets.open(folder.toString(), Split.TEST).count());
    Files.write(folder.resolve("data_batch_1.bin"), new byte[3072]);
    says("no whole number of CIFAR-10 records");
    records[0] = 10;
    Files.write(folder.resolve("data_batch_1.bin"), records);
    says("label 10");
  }
}
