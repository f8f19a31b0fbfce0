package dev.limbeck.bench.cli;

import dev.limbeck.bench.Catalogue;
import dev.limbeck.distillation.cli.Extension;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Lists the kernels: what each computes, what it costs, how it is done. */
@Command(
    name = "kernels",
    description = {
      "Lists every kernel: its formula and what it costs; or, for the shapes of a network, the work",
      "in numbers and the algorithm that the CPU takes."
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
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "md",
      description = "md, csv or json (default: ${DEFAULT-VALUE}).")
  private Table.Format format;

  @Override
  public Integer call() {
    List<Map<String, Object>> rows = shapes == null ? Catalogue.definitions() : work();
    spec.commandLine().getOut().print(Table.text(format, Map.of(), rows));
    return 0;
  }

  private List<Map<String, Object>> work() {
    List<Map<String, Object>> rows = new ArrayList<>();
    ShapeFile.of(shapes)
        .forEach((family, all) -> all.forEach(shape -> rows.addAll(Catalogue.work(family, shape))));
    return rows;
  }
}
