package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Launcher.Way;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.MatMul;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Measured choices are made once, kept with what they were measured on, and obeyed. */
class TunerTest {
  /** Larger than one tile of 64, so that there is more than one way. */
  private static final int M = 70;

  private static final int N = 66;
  private static final int K = 40;

  /** Sums of forty terms below 1/4, in another order. */
  private static final float TOLERANCE = 5e-6f;

  @TempDir Path folder;

  private Path file() {
    return folder.resolve("new/choices.json");
  }

  private CudaDevice open(boolean libraries) {
    CudaDevice.Options options =
        libraries
            ? SoftwareCuda.withLibraries()
            : CudaDevice.Options.ofProperties().withLibraries(LibraryUse.OFF);
    return CudaDevice.open(0, options.withExactMemory(false).withAutotune(file()));
  }

  private static Buffer random(Device device, int length, int seed) {
    Random random = new Random(seed);
    float[] host = new float[length];
    for (int i = 0; i < length; i++) {
      host[i] = random.nextFloat() - 0.5f;
    }
    Buffer buffer = device.allocate(DType.F32, length);
    buffer.upload(host, 0);
    return buffer;
  }

  private static MatMul product(Device device, int m, boolean accumulate) {
    Buffer a = random(device, m * K, 1);
    Buffer b = random(device, K * N, 2);
    Buffer c = random(device, m * N, 3);
    return new MatMul(1, m, N, K, a, false, b, false, null, c, accumulate);
  }

  private static float[] floats(Buffer buffer) {
    float[] host = new float[buffer.length()];
    buffer.download(host, 0);
    return host;
  }

  /** The product on a device, and its result. */
  private static float[] multiply(Device device, boolean accumulate) {
    try (Scope scope = Scope.open()) {
      MatMul product = product(device, M, accumulate);
      device.execute(product);
      return floats(product.c());
    }
  }

  private Map<String, Object> devices() throws IOException {
    Map<String, Object> all = Json.parseObject(Files.readString(file()));
    return Json.object(all.get("devices"), "devices");
  }

  /** The only entry of the only device. */
  private Map<String, Object> onlyEntry() throws IOException {
    assertEquals(1, devices().size());
    Map<String, Object> shapes = Json.object(devices().values().iterator().next(), "shapes");
    assertEquals(1, shapes.size());
    return Json.object(shapes.values().iterator().next(), "entry");
  }

  @CudaTest
  void aChoiceIsMeasuredOnceAndKept() throws IOException {
    float[] expected;
    try (CpuDevice cpu = CpuDevice.open(false, 1)) {
      expected = multiply(cpu, true);
    }
    try (CudaDevice cuda = open(true)) {
      // Added once to what was there, however often it was measured.
      assertArrayEquals(expected, multiply(cuda, true), TOLERANCE);
      long before = cuda.counters().launches();
      assertArrayEquals(expected, multiply(cuda, true), TOLERANCE);
      assertTrue(cuda.counters().launches() - before <= 1, "measured again");
    }
    Map<String, Object> times = Json.object(onlyEntry().get("microseconds"), "times");
    // The rule takes the library, so that has no entry of its own.
    assertEquals("[rule, small-tiles, large-tiles]", times.keySet().toString());
    String name = devices().keySet().iterator().next();
    assertTrue(name.matches(".*PTX \\d+.*driver for CUDA 1.*cuBLAS \\d+; cuDNN \\d+"), name);
    byte[] kept = Files.readAllBytes(file());
    try (CudaDevice cuda = open(true)) {
      assertArrayEquals(expected, multiply(cuda, true), TOLERANCE);
      assertTrue(cuda.counters().launches() <= 1, "measured again");
    }
    assertArrayEquals(kept, Files.readAllBytes(file()));
  }

  @CudaTest
  void whatTheFileSaysIsDone() throws IOException {
    try (CudaDevice cuda = open(true)) {
      multiply(cuda, false);
    }
    String text = Files.readString(file());
    String way = onlyEntry().get("way").toString();
    for (Way each : new Way[] {Way.SMALL_TILES, Way.LARGE_TILES, Way.LIBRARY}) {
      String name = each.name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
      Files.writeString(
          file(), text.replace("\"way\": \"" + way + '"', "\"way\": \"" + name + '"'));
      try (CudaDevice cuda = open(true);
          Scope scope = Scope.open()) {
        MatMul product = product(cuda, M, false);
        assertEquals(each, cuda.tuner().way(product));
        long before = cuda.counters().launches();
        cuda.execute(product);
        assertEquals(each == Way.LIBRARY ? 0 : 1, cuda.counters().launches() - before);
        String launched = cuda.launcher().trial(product, each).toString();
        String expected =
            switch (each) {
              case LIBRARY -> "[cuBLAS]";
              case LARGE_TILES -> "[matmul_nn_f32_large 1 1 1]";
              default -> "[matmul_nn_f32_small 4 1 1]";
            };
        assertEquals(expected, launched);
      }
    }
  }

