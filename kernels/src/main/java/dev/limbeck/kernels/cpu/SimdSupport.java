package dev.limbeck.kernels.cpu;

import jdk.incubator.vector.FloatVector;

/** Whether the Vector API can be used, and why not. */
public final class SimdSupport {
  private static final String REASON = findReason();

  private SimdSupport() {}

  /** True if kernels may take their Vector API path in this process. */
  public static boolean available() {
    return REASON.isEmpty();
  }

  static String whyNot() {
    return REASON.isEmpty() ? "asked for" : REASON;
  }

  static String describe() {
    return Simd.bits() + "-bit vectors";
  }

  private static String findReason() {
    if ("off".equals(System.getProperty("limbeck.simd"))) {
      return "limbeck.simd=off";
    }
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      return "for speed, start Java with --add-modules=jdk.incubator.vector";
    }
    int bits = Simd.bits();
    return bits < 128 ? "the processor's vectors have only " + bits + " bits" : "";
  }

  /** Touched only when the module is there. */
  private static final class Simd {
    static int bits() {
      return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
  }
}
