package dev.limbeck.bench.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.bench.Catalogue;
import dev.limbeck.bench.CudaPlan;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class KernelsCommandTest {
  private static final CudaPlan.Gpu GPU = new CudaPlan.Gpu(80, 108, false);

  private static String printed(String... arguments) {
    StringWriter out = new StringWriter();
    CommandLine command = new CommandLine(new KernelsCommand()).setOut(new PrintWriter(out, true));
    command.setCaseInsensitiveEnumValuesAllowed(true);
    command.setExecutionExceptionHandler(
        (e, line, result) -> {
          throw e;
        });
    assertEquals(0, command.execute(arguments), String.join(" ", arguments));
    return out.toString();
  }

  @Test
  void shapesAreListedWithWhatAGpuLaunches() {
    String[] lines =
        printed("--shapes", "mnist", "--only", "MatMul 1x64x", "--format", "csv").split("\n");
    assertEquals("name,shape,gflop,MB,flop per byte,CPU,CUDA", lines[0]);
    // Two shapes, each as it lies and with either operand transposed.
    assertEquals(1 + 6, lines.length);
    assertTrue(lines[1].contains("matmul_nn"), lines[1]);
    assertTrue(lines[2].contains("matmul_tn"), lines[2]);
    assertTrue(lines[3].contains("matmul_nt"), lines[3]);
  }

  @Test
  void occupancyFollowsFromWhatRunsOutFirst() {
    assertEquals(new Occupancy(8, 100, "warps"), Occupancy.of("sm_80", 32, 256, 0));
    // 128 registers of 32 lanes: 16 warps in 65,536 registers.
    assertEquals(new Occupancy(2, 25, "registers"), Occupancy.of("sm_80", 128, 256, 0));
    // 33 registers are allotted as 40, which 48 warps of 51 have, in whole fours.
    assertEquals(new Occupancy(6, 75, "registers"), Occupancy.of("sm_80", 33, 256, 0));
    // 48 KiB and the system's one: four in 228 KiB.
    assertEquals(new Occupancy(4, 50, "shared memory"), Occupancy.of("sm_90", 32, 256, 48 << 10));
    assertEquals(new Occupancy(16, 50, "blocks"), Occupancy.of("sm_75", 16, 32, 0));
    assertEquals(0, Occupancy.of("sm_75", 16, 32, 65 << 10).blocks());
    Exception e = assertThrows(DataException.class, () -> Occupancy.of("sm_61", 16, 32, 0));
    assertTrue(e.getMessage().contains("sm_61"), e.getMessage());
  }

  @Test
  void ptxasIsRead() {
    String text =
        """
        ptxas info    : Compiling entry function 'f' for 'sm_80'
        ptxas info    : Function properties for f
            8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
        ptxas info    : Used 40 registers, used 1 barriers, 128 bytes smem, 376 bytes cmem[0]
        ptxas info    : Compiling entry function 'g' for 'sm_80'
            0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
        ptxas info    : Used 8 registers, 360 bytes cmem[0]
        """;
    assertEquals(
        Map.of("f", new Ptxas.Use(40, 128, 16), "g", new Ptxas.Use(8, 0, 0)), Ptxas.parse(text));
    assertEquals(80, Ptxas.capability("sm_89"));
    assertEquals(90, Ptxas.capability("sm_100"));
    assertThrows(DataException.class, () -> Ptxas.capability("sm_61"));
  }

  /** Beside the other tests that need the CUDA toolkit. */
  @CudaTest
  void theInstalledPtxasTellsRegisters() {
    if (!SoftwareCuda.isLoaded()) {
      return; // A real GPU may come without the toolkit.
    }
    List<Map<String, Object>> rows =
        new Ptxas("sm_80").rows(Catalogue.launches("Movement", "129x1001", GPU));
    assertTrue(rows.size() >= 5, rows.toString());
    for (Map<String, Object> row : rows) {
      int registers = (int) row.get("registers");
      assertTrue(registers >= 8 && registers <= 255, row.toString());
      double occupancy = (double) row.get("occupancy %");
      assertTrue(occupancy > 0 && occupancy <= 100, row.toString());
    }
  }

  @Test
  void aMissingSoftwareDeviceIsNamedWithItsBuild(@TempDir Path folder) {
    Exception e = assertThrows(DataException.class, () -> new Simulation(folder, 80, false, true));
    assertTrue(e.getMessage().contains("cmake -S src/test/cuda"), e.getMessage());
  }

  @CudaTest
  void countsOfAnElementwiseKernelAreThoseOfItsCostModel() {
    if (!SoftwareCuda.isLoaded()) {
      return; // Only the software device counts.
    }
    Path folder = Path.of(System.getProperty("limbeck.root"), "target/cuda");
    try (Simulation simulation = new Simulation(folder, 80, false, true)) {
      List<Map<String, Object>> rows = simulation.rows("Elementwise", "4096");
      Map<String, Object> axpy =
          rows.stream().filter(r -> r.get("name").equals("Axpy")).findFirst().orElseThrow();
      assertEquals(1L, axpy.get("launches"));
      assertEquals(2 * 4096 * 4 / 1e6, axpy.get("MB read"));
      assertEquals(4096 * 4 / 1e6, axpy.get("MB written"));
      assertEquals(3 * 4096 * 4 / 1e6, axpy.get("MB of the cost model"));
      // 32 lanes with 16 bytes each are 16 sectors of 32 bytes.
      assertEquals(16.0, axpy.get("sectors per request"));
      assertEquals(0.0, axpy.get("gflop in tensor cores"));
      // 4,096 fused products and sums in 32 lanes.
      assertEquals(4096L / 32, axpy.get("floating"));
    }
  }
}
