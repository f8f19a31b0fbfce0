package dev.limbeck.bench;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.AllFinite;
import dev.limbeck.kernels.op.ArgMax;
import dev.limbeck.kernels.op.BiasGradient;
import dev.limbeck.kernels.op.Broadcast;
import dev.limbeck.kernels.op.Cast;
import dev.limbeck.kernels.op.ClipScale;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.CopyBlock;
import dev.limbeck.kernels.op.DropoutApply;
import dev.limbeck.kernels.op.ErrorSlopes;
import dev.limbeck.kernels.op.Fill;
import dev.limbeck.kernels.op.IntToFloat;
import dev.limbeck.kernels.op.MatchingTarget;
import dev.limbeck.kernels.op.MixtureMean;
import dev.limbeck.kernels.op.OneHot;
import dev.limbeck.kernels.op.RowCombine;
import dev.limbeck.kernels.op.RowSquaredError;
import dev.limbeck.kernels.op.Sinusoid;
import dev.limbeck.kernels.op.WeightedMean;
import dev.limbeck.kernels.op.Where;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.openjdk.jmh.annotations.Param;

/** Kernels by the shapes of their benchmarks, on any device. */
public final class Samples {
  /** The families of benchmarks, as in {@code Conv2d}. */
  static final List<Class<? extends KernelBench>> FAMILIES =
      List.of(
          AttentionBench.class,
          Conv2dBench.class,
          ElementwiseBench.class,
          GroupNormBench.class,
          MatMulBench.class,
          MovementBench.class,
          OptimizerBench.class,
          ReduceBench.class,
          ResampleBench.class,
          RowsBench.class);

  /** Two components, as a toy has them. */
  private static final MixtureMean.Table MIXTURE =
      new MixtureMean.Table(
          2,
          new double[2],
          new double[] {-1, 0, 1, 0},
          new double[] {.1, .2, .1, .2},
          null,
          new int[2]);

  private Samples() {}

  /** Every family, with the shapes that it measures unless told otherwise. */
  public static Map<String, List<String>> shapes() {
    Map<String, List<String>> all = new LinkedHashMap<>();
    for (Class<? extends KernelBench> family : FAMILIES) {
      try {
        String[] shapes = family.getField("shape").getAnnotation(Param.class).value();
        all.put(family.getSimpleName().replace("Bench", ""), List.of(shapes));
      } catch (NoSuchFieldException e) {
        throw new IllegalStateException(family + " has no shape", e);
      }
    }
    return all;
  }

  /** The smallest of those shapes, by the product of its numbers. */
  public static Map<String, List<String>> smallest() {
    Map<String, List<String>> all = shapes();
    all.replaceAll((family, list) -> List.of(list.stream().min(Samples::bySize).orElseThrow()));
    return all;
  }

  private static int bySize(String a, String b) {
    return Double.compare(size(a), size(b));
  }

  private static double size(String shape) {
    return Arrays.stream(shape.split("x"))
        .mapToDouble(Double::parseDouble)
        .reduce(1, (a, b) -> a * b);
  }

  /**
   * The kernels that a family runs on a shape, with operands on a device.
   *
   * @param family as in {@code Conv2d}
   * @throws IllegalArgumentException if there is no such family, or it does not know such a shape
   */
  public static List<Kernel> of(String family, String shape, Device device) {
    try {
      Class<?> type = Class.forName(Samples.class.getPackageName() + "." + family + "Bench");
      KernelBench bench = (KernelBench) type.getConstructor().newInstance();
      type.getField("shape").set(bench, shape);
      return bench.kernels(device);
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException("there is no family of kernels \"" + family + "\"", e);
    }
  }

  /** Kernels that no family measures, because they only move or fill a few numbers. */
  public static List<Kernel> others(Device device) {
    Operands o = new Operands(device);
    int rows = 60;
    int n = 60 * 64;
    Broadcast all = new Broadcast(new int[] {1, 1, 1, n}, new int[] {0, 0, 0, 1});
    List<Kernel> kernels = new ArrayList<>();
    kernels.add(new AllFinite(o.input(n), device.allocate(DType.I32, 1)));
    kernels.add(new ArgMax(o.input(n), device.allocate(DType.I32, rows), rows, 64, 1));
    kernels.add(new BiasGradient(rows, 64, o.input(n), o.result(64), false));
    kernels.add(new Cast(o.input(n), device.allocate(DType.BF16, n)));
    kernels.add(new Copy(o.input(n), o.result(n)));
    kernels.add(new CopyBlock(o.input(n), 0, 64, o.result(n), 0, 64, rows, 32));
    kernels.add(new DropoutApply(0.1f, 1, o.input(n), o.result(n)));
    kernels.add(
        new ClipScale(o.input(1), 1, o.input(1), 1, o.result(1), o.result(2), 0, o.result(1)));
    kernels.add(new ErrorSlopes(o.input(rows), o.input(1), 64, o.result(rows), o.result(rows)));
    kernels.add(new MatchingTarget(rows, true, o.input(n), o.input(n), o.input(n), o.result(n)));
    kernels.add(
        new MixtureMean(MIXTURE, o.input(2 * rows), o.input(rows), null, o.result(2 * rows)));
    kernels.add(new WeightedMean(o.input(rows), o.input(rows), 64, o.result(1)));
    kernels.add(new Fill(1, o.result(n)));
    kernels.add(new IntToFloat(o.indices(n, 10), o.result(n)));
    kernels.add(new OneHot(o.indices(rows, 10), o.result(10 * rows), 10));
    kernels.add(new RowCombine(o.input(rows), o.input(n), o.input(rows), o.input(n), o.result(n)));
    kernels.add(new RowSquaredError(o.input(n), o.input(n), o.result(rows)));
    kernels.add(new Sinusoid(1, false, 64, o.input(32), o.input(rows), o.result(n)));
    kernels.add(new Where(o.input(n), all, o.input(n), all, o.input(n), all, o.result(n)));
    return kernels;
  }
}
