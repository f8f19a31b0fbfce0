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
   * Large ones, by fixed rules of their sizes: those for which they needed no more time than
   * Limbeck's kernels on an H100 (cuBLAS 13 and cuDNN 9 behind the older interface, F32).
   */
  LARGE {
    @Override
    boolean takes(long multiplications) {
      return multiplications >= MULTIPLICATIONS;
    }

    @Override
    boolean takes(Convolution sizes) {
      return (long) sizes.c() * sizes.o() >= CHANNELS;
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

  /** Of a product of 512×512 matrices, at which both take the same time. */
  private static final long MULTIPLICATIONS = 1L << 27;

  /** 256 channels to 256: the same time for both in all three passes; 320 to 320: 0.45 to 0.67. */
  private static final long CHANNELS = 1L << 16;

  /** Whether a product of so many multiplications of numbers is for cuBLAS. */
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
