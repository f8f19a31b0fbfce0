package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.op.Unary;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import jcuda.nvrtc.JNvrtc;
import jcuda.nvrtc.nvrtcProgram;
import jcuda.nvrtc.nvrtcResult;

/**
 * Compiles CUDA text at run time by NVIDIA's NVRTC, as {@code kernels/ptx} compiles files: with the
 * helpers of {@code device.cuh} before it, without contraction, for the architecture of the device.
 *
 * <p>What was compiled is kept in a folder of this user's alone ({@code
 * -Dlimbeck.cuda.cache=FOLDER}, by default {@code ~/.cache/limbeck/ptx}), by the hash of the text,
 * the architecture and the driver's version: the library is needed once.
 */
final class Nvrtc {
  private static final String WHY_NOT =
      Redist.before(
          "libnvrtc",
          () ->
              Driver.load(
                  () -> JNvrtc.setExceptionsEnabled(false),
                  "libnvrtc.so.12",
                  "no NVRTC of CUDA 12"));

  private static final String HELPERS = "device.cuh";

  private static final List<String> OPTIONS =
      List.of("--std=c++17", "--fmad=false", "--generate-line-info");

  private Nvrtc() {}

  /** Empty if the library is there, else one sentence that says why not. */
  static String unavailable() {
    return WHY_NOT;
  }

  private static Path folder() {
    String given = System.getProperty("limbeck.cuda.cache");
    return given != null ? Path.of(given).toAbsolutePath() : PrivateFolder.ofUser().resolve("ptx");
  }

  /**
   * The PTX of a text, from the cache or from NVRTC.
   *
   * @param module the file's name without its ending
   * @throws DeviceException if there is no NVRTC, or the text does not compile
   */
  static String ptx(String module, String source, int capability) {
    String helpers = helpers();
    String architecture = "compute_" + capability;
    String hash = hash(helpers + '\0' + source + '\0' + OPTIONS);
    String version = "driver-" + Driver.version();
    Path file = folder().resolve(hash + "-" + architecture + "-" + version + ".ptx");
    String kept = kept(file);
    if (kept != null) {
      return kept;
    }
    if (!WHY_NOT.isEmpty()) {
      throw new DeviceException(
          "nvrtcCreateProgram",
          "not available",
          module + ".cu has to be compiled at run time, and there is " + WHY_NOT);
    }
    String ptx = lowered(compile(module, source, helpers, architecture));
    keep(file, ptx);
    return ptx;
  }

  /** What drivers from 525 on read, as {@code kernels/ptx} has it. */
  private static String lowered(String ptx) {
    return ptx.replaceFirst("(?m)^\\.version .*$", ".version 8.0")
        .replaceAll("(?m)^[ \\t]*\\.pragma \"used_bytes_mask.*$", "");
  }

  private static String compile(String module, String source, String helpers, String architecture) {
    String text = "#include \"" + HELPERS + "\"\n#line 1 \"" + module + ".cu\"\n" + source;
    nvrtcProgram program = new nvrtcProgram();
    String[] headers = {helpers};
    String[] names = {HELPERS};
    check(
        "nvrtcCreateProgram",
        JNvrtc.nvrtcCreateProgram(program, text, module + ".cu", 1, headers, names),
        "");
    try {
      String[] options = new String[OPTIONS.size() + 1];
      OPTIONS.toArray(options);
      options[OPTIONS.size()] = "--gpu-architecture=" + architecture;
      int status = JNvrtc.nvrtcCompileProgram(program, options.length, options);
      if (status != nvrtcResult.NVRTC_SUCCESS) {
        String[] log = {""};
        JNvrtc.nvrtcGetProgramLog(program, log);
        check("nvrtcCompileProgram", status, errors(String.valueOf(log[0])));
      }
      String[] ptx = {""};
      check("nvrtcGetPTX", JNvrtc.nvrtcGetPTX(program, ptx), module + ".cu");
      return ptx[0];
    } finally {
      JNvrtc.nvrtcDestroyProgram(program);
    }
  }

  /** The compiler's errors on one line, without the pictures below them. */
  private static String errors(String log) {
    String found =
        log.lines()
            .filter(line -> line.contains("error"))
            .map(String::strip)
            .collect(Collectors.joining("; "));
    return found.isEmpty() ? log.strip().replaceAll("\\s+", " ") : found;
  }

  private static void check(String call, int status, String explanation) {
    if (status != nvrtcResult.NVRTC_SUCCESS) {
      throw new DeviceException(call, nvrtcResult.stringFor(status), explanation);
    }
  }

  private static String helpers() {
    try (InputStream in = Unary.class.getResourceAsStream(HELPERS)) {
      if (in == null) {
        throw new IllegalStateException(HELPERS + " is missing in this build of Limbeck");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String hash(String text) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  // ---- the cache: a line with the hash of the rest, so that half a file is none ----

  private static String kept(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        return null;
      }
      PrivateFolder.make(file.getParent());
      String text = Files.readString(file);
      int line = text.indexOf('\n');
      String ptx = text.substring(line + 1);
      return line >= 0 && text.startsWith("// " + hash(ptx)) ? ptx : null;
    } catch (IOException e) {
      return null; // it is compiled again
    }
  }

  /** Only time is lost where this fails. */
  private static void keep(Path file, String ptx) {
    try {
      PrivateFolder.make(file.getParent());
      Path part = Files.createTempFile(file.getParent(), "part", "");
      Files.writeString(part, "// " + hash(ptx) + '\n' + ptx);
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      System.err.println("limbeck: compiled kernels are not kept: " + e.getMessage());
    }
  }
}
