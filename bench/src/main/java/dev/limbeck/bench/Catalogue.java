package dev.limbeck.bench;

import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.kernels.op.AllFinite;
import dev.limbeck.kernels.op.ArgMax;
import dev.limbeck.kernels.op.Attention;
import dev.limbeck.kernels.op.AttentionGrad;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.BiasGradient;
import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Cast;
import dev.limbeck.kernels.op.ClipScale;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.CopyBlock;
import dev.limbeck.kernels.op.DropoutApply;
import dev.limbeck.kernels.op.ErrorSlopes;
import dev.limbeck.kernels.op.Fill;
import dev.limbeck.kernels.op.Gather;
import dev.limbeck.kernels.op.GlobalNorm;
import dev.limbeck.kernels.op.GroupNorm;
import dev.limbeck.kernels.op.GroupNormGrad;
import dev.limbeck.kernels.op.IntToFloat;
import dev.limbeck.kernels.op.MatMul;
import dev.limbeck.kernels.op.MatchingTarget;
import dev.limbeck.kernels.op.MixtureMean;
import dev.limbeck.kernels.op.MovingAverage;
import dev.limbeck.kernels.op.OneHot;
import dev.limbeck.kernels.op.RandomFill;
import dev.limbeck.kernels.op.Reduce;
import dev.limbeck.kernels.op.Resample;
import dev.limbeck.kernels.op.RowCombine;
import dev.limbeck.kernels.op.RowNorm;
import dev.limbeck.kernels.op.RowNormGrad;
import dev.limbeck.kernels.op.RowSquaredError;
import dev.limbeck.kernels.op.ScatterAdd;
import dev.limbeck.kernels.op.Sinusoid;
import dev.limbeck.kernels.op.Softmax;
import dev.limbeck.kernels.op.SoftmaxGrad;
import dev.limbeck.kernels.op.Sort;
import dev.limbeck.kernels.op.Transpose;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.kernels.op.UnaryGrad;
import dev.limbeck.kernels.op.WeightedMean;
import dev.limbeck.kernels.op.Where;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Every kernel of Limbeck's, and what is known of it without running it. */
public final class Catalogue {
  /** All, in alphabetic order; a test keeps the list complete. */
  static final List<Class<? extends Kernel>> KERNELS =
      List.of(
          AdamStep.class,
          AllFinite.class,
          ArgMax.class,
          Attention.class,
          AttentionGrad.class,
          Axpy.class,
          BiasGradient.class,
          Binary.class,
          Cast.class,
          ClipScale.class,
          Conv2d.class,
          Conv2dInputGradient.class,
          Conv2dWeightGradient.class,
          Copy.class,
          CopyBlock.class,
          DropoutApply.class,
          ErrorSlopes.class,
          Fill.class,
          Gather.class,
          GlobalNorm.class,
          GroupNorm.class,
          GroupNormGrad.class,
          IntToFloat.class,
          MatMul.class,
          MatchingTarget.class,
          MixtureMean.class,
          MovingAverage.class,
          OneHot.class,
          RandomFill.class,
          Reduce.class,
          Resample.class,
          RowCombine.class,
          RowNorm.class,
          RowNormGrad.class,
          RowSquaredError.class,
          ScatterAdd.class,
          Sinusoid.class,
          Softmax.class,
          SoftmaxGrad.class,
          Sort.class,
          Transpose.class,
          Unary.class,
          UnaryGrad.class,
          WeightedMean.class,
          Where.class);

  /** Those of an H100; grids of loops over all elements end there. */
  public static final int MULTIPROCESSORS = 132;

  private static final boolean SIMD = simd();

  private Catalogue() {}

  /** One row for each kernel: its definition, its cost, and the functions that CUDA devices run. */
  public static List<Map<String, Object>> definitions() {
    Map<Class<?>, Set<String>> functions = functions();
    List<Map<String, Object>> rows = new ArrayList<>();
    for (Class<? extends Kernel> kernel : KERNELS) {
      Definition definition = kernel.getAnnotation(Definition.class);
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("name", kernel.getSimpleName());
      row.put("formula", definition.formula());
      row.put("cost", definition.cost());
      // A copy needs no function of ours.
      Set<String> copying = Set.of("cuMemcpyDtoDAsync");
      row.put("CUDA", String.join(", ", functions.getOrDefault(kernel, copying)));
      rows.add(row);
    }
    return rows;
  }

  /** What the kernels launch at their benchmarks' shapes, with any PTX, in F32 and in TF32. */
  private static Map<Class<?>, Set<String>> functions() {
    Map<Class<?>, Set<String>> all = new HashMap<>();
    for (int capability : new int[] {75, 80, 90}) {
      for (boolean tf32 : new boolean[] {false, true}) {
        for (CudaPlan.Launch launch :
            launches(new CudaPlan.Gpu(capability, MULTIPROCESSORS, tf32))) {
          all.computeIfAbsent(launch.beside(), k -> new TreeSet<>()).add(launch.symbol());
        }
      }
    }
    return all;
  }

  /** Every launch of every kernel at its benchmarks' shapes. */
  public static List<CudaPlan.Launch> launches(CudaPlan.Gpu gpu) {
    List<CudaPlan.Launch> all = new ArrayList<>();
    try (Device device = new ShapesOnly()) {
      List<Kernel> kernels = new ArrayList<>(Samples.others(device));
      Samples.shapes()
          .forEach(
              (family, shapes) ->
                  shapes.forEach(shape -> kernels.addAll(Samples.of(family, shape, device))));
      kernels.forEach(kernel -> all.addAll(CudaPlan.of(kernel, gpu)));
    }
    return all;
  }

  /** The launches of the kernels that a family runs on a shape. */
  public static List<CudaPlan.Launch> launches(String family, String shape, CudaPlan.Gpu gpu) {
    try (Device device = new ShapesOnly()) {
      return Samples.of(family, shape, device).stream()
          .flatMap(kernel -> CudaPlan.of(kernel, gpu).stream())
          .toList();
    }
  }

  /**
   * One row for each kernel that a family of benchmarks runs on a shape: its work, how the CPU does
   * it, and what a GPU is asked to launch.
   *
   * @param family as in {@code Conv2d}
   * @throws IllegalArgumentException if the family does not know such a shape
   */
  public static List<Map<String, Object>> work(String family, String shape, CudaPlan.Gpu gpu) {
    List<Map<String, Object>> rows = new ArrayList<>();
    try (Device device = new ShapesOnly()) {
      for (Kernel kernel : Samples.of(family, shape, device)) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("name", kernel.getClass().getSimpleName());
        row.put("shape", shape);
        row.put("gflop", kernel.flops() / 1e9);
        row.put("MB", kernel.bytes() / 1e6);
        row.put("flop per byte", Math.round(10 * kernel.flops() / kernel.bytes()) / 10.0);
        row.put("CPU", kernel.path(SIMD));
        row.put(
            "CUDA",
            CudaPlan.of(kernel, gpu).stream()
                .map(CudaPlan.Launch::toString)
                .collect(Collectors.joining(", ")));
        rows.add(row);
      }
    }
    return rows;
  }

  private static boolean simd() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      return device.isSimd();
    }
  }
}
