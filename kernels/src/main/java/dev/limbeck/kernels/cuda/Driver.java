package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** The driver's library: whether it is there, and what its statuses mean. */
final class Driver {
  /** CUDA 12.0, the first that reads the PTX of this build; its drivers are 525 and newer. */
  private static final int OLDEST = 12000;

  private static final String TEMPORARY = "java.io.tmpdir";

  private Driver() {}

  /** The answer, looked for once in the life of the process. */
  private static final class Found {
    static final Found ANSWER = new Found();

    final String reason;
    final int version;
    final int devices;

    private Found() {
      int[] number = new int[1];
      int found = 0;
      String why = load(Driver::touch, "libcuda.so.1", "no NVIDIA driver");
      int driver = 0;
      if (why.isEmpty()) {
        why = failure("cuInit", JCudaDriver.cuInit(0));
      }
      if (why.isEmpty()) {
        why = failure("cuDriverGetVersion", JCudaDriver.cuDriverGetVersion(number));
        driver = number[0];
      }
      if (why.isEmpty() && driver < OLDEST) {
        why = "its driver is made for CUDA " + versionName(driver) + "; 525 or newer is needed";
      }
      if (why.isEmpty()) {
        why = failure("cuDeviceGetCount", JCudaDriver.cuDeviceGetCount(number));
        found = number[0];
      }
      if (why.isEmpty() && found == 0) {
        why = "the driver sees no GPU";
      }
      this.reason = why;
      this.version = driver;
      this.devices = found;
    }
  }

  /** Initialises JCuda's class, which loads its native library and that the driver's. */
  private static void touch() {
    JCudaDriver.setExceptionsEnabled(false);
  }

  private static String failure(String call, int status) {
    return status == CUresult.CUDA_SUCCESS ? "" : call + " answers " + CUresult.stringFor(status);
  }

  /** Empty if the driver answers and has a device; else one sentence that says why not. */
  static Optional<String> unavailable() {
    String reason = Found.ANSWER.reason;
    return reason.isEmpty() ? Optional.empty() : Optional.of(reason);
  }

  /** Number of GPUs. */
  static int devices() {
    return Found.ANSWER.devices;
  }

  /** The CUDA version that the driver is made for, as in {@code 12.4}. */
  static String version() {
    return versionName(Found.ANSWER.version);
  }

  private static String versionName(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  /**
   * Loads one of JCuda's native libraries from a folder of its own, which is deleted at once.
   *
   * <p>JCuda unpacks to java.io.tmpdir under a fixed name and takes a file that it finds there,
   * whoever put it. So that property points to a fresh private folder while it loads.
   *
   * @param touch initialises the class that loads the library
   * @param library what the native library itself needs
   * @param absent says what it means when that is not found
   * @return empty, or one sentence that says why it cannot be used
   */
  static synchronized String load(Runnable touch, String library, String absent) {
    String before = System.getProperty(TEMPORARY);
    Path folder;
    try {
      folder = Files.createTempDirectory("limbeck-natives");
    } catch (IOException e) {
      return "no folder for JCuda's native library can be made: " + e.getMessage();
    }
    try {
      System.setProperty(TEMPORARY, folder.toString());
      touch.run();
      return "";
    } catch (LinkageError e) {
      String text = String.valueOf(e.getMessage());
      if (text.contains(library)) {
        return absent + " (" + library + " was not found)";
      }
      return "JCuda's native library for this system is not on the class path";
    } finally {
      System.setProperty(TEMPORARY, before);
      delete(folder);
    }
  }

  /** A library that is loaded no longer needs its file. */
  private static void delete(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
      Files.delete(folder);
    } catch (IOException e) {
      // On systems that lock loaded files the folder stays behind, private as it is.
      folder.toFile().deleteOnExit();
    }
  }

  /** Throws what a status other than success means. */
  static void check(String call, int status) {
    if (status != CUresult.CUDA_SUCCESS) {
      throw new DeviceException(call, CUresult.stringFor(status), explain(status));
    }
  }

  /** Throws what a status other than success means, with the call's arguments in words. */
  static void check(String call, int status, String arguments) {
    if (status != CUresult.CUDA_SUCCESS) {
      String explanation = explain(status);
      throw new DeviceException(
          call,
          CUresult.stringFor(status),
          explanation.isEmpty() ? arguments : arguments + "; " + explanation);
    }
  }

  private static String explain(int status) {
    return switch (status) {
      case CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
          CUresult.CUDA_ERROR_LAUNCH_FAILED,
          CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
          CUresult.CUDA_ERROR_ASSERT,
          CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION ->
          "a kernel launched earlier failed, and the device is lost to this process;"
              + " -Dlimbeck.trace=kernels shows which one";
      case CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION -> "the driver is too old: 525 is needed";
      default -> "";
    };
  }
}
