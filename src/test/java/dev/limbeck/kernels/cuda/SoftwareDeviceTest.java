package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.opentest4j.TestAbortedException;

/**
 * The software CUDA device's own tests, in C++: opcodes against tables, planted bugs, streams, and
 * the stand-ins of cuBLAS and cuDNN.
 */
@Tag("cuda")
@Tag("cuda-only")
class SoftwareDeviceTest {
  private static final Pattern ENTRY = Pattern.compile("Test +#\\d+: (\\S+)");

  @TestFactory
  List<DynamicNode> testsInCpp() throws IOException {
    String whyNot = SoftwareCuda.whyNot();
    if (!whyNot.isEmpty()) {
      assertTrue(!SoftwareCuda.required(), whyNot);
      throw new TestAbortedException(whyNot);
    }
    List<DynamicNode> tests = new ArrayList<>();
    if (!SoftwareCuda.isLoaded()) {
      return tests; // this run is on a GPU
    }
    List<String> names = new ArrayList<>();
    Matcher entry = ENTRY.matcher(ctest("-N"));
    while (entry.find()) {
      names.add(entry.group(1));
    }
    // One of each kind, so that a kind that is no longer built does not go unnoticed.
    List<String> kinds =
        List.of("opcodes", "options", "kernels_75", "checks_90", "streams", "cudnn_exports");
    assertTrue(names.containsAll(kinds), names.toString());
    for (String name : names) {
      tests.add(DynamicTest.dynamicTest(name, () -> ctest("-R", "^" + name + "$")));
    }
    return tests;
  }

  private static String ctest(String... arguments) throws IOException {
    Path build = SoftwareCuda.folder();
    List<String> command = new ArrayList<>(List.of("ctest", "--output-on-failure"));
    command.addAll(List.of("--no-tests=error", "--timeout", "120"));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command).directory(build.toFile()).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    try {
      assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    assertEquals(0, process.exitValue(), output);
    return output;
  }
}
