package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import java.util.ArrayList;
import java.util.List;
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

  @TestFactory
  List<DynamicNode> valuesAndGradientsAreTheProcessors() {
    String whyNot = SoftwareCuda.whyNot();
    if (!whyNot.isEmpty()) {
      assertEquals(false, SoftwareCuda.required(), whyNot);
      throw new TestAbortedException(whyNot);
    }
    List<DynamicNode> tests = new ArrayList<>();
    for (int ptx : PTX) {
      for (OpCase row : OpCases.all()) {
        tests.add(DynamicTest.dynamicTest(row + ", PTX " + ptx, () -> check(row, ptx)));
      }
    }
    return tests;
  }

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static void check(OpCase row, int ptx) {
    SoftwareCuda.option("capability=" + ptx);
    try (CpuDevice cpu = CpuDevice.open(false, 1);
        CudaDevice cuda = CudaDevice.open(0)) {
      assertTrue(cuda.description().contains("PTX " + ptx), cuda.description());
      OpCasesTest.Result expected = run(cpu, row);
      OpCasesTest.Result actual = run(cuda, row);
      assertClose(expected.value(), actual.value(), row + ", value");
      for (int i = 0; i < row.inputs().size(); i++) {
        float[] gradient = actual.gradients().get(i);
        assertClose(expected.gradients().get(i), gradient, row + ", gradient " + i);
      }
      assertEquals(0, cuda.memory().liveBuffers(), "buffers left");
      OpCasesTest.Result again = run(cuda, row);
      assertArrayEquals(actual.value(), again.value(), "the second run differs");
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

  /** Sums in another order, at most a few hundred terms long. */
  private static void assertClose(float[] expected, float[] actual, String what) {
    float largest = 1e-6f;
    for (float e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    assertArrayEquals(expected, actual, 4e-6f * largest, what);
  }
}
