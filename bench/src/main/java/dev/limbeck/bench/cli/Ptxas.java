package dev.limbeck.bench.cli;

import dev.limbeck.bench.CudaPlan;
import dev.limbeck.distillation.data.DataException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/** What the kernels take on real processors, as the assembler {@code ptxas} says. */
final class Ptxas {
  private static final int[] PTX = {90, 80, 75};
  private static final Pattern FUNCTION = Pattern.compile("Compiling entry function '(\\w+)'");

  private final String architecture;
  private final Map<String, Map<String, Use>> modules = new HashMap<>();

  /** Of one function: registers of a thread, static shared memory of a block, spilled bytes. */
  record Use(int registers, int shared, int spills) {}

  /**
   * Asks the installed {@code ptxas}.
   *
   * @param architecture as in {@code sm_80}
   */
  Ptxas(String architecture) {
    this.architecture = architecture;
  }

  /** Which PTX the driver of a processor takes. */
  static int capability(String architecture) {
    if (architecture.matches("sm_\\d{2,3}")) {
      int number = Integer.parseInt(architecture.substring(3));
      for (int each : PTX) {
        if (each <= number) {
          return each;
        }
      }
    }
    throw new DataException(
        "\"" + architecture + "\" is no architecture: sm_75 or newer, as in sm_80");
  }

  /** One row for each function and size of block. */
  List<Map<String, Object>> rows(List<CudaPlan.Launch> launches) {
    Set<List<Object>> seen = new LinkedHashSet<>();
    List<Map<String, Object>> rows = new ArrayList<>();
    for (CudaPlan.Launch launch : launches) {
      String name = launch.beside().getSimpleName();
      if (!seen.add(List.of(name, launch.symbol(), launch.threads(), launch.shared()))) {
        continue;
      }
      Use use = use(launch);
      int shared = use.shared + launch.shared();
      Occupancy occupancy = Occupancy.of(architecture, use.registers, launch.threads(), shared);
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("name", name);
      row.put("CUDA", launch.symbol());
      row.put("architecture", architecture);
      row.put("threads", launch.threads());
      row.put("registers", use.registers);
      row.put("shared bytes", shared);
      row.put("spilled bytes", use.spills);
      row.put("blocks per SM", occupancy.blocks());
      row.put("occupancy %", Math.round(10 * occupancy.percent()) / 10.0);
      row.put("limited by", occupancy.limit());
      rows.add(row);
    }
    return rows;
  }

  private Use use(CudaPlan.Launch launch) {
    Map<String, Use> functions =
        modules.computeIfAbsent(launch.module(), m -> assembled(launch.beside(), m));
    Use use = functions.get(launch.symbol());
    if (use == null) {
      throw new IllegalStateException(launch.module() + ".cu has no function " + launch.symbol());
    }
    return use;
  }

  private Map<String, Use> assembled(Class<?> beside, String module) {
    try {
      Path folder = Files.createTempDirectory("limbeck-ptxas");
      Path in = folder.resolve(module + ".ptx");
      Path out = folder.resolve(module + ".cubin");
      try {
        Files.write(in, text(beside, module));
        return parse(
            said(List.of("ptxas", "-v", "-arch=" + architecture, "" + in, "-o", "" + out)));
      } finally {
        Files.deleteIfExists(in);
        Files.deleteIfExists(out);
        Files.delete(folder);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("the PTX of " + module + " cannot be assembled", e);
    }
  }

  /** The PTX that a driver would take. */
  private byte[] text(Class<?> beside, String module) throws IOException {
    for (int each : PTX) {
      String name = module + "." + each + ".ptx.gz";
      try (InputStream in =
          each > capability(architecture) ? null : beside.getResourceAsStream(name)) {
        if (in != null) {
          return new GZIPInputStream(in).readAllBytes();
        }
      }
    }
    throw new IllegalStateException("there is no PTX of " + module + ".cu: kernels/ptx makes it");
  }

  private static String said(List<String> command) throws IOException {
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      throw new DataException("no ptxas found on the PATH: it comes with the CUDA toolkit", e);
    }
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (process.waitFor() != 0) {
        throw new DataException("ptxas fails: " + text.strip());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while ptxas ran", e);
    }
    return text;
  }

  /** The functions in what {@code ptxas -v} prints. */
  static Map<String, Use> parse(String text) {
    Map<String, Use> all = new HashMap<>();
    String function = "";
    int spills = 0;
    for (String line : text.split("\n")) {
      Matcher found = FUNCTION.matcher(line);
      if (found.find()) {
        function = found.group(1);
      } else if (line.contains("bytes spill stores")) {
        spills = number(line, "bytes spill stores") + number(line, "bytes spill loads");
      } else if (line.contains("Used ") && line.contains(" registers")) {
        all.put(function, new Use(number(line, "registers"), number(line, "bytes smem"), spills));
      }
    }
    return all;
  }

  /** The number that stands before a unit, or 0. */
  private static int number(String line, String unit) {
    Matcher number = Pattern.compile("(\\d+) " + unit).matcher(line);
    return number.find() ? Integer.parseInt(number.group(1)) : 0;
  }
}