  @CudaTest
  void choicesOfAnotherDeviceOrOfOtherLibrariesDoNotCount() throws IOException {
    try (CudaDevice cuda = open(true)) {
      multiply(cuda, false);
    }
    String other = "Another GPU; compute capability 86";
    String mine = devices().keySet().iterator().next();
    Files.writeString(file(), Files.readString(file()).replace(mine, other));
    try (CudaDevice cuda = open(true)) {
      multiply(cuda, false);
    }
    assertEquals(java.util.Set.of(other, mine), devices().keySet());
    try (CudaDevice cuda = open(false)) {
      multiply(cuda, false);
    }
    assertEquals(3, devices().size(), "without libraries it is another matter");
    assertTrue(devices().keySet().toString().contains("no cuBLAS"), devices().keySet().toString());
  }

  @CudaTest
  void convolutionsAreMeasuredToo() throws IOException {
    Conv2dDims d = new Conv2dDims(2, 7, 6, 5, 4, 3, 3, Conv2dSpec.same(3));
    try (CudaDevice cuda = open(true);
        Scope scope = Scope.open()) {
      Buffer x = random(cuda, 2 * 7 * 6 * 5, 1);
      Buffer y = random(cuda, 2 * 7 * 6 * 4, 3);
      cuda.execute(new Conv2d(d, x, random(cuda, 4 * 9 * 5, 2), null, y));
    }
    Map<String, Object> times = Json.object(onlyEntry().get("microseconds"), "times");
    assertEquals("[rule, small-tiles]", times.keySet().toString());
    assertTrue(devices().values().toString().contains("conv2d"), devices().toString());
  }

  @CudaTest
  void nothingIsMeasuredWhileAStepIsCapturedOrReplayed() throws IOException {
    try (CudaDevice cuda = open(false);
        Scope scope = Scope.open();
        Replay replay = cuda.replay()) {
      MatMul first = product(cuda, M, false);
      MatMul later = product(cuda, M + 1, false);
      replay.run(() -> cuda.execute(first));
      String rehearsed = Files.readString(file());
      for (int i = 0; i < 3; i++) {
        replay.run(
            () -> {
              cuda.execute(first);
              cuda.execute(later);
            });
      }
      cuda.execute(later);
      assertEquals(rehearsed, Files.readString(file()));
      assertEquals(Way.RULE, cuda.tuner().way(later));
      onlyEntry();
    }
  }

  @CudaTest
  void aDamagedFileIsRefusedInOneSentence() throws IOException {
    Files.createDirectories(file().getParent());
    for (String text :
        new String[] {
          "{\"format\":", "{\"format\": \"another\"}", "{\"format\": \"limbeck-autotune-1\"}"
        }) {
      Files.writeString(file(), text);
      String message = assertThrows(IllegalArgumentException.class, () -> open(false)).getMessage();
      assertTrue(message.startsWith("limbeck.cuda.autotune: " + file()), message);
      assertTrue(message.endsWith("delete it, and they are measured again"), message);
      assertFalse(message.contains("\n"), message);
    }
    Files.delete(file());
    try (CudaDevice cuda = open(false)) {
      multiply(cuda, false);
    }
    String way = onlyEntry().get("way").toString();
    Files.writeString(file(), Files.readString(file()).replace('"' + way + '"', "\"best\""));
    String message = assertThrows(IllegalArgumentException.class, () -> open(false)).getMessage();
    assertTrue(message.contains("\"best\" is no way to run a kernel"), message);
  }

  @Test
  void theFixedRuleStaysUnlessAnotherWayIsClearlyFaster() {
    Map<Way, Double> times = new EnumMap<>(Way.class);
    times.put(Way.RULE, 100.0);
    times.put(Way.SMALL_TILES, 98.0);
    assertEquals(Way.RULE, Tuner.fastest(times));
    times.put(Way.LARGE_TILES, 90.0);
    times.put(Way.SMALL_TILES, 91.0);
    assertEquals(Way.LARGE_TILES, Tuner.fastest(times));
  }
}
