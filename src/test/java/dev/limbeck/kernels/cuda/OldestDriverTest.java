package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import jcuda.nvptxcompiler.JNvPTXCompiler;
import jcuda.nvptxcompiler.nvPTXCompilerHandle;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * NVIDIA's own PTX compiler of CUDA 12.0 takes the committed PTX: the one inside the oldest driver
 * that is supported. It lies in JCuda's natives and needs no GPU.
 */
@Tag("cuda")
@Tag("cuda-only")
class OldestDriverTest {
  @Test
  void thePtxCompilerOfCuda12TakesEveryModule() throws IOException {
    String whyNot =
        Driver.load(() -> JNvPTXCompiler.setExceptionsEnabled(false), "libc", "no PTX compiler");
    if (!whyNot.isEmpty()) {
      assertTrue(!SoftwareCuda.required(), whyNot);
      System.out.println("PTX not compiled for the oldest driver: " + whyNot);
      return;
    }
    int[] major = new int[1];
    int[] minor = new int[1];
    assertEquals(0, JNvPTXCompiler.nvPTXCompilerGetVersion(major, minor));
    assertEquals("12.0", major[0] + "." + minor[0]);
    int compiled = 0;
    for (String module : List.of("kernels", "bench")) {
      Path resources = Path.of(System.getProperty("limbeck.root"), module, "src/main/resources");
      try (Stream<Path> files = Files.walk(resources)) {
        for (Path file : files.filter(f -> f.toString().endsWith(".ptx.gz")).sorted().toList()) {
          String name = file.getFileName().toString();
          String capability = name.split("\\.")[1];
          assertEquals("", compile(unzipped(file), "sm_" + capability), name);
          compiled++;
        }
      }
    }
    assertTrue(compiled >= 6, compiled + " files");
  }

  @Test
  void theCompilerRefusesWhatIsWrong() {
    if (Driver.load(() -> JNvPTXCompiler.setExceptionsEnabled(false), "libc", "none").isEmpty()) {
      String ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.entry f() { add.q32 %r1; }\n";
      assertTrue(!compile(ptx, "sm_80").isEmpty());
      assertTrue(!compile(ptx.replace("8.0", "9.0"), "sm_80").isEmpty());
    }
  }

  private static String unzipped(Path file) throws IOException {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  /** Empty if the text compiles, else the compiler's messages. */
  private static String compile(String ptx, String processor) {
    byte[] text = (ptx + '\0').getBytes(StandardCharsets.UTF_8);
    nvPTXCompilerHandle compiler = new nvPTXCompilerHandle();
    if (JNvPTXCompiler.nvPTXCompilerCreate(compiler, text.length - 1, text) != 0) {
      return "refused at once";
    }
    String[] options = {"--gpu-name=" + processor};
    int status = JNvPTXCompiler.nvPTXCompilerCompile(compiler, options.length, options);
    String log = "";
    if (status != 0) {
      long[] size = new long[1];
      JNvPTXCompiler.nvPTXCompilerGetErrorLogSize(compiler, size);
      byte[] bytes = new byte[(int) size[0] + 1];
      JNvPTXCompiler.nvPTXCompilerGetErrorLog(compiler, bytes);
      log = "status " + status + ": " + new String(bytes, StandardCharsets.UTF_8).strip();
    }
    JNvPTXCompiler.nvPTXCompilerDestroy(compiler);
    return log;
  }
}
