package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.bench.example.SquaredRelu;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.Scope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

/**
 * A user's own CUDA text is compiled at run time: by NVRTC where the machine has it, on the
 * software device by a stand-in that calls nvcc.
 */
class NvrtcTest {
  private static final int N = 1003;

  private static final String TEXT =
      "extern \"C\" __global__ void shifted_f32(int n, float by, const float* x, float* y) {\n"
          + "  map(n, x, y, [=](float v) { return v + by; });\n"
          + "}\n";

  @TempDir Path folder;

  @BeforeEach
  void privateCache() {
    System.setProperty("limbeck.cuda.cache", folder.resolve("cache").toString());
  }

  @AfterEach
  void usualCache() {
    System.clearProperty("limbeck.cuda.cache");
  }

  /** A kernel whose class lies beside the resources of this test. */
  private record OnCuda(Buffer x, Buffer y, Consumer<Launcher> body) implements Kernel {
    @Override
    public String name() {
      return "own";
    }

    @Override
    public List<Buffer> buffers() {
      return List.of(x, y);
    }

    @Override
    public void onCpu(Ranges ranges) {}

    @Override
    public void onCuda(Launcher cuda) {
      body.accept(cuda);
    }
  }

  private static void requireNvrtc() {
    if (!Nvrtc.unavailable().isEmpty()) {
      assertFalse(SoftwareCuda.isLoaded(), Nvrtc.unavailable());
      throw new TestAbortedException(Nvrtc.unavailable());
    }
  }

  private static Buffer ramp(Device device) {
    float[] host = new float[N];
    for (int i = 0; i < N; i++) {
      host[i] = i - N / 2;
    }
    Buffer buffer = device.allocate(DType.F32, N);
    buffer.upload(host, 0);
    return buffer;
  }

  private static float[] run(CudaDevice cuda, float factor, float shift, OnCuda kernel) {
    cuda.execute(kernel);
    float[] actual = new float[N];
    kernel.y.download(actual, 0);
    for (int i = 0; i < N; i++) {
      assertEquals(factor * (i - N / 2) + shift, actual[i], "element " + i);
    }
    return actual;
  }

  private static OnCuda shifted(CudaDevice cuda, String source) {
    Buffer x = ramp(cuda);
    Buffer y = cuda.allocate(DType.F32, N);
    return new OnCuda(
        x,
        y,
        launcher -> {
          launcher.kernel("shifted", "shifted_f32", source).i32(N).f32(2.5f);
          launcher.pointer(x).pointer(y).launch(3, 128);
        });
  }

