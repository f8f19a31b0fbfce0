package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.LibraryUse;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.kernels.op.Unary;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.opentest4j.TestAbortedException;

/** Every row of {@link OpCases} on a CUDA device, with each PTX, against the processor. */
@Tag("cuda")
@Tag("cuda-only")
class CudaOpCasesTest {
  private static final int[] PTX = {75, 80, 90};

  private static final Set<String> BY_LIBRARY = Set.of("matmul", "linear", "conv2d");

  /** One architecture will do where it is not the architecture that is tried. */
  private static final int USUAL = 80;

  /**
   * How the rows are run.
   *
   * @param options of the software device
   * @param libraries products and convolutions go through cuBLAS and cuDNN
   * @param tolerance as a share of the largest element
   */
  private record Way(int ptx, List<String> options, boolean libraries, float tolerance) {
    CudaDevice open() {
      CudaDevice.Options usual = CudaDevice.Options.ofProperties();
      return SoftwareCuda.openWithPtx(
          ptx, usual.withLibraries(libraries ? LibraryUse.ALWAYS : LibraryUse.OFF));
    }

    @Override
    public String toString() {
      return "PTX " + ptx + (libraries ? ", libraries" : "") + options;
    }
  }

  /** Sums in another order, at most a few hundred terms long. */
  private static final float ORDER = 4e-6f;

  @TestFactory
  List<DynamicNode> valuesAndDerivativesAreTheProcessors() {
    List<DynamicNode> tests = new ArrayList<>();
    for (int ptx : PTX) {
      tests.addAll(tests(new Way(ptx, List.of(), false, ORDER), OpCases.all()));
    }
    return tests;
  }

  /** Nothing is read that nobody wrote, and no two threads meet without a barrier between them. */
  @TestFactory
  List<DynamicNode> underTheSlowCheckers() {
    List<String> options = List.of("racecheck=on", "initcheck=on", "schedule=5");
    return tests(new Way(USUAL, options, false, ORDER), OpCases.all());
  }

  /** Approximate functions err as far as NVIDIA's documents allow, and products add backwards. */
  @TestFactory
  List<DynamicNode> withWorseApproximations() {
    return tests(new Way(USUAL, List.of("noise=3"), false, ORDER), OpCases.all());
  }

  /** What the checkers of the two tests above must find, or they prove nothing. */
  @CudaTest
  void theCheckersFindWhatIsWrong() {
    if (!SoftwareCuda.isLoaded()) {
      return;
    }
    int half = 1 << 12;
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      SoftwareCuda.option("initcheck=on");
      Buffer x = cuda.allocate(DType.F32, half);
      assertRefused(cuda, new Unary(Unary.Op.NEG, 0f, 0f, x, x));
    }
    SoftwareCuda.option("initcheck=off,racecheck=on");
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = cuda.allocate(DType.F32, 2 * half);
      x.upload(new float[2 * half], 0);
      // A block writes what the one after it reads.
      Buffer shifted = x.slice(half / 2, half);
      assertRefused(cuda, new Unary(Unary.Op.NEG, 0f, 0f, x.slice(0, half), shifted));
    }
  }

  private static void assertRefused(CudaDevice cuda, Kernel kernel) {
    DeviceException e =
        assertThrows(
            DeviceException.class,
            () -> {
              cuda.execute(kernel);
              cuda.synchronize();
            });
    assertEquals("CUDA_ERROR_LAUNCH_FAILED", e.status());
  }

  @TestFactory
  List<DynamicNode> throughTheLibraries() {
    List<OpCase> rows = new ArrayList<>(OpCases.all());
    rows.removeIf(row -> !BY_LIBRARY.contains(row.op()));
    return tests(new Way(USUAL, List.of(), true, ORDER), rows);
  }

  private static List<DynamicNode> tests(Way way, List<OpCase> rows) {
    String whyNot = SoftwareCuda.whyNot();
    if (!whyNot.isEmpty()) {
      assertEquals(false, SoftwareCuda.required(), whyNot);
      throw new TestAbortedException(whyNot);
    }
    List<DynamicNode> tests = new ArrayList<>();
    if (!way.options.isEmpty() && !SoftwareCuda.isLoaded()) {
      return tests; // a GPU has no such options
    }
    for (OpCase row : rows) {
      tests.add(DynamicTest.dynamicTest(row + ", " + way, () -> check(row, way)));
    }
    return tests;
  }

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static void check(OpCase row, Way way) {
    way.options.forEach(SoftwareCuda::option);
    try (CpuDevice cpu = CpuDevice.open(false, 1);
        CudaDevice cuda = way.open()) {
      assertTrue(cuda.description().contains("PTX " + way.ptx), cuda.description());
      OpCasesTest.Result expected = run(cpu, row);
      OpCasesTest.Result actual = run(cuda, row);
      assertClose(expected.value(), actual.value(), way, row + ", value");
      assertClose(expected.tangent(), actual.tangent(), way, row + ", tangent");
      for (int i = 0; i < row.inputs().size(); i++) {
        float[] gradient = actual.gradients().get(i);
        assertClose(expected.gradients().get(i), gradient, way, row + ", gradient " + i);
      }
      assertEquals(0, cuda.memory().liveBuffers(), "buffers left");
      OpCasesTest.Result again = run(cuda, row);
      assertArrayEquals(actual.value(), again.value(), "the second run differs");
      assertArrayEquals(actual.tangent(), again.tangent(), "the second run's tangent differs");
      for (int i = 0; i < row.inputs().size(); i++) {
        assertArrayEquals(actual.gradients().get(i), again.gradients().get(i), "gradient " + i);
      }
    } catch (UnsupportedOperationException e) {
      throw new TestAbortedException(e.getMessage());
    }
  }

  private static OpCasesTest.Result run(Device device, OpCase row) {
    try (Scope scope = Scope.open()) {
      return OpCasesTest.run(device, row);
    }
  }

  private static void assertClose(float[] expected, float[] actual, Way way, String what) {
    float largest = 1e-6f;
    for (float e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    assertArrayEquals(expected, actual, way.tolerance * largest, what);
  }
}
