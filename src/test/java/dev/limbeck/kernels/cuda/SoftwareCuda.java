package dev.limbeck.kernels.cuda;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;
import org.opentest4j.TestAbortedException;

/**
 * The GPU of tests: a software CUDA device, built from {@code src/test/cuda} and loaded in place of
 * NVIDIA's driver; with {@code -Dlimbeck.test.cuda=real} the driver of this machine.
 */
public final class SoftwareCuda {
  private static final String WHY_NOT = load();

  private SoftwareCuda() {}

  /** Empty if a CUDA device can be opened, else one sentence that says why not. */
  public static String whyNot() {
    return WHY_NOT.isEmpty() ? Driver.unavailable().orElse("") : WHY_NOT;
  }

  /** True if the absence of a CUDA device is a failure: {@code REQUIRE_DEVICES} names cuda. */
  public static boolean required() {
    String names = System.getenv("REQUIRE_DEVICES");
    return names != null && List.of(names.split("\\s*,\\s*")).contains("cuda");
  }

  private static String load() {
    if ("real".equals(System.getProperty("limbeck.test.cuda"))) {
      return "";
    }
    for (String tool : List.of("g++", "cmake", "nvcc")) {
      if (!onPath(tool)) {
        return tool + " is not installed, which builds the software CUDA device";
      }
    }
    try {
      Path build = folder();
      Files.createDirectories(build);
      Path log = build.resolve("build.log");
      Files.deleteIfExists(log);
      run(
          log,
          List.of(
              "cmake",
              "-S",
              root().resolve("src/test/cuda").toString(),
              "-B",
              build.toString(),
              "-DCMAKE_BUILD_TYPE=Release"));
      run(log, List.of("cmake", "--build", build.toString(), "--parallel", "2"));
      // In this order: the libraries need the driver's.
      for (String library :
          List.of("libcuda.so.1", "libcublas.so.12", "libcudnn.so.9", "libnvrtc.so.12")) {
        System.load(build.resolve(library).toString());
      }
      String whyNot = Driver.load(() -> JCudaDriver.setExceptionsEnabled(false), "libcuda", "");
      if (whyNot.isEmpty()) {
        option("devices=2");
      }
      return whyNot;
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  /** True in the process of the CUDA tests, if they run on the software device. */
  public static boolean isLoaded() {
    return "cuda".equals(System.getProperty("limbeck.test.devices"))
        && !"real".equals(System.getProperty("limbeck.test.cuda"))
        && whyNot().isEmpty();
  }

  /** Sets an option of the software device, as in {@code capability=75}. */
  public static void option(String assignment) {
    // The door that the device leaves open for this; see its README.
    Driver.check(
        "cuDeviceGetByPCIBusId",
        JCudaDriver.cuDeviceGetByPCIBusId(new CUdevice(), "limbeck:" + assignment),
        assignment);
  }

  /** A device with memory as in production; other tests have one allocation for each buffer. */
  public static CudaDevice openPooled() {
    return CudaDevice.open(0, CudaDevice.Options.ofProperties().withExactMemory(false));
  }

  /**
   * A device that takes this PTX and none newer: the software device is given such a capability; of
   * a GPU older PTX is asked than it could run.
   *
   * @throws TestAbortedException if the GPU is too old for it
   */
  public static CudaDevice openWithPtx(int ptx, CudaDevice.Options options) {
    if (isLoaded()) {
      option("capability=" + ptx);
    }
    CudaDevice device = CudaDevice.open(0, options.withPtx(ptx));
    if (device.capability() != ptx) {
      device.close();
      throw new TestAbortedException("this GPU takes no PTX " + ptx);
    }
    return device;
  }

  /**
   * Options with cuBLAS and cuDNN for all that they take; the software device has stand-ins for
   * both.
   *
   * @throws TestAbortedException on a GPU without them
   */
  static CudaDevice.Options withLibraries() {
    for (Optional<String> absent : List.of(Blas.unavailable(), Dnn.unavailable())) {
      if (absent.isPresent() && !isLoaded()) {
        throw new TestAbortedException(absent.get());
      }
    }
    return CudaDevice.Options.ofProperties().withLibraries(LibraryUse.ALWAYS);
  }

  /** Where the software device is built. */
  static Path folder() {
    return root().resolve("target/cuda");
  }

  private static Path root() {
    return Path.of(System.getProperty("limbeck.root")).toAbsolutePath().normalize();
  }

  /** True if a program can be called by its name. */
  static boolean onPath(String tool) {
    for (String folder : System.getenv("PATH").split(File.pathSeparator)) {
      if (Files.isExecutable(Path.of(folder, tool))) {
        return true;
      }
    }
    return false;
  }

  private static void run(Path log, List<String> command) throws IOException {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
            .start();
    try {
      if (!process.waitFor(15, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new IllegalStateException(command + " takes more than 15 minutes");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      throw new IllegalStateException(e);
    }
    if (process.exitValue() != 0) {
      throw new IllegalStateException(
          "the software CUDA device does not build: " + command + "\n" + Files.readString(log));
    }
  }
}
