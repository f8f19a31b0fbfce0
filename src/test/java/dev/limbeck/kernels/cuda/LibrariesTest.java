package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher.Way;
import dev.limbeck.kernels.Libraries;
import dev.limbeck.kernels.Libraries.Convolution;
import dev.limbeck.kernels.Libraries.Pass;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
import dev.limbeck.kernels.op.Launching;
import dev.limbeck.kernels.op.MatMul;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;

/** Products and convolutions through cuBLAS and cuDNN say what the processor says. */
class LibrariesTest {
  /** Sums of at most some hundred terms near 1, in another order. */
  private static final float TOLERANCE = 2e-5f;

  private static CudaDevice open() {
    return CudaDevice.open(0, SoftwareCuda.withLibraries());
  }

  /** Makes a kernel from buffers of these lengths, the last of which is its result. */
  private record Case(int[] lengths, Function<Buffer[], Kernel> kernel) {}

  private static List<Case> products() {
    List<Case> cases = new ArrayList<>();
    int m = 37;
    int n = 29;
    int k = 53;
    for (int batch : new int[] {1, 3}) {
      for (int kind = 0; kind < 16; kind++) {
        boolean ta = (kind & 1) != 0;
        boolean tb = (kind & 2) != 0;
        boolean bias = (kind & 4) != 0;
        boolean add = (kind & 8) != 0;
        if (!(bias && add)) {
          int[] lengths = {batch * m * k, batch * k * n, n, batch * m * n};
          cases.add(
              new Case(
                  lengths,
                  b ->
                      new MatMul(
                          batch, m, n, k, b[0], ta, b[1], tb, bias ? b[2] : null, b[3], add)));
        }
      }
    }
    return cases;
  }

  private static List<Case> convolutions() {
    List<Case> cases = new ArrayList<>();
    Conv2dDims pointwise = new Conv2dDims(2, 9, 8, 5, 7, 1, 1, Conv2dSpec.same(1));
    List<Conv2dSpec> specs =
        List.of(
            Conv2dSpec.same(3),
            Conv2dSpec.of(2, 1),
            new Conv2dSpec(1, 2, 1, 0, 1, 0),
            // Unequal padding, which cuDNN does not know.
            new Conv2dSpec(2, 2, 0, 0, 1, 1));
    List<Conv2dDims> all = new ArrayList<>(List.of(pointwise));
    specs.forEach(spec -> all.add(new Conv2dDims(2, 9, 8, 5, 7, 3, 3, spec)));
    for (Conv2dDims d : all) {
      int x = d.inPixels() * d.c();
      int w = d.o() * d.taps();
      int y = d.outPixels() * d.o();
      cases.add(new Case(new int[] {x, w, d.o(), y}, b -> new Conv2d(d, b[0], b[1], b[2], b[3])));
      cases.add(new Case(new int[] {y, w, x}, b -> new Conv2dInputGradient(d, b[0], b[1], b[2])));
      for (boolean add : new boolean[] {false, true}) {
        cases.add(
            new Case(new int[] {x, y, w}, b -> new Conv2dWeightGradient(d, b[0], b[1], b[2], add)));
      }
    }
    return cases;
  }

  private static Buffer[] allocate(Device device, int... lengths) {
    Random random = new Random(3);
    Buffer[] buffers = new Buffer[lengths.length];
    for (int i = 0; i < buffers.length; i++) {
      float[] host = new float[lengths[i]];
      for (int e = 0; e < host.length; e++) {
        host[e] = random.nextFloat() - 0.5f;
      }
      buffers[i] = device.allocate(DType.F32, host.length);
      buffers[i].upload(host, 0);
    }
    return buffers;
  }

  private static float[] run(Device device, Case each) {
    try (Scope scope = Scope.open()) {
      Buffer[] buffers = allocate(device, each.lengths);
      device.execute(each.kernel.apply(buffers));
      float[] result = new float[each.lengths[buffers.length - 1]];
      buffers[buffers.length - 1].download(result, 0);
      return result;
    }
  }

  private static void assertAgreement(List<Case> cases, boolean everyOneOurOwn) {
    try (CudaDevice cuda = open();
        CpuDevice cpu = CpuDevice.open(false, 1)) {
      for (int i = 0; i < cases.size(); i++) {
        long before = cuda.counters().launches();
        float[] actual = run(cuda, cases.get(i));
        assertArrayEquals(run(cpu, cases.get(i)), actual, TOLERANCE, "case " + i);
        assertArrayEquals(actual, run(cuda, cases.get(i)), "case " + i + " again");
        // A bias or a sum of parts at most: the library did the rest.
        assertTrue(everyOneOurOwn || cuda.counters().launches() - before <= 2, "case " + i);
      }
    }
  }

  @CudaTest
  void productsAreTheProcessors() {
    assertAgreement(products(), false);
  }

  @CudaTest
  void convolutionsAreTheProcessors() {
    assertAgreement(convolutions(), true);
  }

