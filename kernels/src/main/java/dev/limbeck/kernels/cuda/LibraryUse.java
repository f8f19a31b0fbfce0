package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Libraries.Convolution;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Which of the products and convolutions that NVIDIA's libraries take, they are given. */
public enum LibraryUse {
  /** None. */
  OFF {
    @Override
    boolean takes(long multiplications) {
      return false;
    }

    @Override
    boolean takes(Convolution sizes) {
      return false;
    }
  },
  /**
   * Large ones, by fixed rules of their sizes: beyond those at which they took about as long as
   * Limbeck's kernels on an H100 (cuBLAS 13 and cuDNN 9 behind the older interface, F32).
   */
  LARGE {
    @Override
    boolean takes(long multiplications) {
      return multiplications >= MULTIPLICATIONS;
    }

    @Override
    boolean takes(Convolution sizes) {
      boolean everyPixel = sizes.strideX() == 1 && sizes.strideY() == 1;
      return everyPixel && (long) sizes.c() * sizes.o() >= CHANNELS;
    }
  },
  /** All. */
  ALWAYS {
    @Override
    boolean takes(long multiplications) {
      return true;
    }

    @Override
    boolean takes(Convolution sizes) {
      return true;
    }
  };

  /** Of two 512×512 matrices: 0.73 to 1.16 times our time; beyond, 0.6 to 0.86. */
  private static final long MULTIPLICATIONS = 1L << 27;

  /** 256 channels to 256: 0.94 to 1.08 times our time; 320 to 320: 0.46 to 0.67. */
  private static final long CHANNELS = 1L << 16;

  /** Whether products of so many multiplications of numbers each are for cuBLAS. */
  abstract boolean takes(long multiplications);

  /** Whether a convolution is for cuDNN. */
  abstract boolean takes(Convolution sizes);

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
