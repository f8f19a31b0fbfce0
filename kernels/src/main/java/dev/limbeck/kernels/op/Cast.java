package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Converts F32 to BF16, to the nearest and at ties to the even one, or BF16 to F32, which is exact.
 */
@Definition(formula = "y = x in F32 or BF16", cost = "n conversions, 6n bytes")
public record Cast(Buffer x, Buffer y) implements Kernel {
  /** Marks a NaN among numbers whose lower half was cut off. */
  private static final int QUIET = 0x40;

  public Cast {
    boolean narrows = x.type() == DType.F32 && y.type() == DType.BF16;
    boolean widens = x.type() == DType.BF16 && y.type() == DType.F32;
    if (!(narrows || widens) || x.length() != y.length()) {
      throw new IllegalArgumentException(
          "cast: " + x + " into " + y + ": one is F32, the other BF16, of one length");
    }
  }

  @Override
  public String name() {
    return "cast";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public boolean takesHalves(int ptx) {
    return true;
  }

  @Override
  public void onCpu(Ranges ranges) {
    boolean widens = x.type() == DType.BF16;
    float[] floats = (widens ? y : x).floats();
    short[] halves = (widens ? x : y).shorts();
    int fo = (widens ? y : x).offset();
    int ho = (widens ? x : y).offset();
    ranges.split(
        x.length(),
        Axpy.GRAIN,
        (from, to) -> {
          int n = to - from;
          if (widens) {
            widen(ranges.simd(), halves, ho + from, floats, fo + from, n);
          } else {
            round(ranges.simd(), floats, fo + from, halves, ho + from, n);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("cast", x.type() == DType.BF16 ? "cast_bf16_f32" : "cast_f32_bf16");
    cuda.i32(x.length()).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 7) / 8, Launcher.THREADS), Launcher.THREADS);
  }

  private static void widen(boolean simd, short[] x, int xo, float[] y, int yo, int n) {
    for (int i = simd ? Simd.widen(x, xo, y, yo, n) : 0; i < n; i++) {
      y[yo + i] = Float.intBitsToFloat(x[xo + i] << 16);
    }
  }

  /** Rounds {@code n} numbers. */
  static void round(boolean simd, float[] x, int xo, short[] y, int yo, int n) {
    for (int i = simd ? Simd.round(x, xo, y, yo, n) : 0; i < n; i++) {
      y[yo + i] = (short) bits(x[xo + i]);
    }
  }

  /** The 16 bits of the nearest BF16 number. */
  static int bits(float x) {
    int bits = Float.floatToRawIntBits(x);
    return Float.isNaN(x) ? bits >>> 16 | QUIET : bits + 0x7FFF + (bits >>> 16 & 1) >>> 16;
  }

  /** The same on vectors; both answer how many they did. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Short> H =
        VectorSpecies.of(short.class, VectorShape.forBitSize(S.vectorBitSize() / 2));

    static int widen(short[] x, int xo, float[] y, int yo, int n) {
      int whole = S.loopBound(n);
      for (int i = 0; i < whole; i += S.length()) {
        IntVector bits =
            (IntVector) ShortVector.fromArray(H, x, xo + i).convertShape(VectorOperators.S2I, I, 0);
        bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoArray(y, yo + i);
      }
      return whole;
    }

    static int round(float[] x, int xo, short[] y, int yo, int n) {
      int whole = S.loopBound(n);
      for (int i = 0; i < whole; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        IntVector bits = v.reinterpretAsInts();
        IntVector high = bits.lanewise(VectorOperators.LSHR, 16);
        IntVector rounded = bits.add(0x7FFF).add(high.and(1)).lanewise(VectorOperators.LSHR, 16);
        IntVector kept = rounded.blend(high.or(QUIET), v.compare(VectorOperators.NE, v).cast(I));
        ((ShortVector) kept.convertShape(VectorOperators.I2S, H, 0)).intoArray(y, yo + i);
      }
      return whole;
    }
  }
}