  @CudaTest
  void theDescriptionNamesWhatIsUsed() {
    try (CudaDevice with = open();
        CudaDevice without = CudaDevice.open(0)) {
      assertTrue(with.description().contains("cuBLAS; cuDNN"), with.description());
      assertTrue(without.description().contains("own kernels only"), without.description());
    }
  }

  @CudaTest
  void smallShapesAreOurOwnUnlessTheLibraryIsAskedFor() {
    CudaDevice.Options options = SoftwareCuda.withLibraries().withLibraries(LibraryUse.LARGE);
    try (CudaDevice cuda = CudaDevice.open(0, options);
        Scope scope = Scope.open()) {
      // The first four convolutions are pointwise.
      for (Case each : List.of(products().get(0), convolutions().get(0), convolutions().get(4))) {
        Kernel kernel = each.kernel.apply(allocate(cuda, each.lengths));
        String library = kernel instanceof MatMul || isPointwise(kernel) ? "cuBLAS" : "cuDNN";
        assertFalse(cuda.launcher().trial(kernel, Way.RULE).contains(library), kernel.name());
        assertEquals(library, cuda.launcher().trial(kernel, Way.LIBRARY).get(0));
      }
    }
  }

  private static boolean isPointwise(Kernel kernel) {
    return kernel instanceof Conv2d c && c.dims().kh() == 1;
  }

  @CudaTest
  void largeShapesAreTheLibraries() {
    CudaDevice.Options options = SoftwareCuda.withLibraries().withLibraries(LibraryUse.LARGE);
    int n = 512;
    Conv2dDims d = new Conv2dDims(1, 2, 2, 256, 256, 3, 3, Conv2dSpec.same(3));
    Conv2dDims strided = new Conv2dDims(1, 2, 2, 256, 256, 3, 3, Conv2dSpec.of(2, 1));
    Conv2dDims narrow = new Conv2dDims(1, 2, 2, 128, 256, 3, 3, Conv2dSpec.same(3));
    try (CudaDevice cuda = CudaDevice.open(0, options);
        Scope scope = Scope.open()) {
      Buffer[] b = allocate(cuda, n * n, n * n, n * n);
      MatMul product = new MatMul(1, n, n, n, b[0], false, b[1], false, null, b[2], false);
      assertEquals(List.of("cuBLAS"), cuda.launcher().trial(product, Way.RULE));
      assertEquals("cuDNN", cuda.launcher().trial(convolution(cuda, d), Way.RULE).get(0));
      for (Conv2dDims own : List.of(strided, narrow)) {
        List<String> launches = cuda.launcher().trial(convolution(cuda, own), Way.RULE);
        assertFalse(launches.contains("cuDNN"), launches.toString());
      }
    }
  }

  private static Conv2d convolution(Device device, Conv2dDims d) {
    Buffer[] b =
        allocate(device, d.inPixels() * d.c(), d.o() * d.taps(), d.o(), d.outPixels() * d.o());
    return new Conv2d(d, b[0], b[1], b[2], b[3]);
  }

  @CudaTest
  void statusesHaveTheNamesOfCudnn9() {
    SoftwareCuda.withLibraries();
    assertEquals("CUDNN_STATUS_BAD_PARAM (2000)", Dnn.name(2000));
    assertEquals("CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH (3007)", Dnn.name(3007));
  }

  @CudaTest
  void aProductIsReplayed() {
    Case product = products().get(0);
    float[] expected;
    try (CudaDevice cuda = open()) {
      expected = run(cuda, product);
    }
    CudaDevice.Options options = SoftwareCuda.withLibraries();
    try (CudaDevice cuda = CudaDevice.open(0, options.withExactMemory(false));
        Scope scope = Scope.open();
        Replay replay = cuda.replay()) {
      Buffer result = cuda.allocate(DType.F32, expected.length);
      Random random = new Random(3);
      for (int i = 0; i < 4; i++) {
        random.setSeed(3);
        replay.run(
            () -> {
              try (Scope step = Scope.open()) {
                Buffer[] buffers = new Buffer[3];
                for (int b = 0; b < 3; b++) {
                  float[] host = new float[product.lengths[b]];
                  for (int e = 0; e < host.length; e++) {
                    host[e] = random.nextFloat() - 0.5f;
                  }
                  buffers[b] = cuda.allocate(DType.F32, host.length);
                  buffers[b].upload(host, 0);
                }
                cuda.execute(
                    product.kernel.apply(
                        new Buffer[] {buffers[0], buffers[1], buffers[2], result}));
              }
            });
        float[] actual = new float[expected.length];
        result.download(actual, 0);
        assertArrayEquals(expected, actual, "run " + i);
        result.upload(new float[expected.length], 0);
      }
      assertEquals(3, cuda.counters().replays());
    }
  }

