package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Libraries.Convolution;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Which of the products and convolutions that NVIDIA's libraries take, they are given. */
public enum LibraryUse {
  /** None. */
  OFF(Long.MAX_VALUE, Long.MAX_VALUE),
  /**
   * Large ones, by fixed rules of their sizes: beyond those at which they took about as long as
   * Limbeck's kernels on an H100 (cuBLAS 13 and cuDNN 9 behind the older interface, F32). Products
   * from two 512×512 matrices on: 0.73 to 1.16 times our time, larger ones 0.6 to 0.86.
   * Convolutions of stride 1 from 256 channels to 256 on: 0.94 to 1.08 times, 320 to 320 0.46 to
   * 0.67.
   */
  LARGE(1L << 27, 1L << 16),
  /** All. */
  ALWAYS(0, 0);

  private final long multiplications;
  private final long channelPairs;

  LibraryUse(long multiplications, long channelPairs) {
    this.multiplications = multiplications;
    this.channelPairs = channelPairs;
  }

  /** Whether products of so many multiplications of numbers each are for cuBLAS. */
  boolean takes(long wanted) {
    return wanted >= multiplications;
  }

  /** Whether a convolution is for cuDNN. */
  boolean takes(Convolution sizes) {
    boolean everyPixel = sizes.strideX() == 1 && sizes.strideY() == 1;
    return (everyPixel || this == ALWAYS) && (long) sizes.c() * sizes.o() >= channelPairs;
  }

  /**
   * By its name in small letters.
   *
   * @throws IllegalArgumentException if there is none of this name
   */
  static LibraryUse of(String name) {
    for (LibraryUse each : values()) {
      if (each.toString().equals(name)) {
        return each;
      }
    }
    throw new IllegalArgumentException(
        "-Dlimbeck.cuda.libraries="
            + name
            + ": there are "
            + Arrays.stream(values()).map(Enum::toString).collect(Collectors.joining(", ")));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
