package dev.limbeck.bench.cli;

import dev.limbeck.bench.Catalogue;
import dev.limbeck.bench.CudaPlan;
import dev.limbeck.bench.Samples;
import dev.limbeck.distillation.cli.Extension;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Lists the kernels: what each computes, what it costs, how it is done. */
@Command(
    name = "kernels",
    description = {
      "Lists every kernel: its formula, its cost, and the CUDA functions that its",
      "benchmarks need; or, for the shapes of a network, the work in numbers, the",
      "algorithm that the CPU takes and what a GPU launches; or what that needs there",
      "(--ptxas), or does on the software CUDA device (--simulate)."
    },
    mixinStandardHelpOptions = true)
public final class KernelsCommand implements Callable<Integer> {
  /** Adds the command to the command line. */
  public static final class Provider implements Extension {
    @Override
    public Object command() {
      return new KernelsCommand();
    }
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--shapes",
      paramLabel = "NETWORK",
      description = "For the shapes of mnist, cifar10, imagenet64 or sd15.")
  private String shapes;

  @Option(
      names = "--only",
      paramLabel = "REGEX",
      description =
          "Only what contains this, in a family and a shape as in \"MatMul 1x64x128x32\".")
  private Pattern only;

  @Option(
      names = "--ptxas",
      paramLabel = "ARCH,…",
      split = ",",
      description = {
        "Registers, shared memory, spills and occupancy on",
        "sm_75, sm_80, sm_86, sm_89, sm_90 or sm_100, from the",
        "installed ptxas; by default at the benchmarks' shapes."
      })
  private List<String> architectures = List.of();

  @Option(
      names = "--simulate",
      description = {
        "Runs the kernels on the software CUDA device and shows",
        "what it counts; by default at each benchmark's smallest",
        "shape."
      })
  private boolean simulate;

  @Option(
      names = "--software",
      paramLabel = "FOLDER",
      description = "Where the software CUDA device was built (default: target/cuda).")
  private Path software;

  @Option(
      names = "--capability",
      paramLabel = "N",
      defaultValue = "90",
      description = "The PTX that a GPU takes: 75, 80 or 90 (default: ${DEFAULT-VALUE}).")
  private int capability;

  @Option(
      names = "--tf32",
      description =
          "Let a GPU round the operands of matrix products to TF32, for its tensor cores.")
  private boolean tf32;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "md",
      description = "md, csv or json (default: ${DEFAULT-VALUE}).")
  private Table.Format format;

  @Override
  public Integer call() {
    if (!List.of(75, 80, 90).contains(capability)) {
      throw new ParameterException(
          spec.commandLine(), "--capability is 75, 80 or 90, not " + capability);
    }
    if (simulate && !architectures.isEmpty()) {
      throw new ParameterException(spec.commandLine(), "--ptxas and --simulate exclude each other");
    }
    Map<String, Object> facts = new LinkedHashMap<>();
    List<Map<String, Object>> rows = new ArrayList<>();
    if (simulate) {
      simulate(facts, rows);
    } else if (!architectures.isEmpty()) {
      architectures.forEach(each -> rows.addAll(new Ptxas(each).rows(launches(each))));
    } else if (shapes == null && only == null) {
      rows.addAll(Catalogue.definitions());
    } else {
      wanted(Samples.shapes())
          .forEach((family, shape) -> rows.addAll(Catalogue.work(family, shape, gpu(capability))));
    }
    spec.commandLine().getOut().print(Table.text(format, facts, rows));
    return 0;
  }

  private CudaPlan.Gpu gpu(int ptx) {
    return new CudaPlan.Gpu(ptx, Catalogue.MULTIPROCESSORS, tf32);
  }

  private List<CudaPlan.Launch> launches(String architecture) {
    CudaPlan.Gpu gpu = gpu(Ptxas.capability(architecture));
    if (shapes == null && only == null) {
      return Catalogue.launches(gpu);
    }
    List<CudaPlan.Launch> all = new ArrayList<>();
    wanted(Samples.shapes())
        .forEach((family, shape) -> all.addAll(Catalogue.launches(family, shape, gpu)));
    return all;
  }

  private void simulate(Map<String, Object> facts, List<Map<String, Object>> rows) {
    Path folder = software;
    if (folder == null) {
      String home = System.getProperty("limbeck.home", "");
      folder =
          Path.of(System.getProperty("limbeck.cuda.software", Path.of(home, "target/cuda") + ""));
    }
    boolean wide = format != Table.Format.MD;
    try (Simulation simulation = new Simulation(folder, capability, tf32, wide)) {
      facts.put("device", simulation.description());
      wanted(Samples.smallest())
          .forEach((family, shape) -> rows.addAll(simulation.rows(family, shape)));
    }
  }

  /** The shapes that were asked for, or else those given, one after the other. */
  private Wanted wanted(Map<String, List<String>> otherwise) {
    Map<String, List<String>> families = shapes == null ? otherwise : ShapeFile.of(shapes);
    return action ->
        families.forEach(
            (family, all) ->
                all.stream()
                    .filter(shape -> only == null || only.matcher(family + " " + shape).find())
                    .forEach(shape -> action.accept(family, shape)));
  }

  /** A family and a shape at a time. */
  private interface Wanted {
    void forEach(BiConsumer<String, String> action);
  }
}
