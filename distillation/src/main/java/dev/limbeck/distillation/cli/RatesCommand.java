package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.RunFolder;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.rates.Experiment;
import dev.limbeck.distillation.rates.Rates;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The experiments on statistical rates. */
@Command(
    name = "rates",
    description = {
      "Measures how the error of a perfectly trained consistency model falls with steps, samples,"
          + " dimension, scores, intervals and sampling steps (V1 to V6).",
      "Writes a plot for each, rates.json and rates.txt."
    },
    mixinStandardHelpOptions = true)
final class RatesCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private SeedOption seed;
  @Mixin private OutOption out;

  @Option(names = "--quick", description = "Smaller samples and fewer repetitions.")
  private boolean quick;

  @Option(
      names = "--only",
      split = ",",
      paramLabel = "ID",
      description = "Some of V1 to V6, separated by commas (default: all).")
  private List<String> only;

  @Override
  public Integer call() throws IOException {
    Map<String, Supplier<Experiment>> all = new Rates(seed.seed(), quick).experiments();
    List<String> chosen = only == null ? List.copyOf(all.keySet()) : only;
    for (String id : chosen) {
      if (!all.containsKey(id)) {
        throw new ParameterException(
            spec.commandLine(),
            "there is no experiment " + id + "; known are " + String.join(", ", all.keySet()));
      }
    }
    Map<String, Object> settings = Map.of("seed", seed.seed(), "quick", quick);
    Path named = out.folder("rates");
    Path folder = out.isGiven() ? named : RunFolder.free(named, settings);
    RunFolder.claim(folder, settings);
    PrintWriter console = spec.commandLine().getOut();
    for (String id : chosen) {
      Experiment experiment = all.get(id).get();
      String table = table(experiment);
      console.print(table);
      console.flush();
      SafeFiles.write(folder.resolve(id + ".png"), LogLogPlot.png(experiment));
      SafeFiles.write(folder.resolve(id + ".txt"), table);
      SafeFiles.write(folder.resolve(id + ".json"), Json.writePretty(json(experiment)) + "\n");
    }
    summarise(folder, all.keySet());
    console.println("see " + folder);
    return 0;
  }

  /** Puts together what this run and earlier ones of the folder have found. */
  private void summarise(Path folder, Set<String> all) throws IOException {
    StringBuilder text = new StringBuilder();
    List<Object> records = new ArrayList<>();
    for (String id : all) {
      Path record = folder.resolve(id + ".json");
      if (Files.exists(record)) {
        records.add(Json.parseObject(Files.readString(record)));
        text.append(Files.readString(folder.resolve(id + ".txt")));
      }
    }
    Map<String, Object> record = new LinkedHashMap<>();
    record.put("seed", seed.seed());
    record.put("quick", quick);
    record.put("experiments", records);
    SafeFiles.write(folder.resolve("rates.txt"), text.toString());
    SafeFiles.write(folder.resolve("rates.json"), Json.writePretty(record) + "\n");
  }

  private static String table(Experiment experiment) {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "%s %s: %s over %s%n%s%n",
            experiment.id(),
            experiment.title(),
            experiment.yAxis(),
            experiment.xAxis(),
            experiment.conclusion()));
    for (Experiment.Series series : experiment.curves()) {
      text.append(
          String.format(
              Locale.ROOT,
              "  %-32s slope %6.3f [%6.3f, %6.3f]  theory %-22s ",
              series.name(),
              series.slope().value(),
              series.slope().low(),
              series.slope().high(),
              series.expected()));
      for (int i = 0; i < series.x().length; i++) {
        text.append(String.format(Locale.ROOT, " %.4g:%.3g", series.x()[i], series.mean(i)));
      }
      text.append(String.format("%n"));
    }
    return text.append(String.format("%n")).toString();
  }

  private static Map<String, Object> json(Experiment experiment) {
    Map<String, Object> record = new LinkedHashMap<>();
    record.put("id", experiment.id());
    record.put("title", experiment.title());
    record.put("conclusion", experiment.conclusion());
    List<Object> curves = new ArrayList<>();
    for (Experiment.Series series : experiment.curves()) {
      Map<String, Object> curve = new LinkedHashMap<>();
      curve.put("name", series.name());
      curve.put("theory", series.expected());
      curve.put("slope", series.slope().value());
      curve.put("interval", List.of(series.slope().low(), series.slope().high()));
      List<Object> points = new ArrayList<>();
      for (int i = 0; i < series.x().length; i++) {
        List<Object> point = new ArrayList<>();
        point.add(series.x()[i]);
        for (double y : series.y()[i]) {
          point.add(y);
        }
        points.add(point);
      }
      curve.put("points", points);
      curves.add(curve);
    }
    record.put("curves", curves);
    return record;
  }
}
