package dev.limbeck.bench;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * What the benchmarks of kernels share: a check of what they measure, and counters of the work that
 * the definition of an operation asks for.
 *
 * <p>A family of operations is a class with a parameter {@code shape}, which {@code -p shape=…}
 * sets, and a method for each kernel. Its defaults are a selection; the files in {@code
 * bench/shapes} hold all shapes of some well-known networks.
 */
public abstract class KernelBench extends DeviceBench {
  /**
   * Largest difference between the two paths, relative to the largest value of a result: Winograd's
   * is about 1e-5, another order of long sums less. Operands rounded to TF32: twice the 7.5e-4 seen
   * on an H100.
   */
  private static final double TOLERANCE = Boolean.getBoolean("limbeck.cuda.tf32") ? 1.5e-3 : 1e-4;

  private static final int QUEUED = 64;

  private int queued;
  private final List<Function<Operands, Kernel>> builds = new ArrayList<>();

  /** Work done, which JMH divides by the time. */
  @AuxCounters
  @State(Scope.Thread)
  public static class Work {
    /** Operations on floats, in 10⁹. */
    public double gflop;

    /** Bytes that have to move, in 10⁹. */
    public double gigabytes;
  }

  /** A kernel that is made, and checked, when it is first run: in the warm-up. */
  final class Checked {
    private final Function<Operands, Kernel> build;
    private Kernel kernel;

    private Checked(Function<Operands, Kernel> build) {
      this.build = build;
    }

    private Kernel kernel() {
      if (kernel == null) {
        kernel = compared();
      }
      return kernel;
    }

    private Kernel compared() {
      Operands mine = new Operands(device());
      Kernel made = build.apply(mine);
      device().execute(made);
      int cores = Runtime.getRuntime().availableProcessors();
      try (CpuDevice scalar = CpuDevice.open(false, cores)) {
        Operands reference = new Operands(scalar);
        scalar.execute(build.apply(reference));
        double difference = mine.difference(reference);
        if (!(difference < TOLERANCE)) {
          throw new IllegalStateException(
              String.format(
                  Locale.ROOT,
                  "%s: %s differs from the scalar one by %.2g of the largest value",
                  made.name(),
                  device() instanceof CpuDevice ? "the vector path" : device().id(),
                  difference));
        }
      }
      return made;
    }
  }

  /**
   * The kernel that {@code build} makes. Before it is measured its results are compared with those
   * of the scalar loops, which are the specification.
   */
  final Checked checked(Function<Operands, Kernel> build) {
    builds.add(build);
    return new Checked(build);
  }

  /** Everything that this family would measure, made on another device. */
  final List<Kernel> kernels(Device device) {
    build();
    return builds.stream().map(build -> build.apply(new Operands(device))).toList();
  }

  /** Runs a kernel once. */
  final void run(Checked checked, Work work) {
    Kernel kernel = checked.kernel();
    device().execute(kernel);
    // A GPU's queue: long enough to hide what a launch costs, short beside an iteration.
    if (++queued % QUEUED == 0) {
      device().synchronize();
    }
    work.gflop += 1e-9 * kernel.flops();
    work.gigabytes += 1e-9 * kernel.bytes();
  }

  /**
   * The sizes in {@code 16x32x64}.
   *
   * @param names of the sizes, as in {@code images x side x channels}
   */
  static int[] sizes(String shape, String names) {
    String[] parts = shape.split("x", -1);
    String[] wanted = names.split(" x ", -1);
    try {
      int[] sizes = new int[parts.length];
      for (int i = 0; i < sizes.length; i++) {
        sizes[i] = Integer.parseInt(parts[i]);
      }
      if (sizes.length == wanted.length) {
        return sizes;
      }
    } catch (NumberFormatException e) {
      // The sentence below says what would be right.
    }
    throw new IllegalArgumentException("the shape " + shape + " is not of the form " + names);
  }
}
