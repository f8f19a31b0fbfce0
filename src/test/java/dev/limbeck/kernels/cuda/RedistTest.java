package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * NVIDIA's libraries come out of a jar: the right ones, to a private place, in an order that works.
 */
class RedistTest {
  private static final String HOME = "org/bytedeco/cuda/linux-x86_64/";

  /** Names as in NVIDIA's jar, which holds more libraries than are wanted. */
  private static final List<String> NAMES =
      List.of(
          "libcudnn.so.9",
          "libcudnn_ops.so.9",
          "libnvrtc.so.12",
          "libnvrtc-builtins.so.12.6",
          "libcublas.so.12",
          "libnvblas.so.12",
          "libcublasLt.so.12",
          "libcufft.so.11",
          "libcudnn_graph.so.9");

  @TempDir Path folder;

  private Path jar(Map<String, byte[]> files) throws IOException {
    Path jar = folder.resolve("small-redist.jar");
    try (OutputStream out = Files.newOutputStream(jar);
        JarOutputStream zip = new JarOutputStream(out)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        zip.putNextEntry(new ZipEntry(HOME + file.getKey()));
        zip.write(file.getValue());
      }
    }
    return jar;
  }

  private Path jarOfNames() throws IOException {
    Map<String, byte[]> files = new java.util.LinkedHashMap<>();
    NAMES.forEach(
        name -> files.put(name, ("contents of " + name).getBytes(StandardCharsets.UTF_8)));
    return jar(files);
  }

  private static List<String> names(List<Path> files) {
    return files.stream().map(file -> file.getFileName().toString()).toList();
  }

  @Test
  void whatIsWantedIsUnpackedOnceAndInOrder() throws IOException {
    Path target = folder.resolve("a/libraries");
    try (JarFile jar = new JarFile(jarOfNames().toFile())) {
      List<Path> files = Redist.unpack(jar, target);
      assertEquals(
          List.of(
              "libcublasLt.so.12",
              "libcublas.so.12",
              "libnvrtc-builtins.so.12.6",
              "libnvrtc.so.12",
              "libcudnn_graph.so.9",
              "libcudnn_ops.so.9",
              "libcudnn.so.9"),
          names(files));
      Set<String> there = new TreeSet<>();
      try (Stream<Path> entries = Files.list(target)) {
        entries.forEach(entry -> there.add(entry.getFileName().toString()));
      }
      assertEquals(new TreeSet<>(names(files)), there);
      for (Path file : files) {
        assertEquals("contents of " + file.getFileName(), Files.readString(file));
      }
      String mode = PosixFilePermissions.toString(Files.getPosixFilePermissions(target));
      assertEquals("rwx------", mode);

      FileTime old = FileTime.fromMillis(1_000_000);
      Files.setLastModifiedTime(files.get(0), old);
      Files.writeString(files.get(1), "half");
      Redist.unpack(jar, target);
      assertEquals(old, Files.getLastModifiedTime(files.get(0)), "unpacked again");
      assertEquals("contents of libcublas.so.12", Files.readString(files.get(1)));
    }
  }

  @Test
  void aFolderThatOthersCanWriteToIsRefused() throws IOException {
    Path target = Files.createDirectory(folder.resolve("open"));
    Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rwxrwxrwx"));
    try (JarFile jar = new JarFile(jarOfNames().toFile())) {
      String message =
          assertThrows(IOException.class, () -> Redist.unpack(jar, target)).getMessage();
      assertTrue(message.contains("open can be written by others"), message);
    }
  }

  /** A part that needs another one, which comes later, is tried again. */
  @Test
  void librariesThatNeedOneAnotherAreLoaded() {
    Map<String, String> needs =
        Map.of("a", "c", "c", "d", "e", "nowhere", "libcublas.so.12", "libcublasLt.so.12");
    List<String> loaded = new ArrayList<>();
    List<Path> files =
        Stream.of("a", "b", "c", "d", "e", "libcublasLt.so.12", "libcublas.so.12")
            .map(Path::of)
            .toList();
    Map<String, String> failures =
        Redist.load(
            files,
            file -> {
              String name = file.toString();
              if (needs.containsKey(name) && !loaded.contains(needs.get(name))) {
                throw new UnsatisfiedLinkError(needs.get(name) + " is missing");
              }
              loaded.add(name);
            });
    assertEquals(
        List.of("b", "d", "libcublasLt.so.12", "libcublas.so.12", "c", "a"), loaded, "order");
    assertEquals(Map.of("e", "e cannot be loaded: nowhere is missing"), failures);
  }

  /** A process that finds no library anywhere else takes the jar's; without the jar it has none. */
  @CudaTest
  void aMachineWithADriverOnlyUsesTheLibrariesOfTheJar() throws Exception {
    if (!SoftwareCuda.isLoaded()) {
      return; // a GPU's machine may have libraries of its own
    }
    Path built = SoftwareCuda.folder();
    Path driver = Files.createDirectory(folder.resolve("driver"));
    Files.copy(built.resolve("libcuda.so.1"), driver.resolve("libcuda.so.1"));
    Path jar =
        jar(
            Map.of(
                "libcublas.so.12", Files.readAllBytes(built.resolve("libcublas.so.12")),
                "libcudnn.so.9", Files.readAllBytes(built.resolve("libcudnn.so.9"))));
    String with = info(driver, jar);
    assertTrue(with.contains("cuBLAS; cuDNN (of small-redist.jar)"), with);
    String without = info(driver, folder);
    assertTrue(without.contains("no cuBLAS") && without.contains("no cuDNN"), without);
    assertFalse(without.contains("small-redist"), without);

    Path broken = jar(Map.of("libcublas.so.12", "no library".getBytes(StandardCharsets.UTF_8)));
    String why = info(driver, broken);
    assertTrue(why.contains("libcublas.so.12 cannot be loaded"), why);
    assertTrue(why.contains("own kernels instead"), why);
  }

  private String info(Path driver, Path more) throws Exception {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-Dlimbeck.cuda.redist=" + folder.resolve("unpacked"),
            "-cp",
            System.getProperty("java.class.path") + File.pathSeparator + more,
            "dev.limbeck.distillation.cli.Main",
            "info");
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LD_LIBRARY_PATH", driver.toString());
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    assertEquals(0, process.exitValue(), said);
    return said;
  }
}
