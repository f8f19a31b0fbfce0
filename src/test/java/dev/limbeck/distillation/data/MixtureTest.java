package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MixtureTest {
  private static final String THREE =
      "{\"weights\": [1, 3], \"means\": [[0, 1, 2], [3, 4, 6]], \"covariances\":"
          + " [[[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 1]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]],"
          + " \"labels\": [1, 0]}";

  @TempDir private Path folder;

  @Test
  void drawsHaveTheMomentsOfTheirComponents() {
    Mixture mixture = Mixture.parse(THREE);
    int n = 40_000;
    Mixture.Draw drawn = mixture.draw(Rng.of(3), n);
    double[] mean = new double[3];
    double[][] covariance = new double[3][3];
    double[] expected = {0, 1, 2};
    int count = 0;
    for (int i = 0; i < n; i++) {
      assertEquals(1 - drawn.components()[i], drawn.labels()[i]);
      if (drawn.components()[i] == 1) {
        // Without width: the mean itself.
        assertArrayEquals(
            new float[] {3, 4, 6},
            new float[] {
              drawn.points()[3 * i], drawn.points()[3 * i + 1], drawn.points()[3 * i + 2]
            });
        continue;
      }
      count++;
      for (int a = 0; a < 3; a++) {
        mean[a] += drawn.points()[3 * i + a];
        for (int b = 0; b < 3; b++) {
          covariance[a][b] +=
              (drawn.points()[3 * i + a] - expected[a]) * (drawn.points()[3 * i + b] - expected[b]);
        }
      }
    }
    // Of n·¼ points: five deviations of a share, of a mean of variance 2, of a covariance.
    assertEquals(.25, (double) count / n, 5 * Math.sqrt(.25 * .75 / n));
    double[][] wanted = {{2, .5, 0}, {.5, 1, .2}, {0, .2, 1}};
    for (int a = 0; a < 3; a++) {
      assertEquals(expected[a], mean[a] / count, 5 * Math.sqrt(2.0 / count));
      for (int b = 0; b < 3; b++) {
        assertEquals(wanted[a][b], covariance[a][b] / count, 5 * Math.sqrt(8.0 / count));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"toy:ring", "toy:grid", "toy:spiral", "toy:gaussian"})
  void scaledMixturesHaveTheDeviationOfImages(String name) {
    Mixture mixture = Mixture.open(name);
    assertEquals(2, mixture.dimension());
    assertTrue(mixture.classes() > 0);
    Mixture scaled = mixture.moved(mixture.centre(), .5 / mixture.deviation());
    assertEquals(.5, scaled.deviation(), 1e-12);
    assertArrayEquals(new double[2], scaled.centre(), 1e-12);
    float[] points = scaled.draw(Rng.of(1), 20_000).points();
    double sum = 0;
    for (float value : points) {
      sum += value * value / points.length;
    }
    // The mean square of 40,000 numbers varies by less than 1 %.
    assertEquals(.25, sum, .0125);
  }

  /** Noise removed from drawn points: E[x₀ | x] leaves an error orthogonal to itself. */
  @Test
  void theExactDenoiserIsTheMeanOfWhatIsDrawn() {
    Mixture mixture = Mixture.open("toy:spiral");
    int n = 50_000;
    float[] clean = mixture.draw(Rng.of(8), n).points();
    Denoiser exact = ExactDenoisers.of(mixture.table());
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor noise = Rng.of(9).normal(device, Shape.of(n, 2));
      Tensor noisy = Tensor.of(device, Shape.of(n, 2), clean).add(noise);
      Tensor sigma = Tensor.full(device, Shape.of(n), 1);
      float[] answer = exact.denoise(noisy, sigma, null).toFloats();
      double product = 0;
      double error = 0;
      for (int i = 0; i < answer.length; i++) {
        product += (clean[i] - answer[i]) * answer[i] / answer.length;
        error += (clean[i] - answer[i]) * (clean[i] - answer[i]) / answer.length;
      }
      // The product's deviation is near 1/√100,000 = 0.003 times the deviations' product, 1.5.
      assertEquals(0, product, .025);
      assertTrue(error > .1 && error < 1, "mean square " + error);
    }
  }

  @Test
  void rowsDependOnTheStreamAlone() {
    Mixture mixture = Mixture.open("toy:grid");
    assertArrayEquals(
        mixture.draw(Rng.of(4).split(7), 10).points(),
        mixture.draw(Rng.of(4).split(7), 10).points());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[1] | [[0,0]] | [[[1,0],[0.1,1]]] | null | covariance 0 is not symmetric",
        "[1] | [[0,0]] | [[[1,2],[2,1]]] | null | not positive semi-definite",
        "[1] | [[0,0]] | [[[1,0]]] | null | covariance 0 must be 2 rows of 2 numbers",
        "[1,1] | [[0,0]] | [[[1,0],[0,1]]] | null | 2 weights, 1 means, 1 covariances",
        "[1] | [[0,0]] | [[[1,0],[0,1]]] | [1,2] | 2 labels",
        "[1] | [[0,0]] | [[[1,0],[0,1]]] | [0.5] | label 0 is no whole number",
        "[1] | [[0,0]] | [[[1,0],[0,1]]] | [-1] | label 0 is not from 0 to 9999",
        "[1,1] | [[0,0],[1]] | [[[1,0],[0,1]],[[1,0],[0,1]]] | null | mean 1 must be 2 numbers",
        "[-1] | [[0]] | [[[1]]] | null | weight 0 is -1.0",
        "[] | [] | [] | null | no components",
        "1 | [[0]] | [[[1]]] | null | weights is not a JSON array",
        "[1] | [[\"a\"]] | [[[1]]] | null | element 0 of row 0 of means is no number"
      })
  void whatIsNoMixtureIsSaid(
      String weights, String means, String covariances, String labels, String said)
      throws IOException {
    Path file = folder.resolve("toy.json");
    Files.writeString(
        file,
        String.format(
            "{\"weights\": %s, \"means\": %s, \"covariances\": %s, \"labels\": %s}",
            weights, means, covariances, labels));
    DataException e = assertThrows(DataException.class, () -> Mixture.open(Mixture.PREFIX + file));
    assertTrue(e.getMessage().contains(said), e.getMessage());
    assertTrue(e.getMessage().contains("toy.json"), e.getMessage());
  }

  @Test
  void unknownNamesListTheKnown() {
    for (String name : new String[] {"toy:rings", "toy:", "toy:none.json"}) {
      DataException e = assertThrows(DataException.class, () -> Mixture.open(name));
      assertTrue(e.getMessage().contains("ring, grid, spiral, gaussian"), e.getMessage());
    }
    assertThrows(
        IllegalArgumentException.class, () -> Mixture.parse("{\"weight\": [1]}"), "weight");
  }

  @Test
  void hashesTellMixturesApart() {
    String ring = Mixture.open("toy:ring").hash();
    assertEquals(ring, Mixture.open("toy:ring").hash());
    assertTrue(!ring.equals(Mixture.open("toy:grid").hash()));
  }
}