  private List<Path> cached() throws IOException {
    try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
      return files.sorted().toList();
    }
  }

  @CudaTest
  void aTextIsCompiledForEachArchitectureAndKept() throws IOException {
    requireNvrtc();
    int compiled = 0;
    for (int ptx : new int[] {75, 80, 90}) {
      for (int time = 0; time < 2; time++) {
        try (CudaDevice cuda = SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties());
            Scope scope = Scope.open()) {
          run(cuda, 1, 2.5f, shifted(cuda, TEXT));
          run(cuda, 1, 2.5f, shifted(cuda, TEXT));
        }
      }
      compiled++;
      assertEquals(compiled, cached().size(), cached().toString());
    }
    for (Path file : cached()) {
      String name = file.getFileName().toString();
      assertTrue(name.matches("[0-9a-f]{64}-compute_(75|80|90)-driver-1\\d\\.\\d\\.ptx"), name);
    }
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  @CudaTest
  void whatIsKeptIsUsedUnlessItIsDamaged() throws IOException {
    requireNvrtc();
    String first = Nvrtc.ptx("own", TEXT, 80);
    assertTrue(first.contains(".version 8.0\n"), first);
    Path file = cached().get(0);
    String marked = "// " + "0".repeat(64) + "\n" + first + "// marked\n";
    Files.writeString(file, marked);
    assertEquals(first, Nvrtc.ptx("own", TEXT, 80), "a wrong hash is damage");
    Files.writeString(file, Files.readString(file).substring(0, 500));
    assertEquals(first, Nvrtc.ptx("own", TEXT, 80), "half a file is damage");
    // Kept under the name of another text, with a right hash, it is taken.
    assertNotEquals(first, Nvrtc.ptx("own", TEXT.replace("+ by", "- by"), 80));
    Path other = cached().stream().filter(each -> !each.equals(file)).findFirst().orElseThrow();
    Files.copy(other, file, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertNotEquals(first, Nvrtc.ptx("own", TEXT, 80), "the file was not read");
  }

  @CudaTest
  void aFileBesideTheClassIsCompiledIfItHasNoPtx() {
    requireNvrtc();
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ramp(cuda);
      Buffer y = cuda.allocate(DType.F32, N);
      run(
          cuda,
          3,
          0,
          new OnCuda(
              x,
              y,
              launcher ->
                  launcher
                      .kernel("beside_nvrtc_test", "tripled_f32")
                      .i32(N)
                      .pointer(x)
                      .pointer(y)
                      .launch(2, 64)));
      OnCuda absent =
          new OnCuda(x, y, launcher -> launcher.kernel("no_such_file", "tripled_f32").i32(N));
      String message = assertThrows(DeviceException.class, () -> cuda.execute(absent)).getMessage();
      assertTrue(message.contains("the PTX of no_such_file.cu is missing beside"), message);
    }
  }

  /** The committed kernel of the example, and its text compiled here, give the same bits. */
  @CudaTest
  void theExamplesTextGivesTheBitsOfItsPtx() throws IOException {
    requireNvrtc();
    Path file =
        Path.of(System.getProperty("limbeck.root"))
            .resolve("bench/src/main/java/dev/limbeck/bench/example/squared_relu.cu");
    String source = Files.readString(file);
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ramp(cuda);
      Buffer expected = cuda.allocate(DType.F32, N);
      Buffer actual = cuda.allocate(DType.F32, N);
      cuda.execute(new SquaredRelu(x, null, expected));
      cuda.execute(
          new OnCuda(
              x,
              actual,
              launcher -> {
                launcher.kernel("own_squared_relu", "squared_relu_f32", source).i32(N).f32(1);
                launcher.pointer(x).pointer(x).pointer(actual).launch(4, 64);
              }));
      float[] one = new float[N];
      float[] two = new float[N];
      expected.download(one, 0);
      actual.download(two, 0);
      assertArrayEquals(one, two);
    }
  }

  @CudaTest
  void whatDoesNotCompileIsSaidWithItsLine() {
    requireNvrtc();
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      OnCuda wrong = shifted(cuda, TEXT.replace("v + by", "v + nothing"));
      DeviceException e = assertThrows(DeviceException.class, () -> cuda.execute(wrong));
      assertEquals("NVRTC_ERROR_COMPILATION", e.status());
      assertTrue(e.getMessage().contains("shifted.cu(2): error"), e.getMessage());
      assertTrue(e.getMessage().contains("nothing"), e.getMessage());
      assertFalse(e.getMessage().contains("\n"), e.getMessage());
      run(cuda, 1, 2.5f, shifted(cuda, TEXT));
      OnCuda other = shifted(cuda, TEXT + "\n");
      String message =
          assertThrows(IllegalArgumentException.class, () -> cuda.execute(other)).getMessage();
      assertTrue(message.contains("shifted.cu is loaded with another text"), message);
    }
  }

  /** What {@link #withoutTheLibraryOneSentenceSaysSo} runs in a process of its own. */
  public static final class Child {
    private Child() {}

    /** Prints the message of the failure. */
    public static void main(String[] arguments) {
      Driver.unavailable().ifPresent(System.out::println);
      try (CudaDevice cuda = CudaDevice.open(0);
          Scope scope = Scope.open()) {
        cuda.execute(shifted(cuda, TEXT));
        System.out.println("it ran");
      } catch (DeviceException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  @CudaTest
  void withoutTheLibraryOneSentenceSaysSo() throws Exception {
    if (!SoftwareCuda.isLoaded()) {
      return; // a GPU's machine may have the library in a place of its own
    }
    Path driver = Files.createDirectory(folder.resolve("driver"));
    Path library = SoftwareCuda.folder().resolve("libcuda.so.1");
    Files.copy(library, driver.resolve("libcuda.so.1"));
    String said = child(driver);
    assertEquals(1, said.lines().count(), said);
    String expected =
        "shifted.cu has to be compiled at run time, and there is no NVRTC of CUDA 12"
            + " (libnvrtc.so.12 was not found)";
    assertTrue(said.contains(expected), said);
    // What was compiled before is there without the library.
    Nvrtc.ptx("shifted", TEXT, 80);
    assertEquals("it ran", child(driver));
  }

  private String child(Path driver) throws Exception {
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Dlimbeck.cuda.cache=" + folder.resolve("cache"),
                "-cp",
                System.getProperty("java.class.path"),
                Child.class.getName())
            .redirectErrorStream(true);
    builder.environment().put("LD_LIBRARY_PATH", driver.toString());
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    return said.strip();
  }
}