  /** Each differs from the first in one number, but for the second: it has the first's hash. */
  private static final int[][] PRODUCTS = {
    {2, 2, 33, 8, 0, 0, 0}, {2, 3, 2, 8, 0, 0, 0}, {1, 2, 33, 8, 0, 0, 0}, {2, 4, 33, 8, 0, 0, 0},
    {2, 2, 31, 8, 0, 0, 0}, {2, 2, 33, 9, 0, 0, 0}, {2, 2, 33, 8, 1, 0, 0}, {2, 2, 33, 8, 0, 1, 0},
    {2, 2, 33, 8, 0, 0, 1}, {2, 2, 33, 8, 1, 1, 0},
  };

  @CudaTest
  void aReplayedProductIsNoOther() {
    int[] a = PRODUCTS[0];
    int[] c = PRODUCTS[1];
    assertEquals(Objects.hash(a[0], a[1], a[2], a[3]), Objects.hash(c[0], c[1], c[2], c[3]));
    assertEachIsRefusedForEachOther(
        PRODUCTS.length,
        (libraries, b, i) -> {
          int[] p = PRODUCTS[i];
          return libraries.matMul(
              p[0], p[1], p[2], p[3], b[0], p[4] > 0, b[1], p[5] > 0, b[2], p[6] > 0);
        });
  }

  /** 3×3 on 6×6, same size; the others differ in one number and in what follows from it. */
  private static final List<Convolution> CONVOLUTIONS =
      List.of(
          new Convolution(2, 6, 6, 4, 4, 3, 3, 1, 1, 1, 1, 6, 6),
          new Convolution(1, 6, 6, 4, 4, 3, 3, 1, 1, 1, 1, 6, 6),
          new Convolution(2, 7, 6, 4, 4, 3, 3, 1, 1, 1, 1, 7, 6),
          new Convolution(2, 6, 7, 4, 4, 3, 3, 1, 1, 1, 1, 6, 7),
          new Convolution(2, 6, 6, 3, 4, 3, 3, 1, 1, 1, 1, 6, 6),
          new Convolution(2, 6, 6, 4, 3, 3, 3, 1, 1, 1, 1, 6, 6),
          new Convolution(2, 6, 6, 4, 4, 1, 3, 1, 1, 0, 1, 6, 6),
          new Convolution(2, 6, 6, 4, 4, 3, 1, 1, 1, 1, 0, 6, 6),
          new Convolution(2, 6, 6, 4, 4, 3, 3, 2, 1, 1, 1, 3, 6),
          new Convolution(2, 6, 6, 4, 4, 3, 3, 1, 2, 1, 1, 6, 3),
          new Convolution(2, 6, 6, 4, 4, 3, 3, 1, 1, 0, 1, 4, 6),
          new Convolution(2, 6, 6, 4, 4, 3, 3, 1, 1, 1, 0, 6, 4));

  @CudaTest
  void aReplayedConvolutionIsNoOther() {
    Pass[] passes = Pass.values();
    // Each pass of the first, each added to what is there, then the other sizes.
    int variants = 2 * passes.length;
    assertEachIsRefusedForEachOther(
        variants + CONVOLUTIONS.size() - 1,
        (libraries, b, i) ->
            libraries.convolve(
                passes[i < variants ? i % passes.length : 0],
                CONVOLUTIONS.get(Math.max(0, i - variants + 1)),
                b[0],
                b[1],
                b[2],
                i < variants && i >= passes.length));
  }

  /** Call number {@code i} on the same three buffers; false if the library does not take it. */
  private interface Call {
    boolean on(Libraries libraries, Buffer[] buffers, int i);
  }

  private static void assertEachIsRefusedForEachOther(int count, Call call) {
    CudaDevice.Options options = SoftwareCuda.withLibraries();
    try (CudaDevice cuda = CudaDevice.open(0, options.withExactMemory(false));
        Scope scope = Scope.open()) {
      Buffer[] buffers = new Buffer[3];
      for (int i = 0; i < buffers.length; i++) {
        buffers[i] = cuda.allocate(DType.F32, 4096);
        buffers[i].upload(new float[4096], 0);
      }
      for (int recorded = 0; recorded < count; recorded++) {
        try (Replay replay = cuda.replay()) {
          for (int run = 0; run < 2; run++) {
            replayed(replay, cuda, call, buffers, recorded);
          }
          for (int other = 0; other < count; other++) {
            if (other == recorded) {
              continue;
            }
            int number = other;
            assertThrows(
                IllegalStateException.class,
                () -> replayed(replay, cuda, call, buffers, number),
                other + " passed for " + recorded);
          }
          replayed(replay, cuda, call, buffers, recorded);
        }
      }
    }
  }

  private static void replayed(Replay replay, CudaDevice cuda, Call call, Buffer[] buffers, int i) {
    replay.run(
        () ->
            cuda.execute(
                new Launching(
                    buffers[0],
                    launcher ->
                        assertTrue(call.on(launcher.libraries(), buffers, i), "call " + i))));
  }
}
