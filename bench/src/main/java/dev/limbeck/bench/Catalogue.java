package dev.limbeck.bench;

import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.kernels.op.AllFinite;
import dev.limbeck.kernels.op.ArgMax;
import dev.limbeck.kernels.op.Attention;
import dev.limbeck.kernels.op.AttentionGrad;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.BiasGradient;
import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.CopyBlock;
import dev.limbeck.kernels.op.DropoutApply;
import dev.limbeck.kernels.op.Fill;
import dev.limbeck.kernels.op.Gather;
import dev.limbeck.kernels.op.GlobalNorm;
import dev.limbeck.kernels.op.GroupNorm;
import dev.limbeck.kernels.op.GroupNormGrad;
import dev.limbeck.kernels.op.IntToFloat;
import dev.limbeck.kernels.op.MatMul;
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
import dev.limbeck.kernels.op.Where;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
          Conv2d.class,
          Conv2dInputGradient.class,
          Conv2dWeightGradient.class,
          Copy.class,
          CopyBlock.class,
          DropoutApply.class,
          Fill.class,
          Gather.class,
          GlobalNorm.class,
          GroupNorm.class,
          GroupNormGrad.class,
          IntToFloat.class,
          MatMul.class,
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
          Where.class);

  private Catalogue() {}

  /** One row for each kernel: its definition and cost. */
  public static List<Map<String, Object>> definitions() {
    List<Map<String, Object>> rows = new ArrayList<>();
    for (Class<? extends Kernel> kernel : KERNELS) {
      Definition definition = kernel.getAnnotation(Definition.class);
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("name", kernel.getSimpleName());
      row.put("formula", definition.formula());
      row.put("cost", definition.cost());
      rows.add(row);
    }
    return rows;
  }

  /**
   * One row for each kernel that a family of benchmarks runs on a shape: its work, and how the CPU
   * does it.
   *
   * @param family as in {@code Conv2d}
   * @throws IllegalArgumentException if the family does not know such a shape
   */
  public static List<Map<String, Object>> work(String family, String shape) {
    List<Map<String, Object>> rows = new ArrayList<>();
    KernelBench bench = bench(family, shape);
    bench.look();
    try {
      for (Kernel kernel : bench.kernels()) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("name", kernel.getClass().getSimpleName());
        row.put("shape", shape);
        row.put("gflop", kernel.flops() / 1e9);
        row.put("MB", kernel.bytes() / 1e6);
        row.put("flop per byte", Math.round(10 * kernel.flops() / kernel.bytes()) / 10.0);
        row.put("CPU", kernel.path(bench.device().isSimd()));
        rows.add(row);
      }
      return rows;
    } finally {
      bench.close();
    }
  }

  private static KernelBench bench(String family, String shape) {
    try {
      Class<?> type = Class.forName(Catalogue.class.getPackageName() + "." + family + "Bench");
      KernelBench bench = (KernelBench) type.getConstructor().newInstance();
      type.getField("shape").set(bench, shape);
      return bench;
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException("there is no family of kernels \"" + family + "\"", e);
    }
  }
}
