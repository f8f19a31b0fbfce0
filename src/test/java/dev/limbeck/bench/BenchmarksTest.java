package dev.limbeck.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.limbeck.distillation.Methods;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Unary;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Every benchmark runs, which includes its comparison with the scalar loops. */
class BenchmarksTest {
  private static final boolean SIMD = isSimd();

  private static final CudaPlan.Gpu GPU = new CudaPlan.Gpu(80, 108, false);

  private static boolean isSimd() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      return device.isSimd();
    }
  }

  @ParameterizedTest
  @ValueSource(
      classes = {
        AttentionBench.class,
        Conv2dBench.class,
        ElementwiseBench.class,
        GroupNormBench.class,
        MatMulBench.class,
        MovementBench.class,
        ReduceBench.class,
        ResampleBench.class,
        RowsBench.class
      })
  void kernelsAtTheirOddShape(Class<?> type) throws ReflectiveOperationException {
    runAll(type, null);
  }

  @Test
  void optimizers() throws ReflectiveOperationException {
    runAll(OptimizerBench.class, "10001");
  }

  @Test
  void theMeasuredPeakIsTheOneThatIsComputed() throws ReflectiveOperationException {
    runAll(PeakBench.class, null);
  }

  @Test
  void networks() throws ReflectiveOperationException {
    NetworkBench bench = new NetworkBench();
    bench.network = "mnist";
    bench.batch = 1;
    JobBench.Images images = new JobBench.Images();
    runAll(bench, images);
    assertEquals(SIMD ? 4 : 0, images.images);
  }

  /** The benchmark's own list. */
  static String[] methods() throws ReflectiveOperationException {
    return MethodBench.class.getField("method").getAnnotation(Param.class).value();
  }

  @ParameterizedTest
  @MethodSource
  void methods(String method) throws ReflectiveOperationException {
    MethodBench bench = new MethodBench();
    bench.method = method;
    bench.batch = 4;
    runAll(bench, new JobBench.Images());
  }

  /** Its first steps, or what it does later. */
  @Test
  void everyMethodIsMeasured() throws ReflectiveOperationException {
    Set<String> missing = new TreeSet<>(Methods.allNames());
    for (String method : methods()) {
      missing.remove(method.split("/")[0]);
    }
    assertEquals(Set.of(), missing);
  }

  @Test
  void aWrongVectorPathIsNotMeasured() {
    WrongBench bench = new WrongBench();
    if (!opens(bench)) {
      return;
    }
    IllegalStateException e = assertThrows(IllegalStateException.class, bench::measure);
    assertTrue(e.getMessage().contains("differs from the scalar one"), e.getMessage());
    bench.close();
  }

  @Test
  void theCatalogueIsComplete() {
    Set<String> known = new TreeSet<>();
    for (Map<String, Object> row : Catalogue.definitions()) {
      assertTrue(known.add((String) row.get("name")));
    }
    Set<String> all = new TreeSet<>();
    ClassFileImporter shipped =
        new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests());
    for (JavaClass found : shipped.importPackages("dev.limbeck.kernels.op")) {
      if (found.isAssignableTo(Kernel.class)) {
        all.add(found.getSimpleName());
      }
    }
    assertEquals(all, known);
  }

  @Test
  void theCatalogueKnowsTheAlgorithm() {
    Map<String, Object> wide = Catalogue.work("Conv2d", "1x16x64x64x3x1", GPU).get(0);
    assertEquals("Conv2d", wide.get("name"));
    assertEquals(2e-9 * 16 * 16 * 64 * 64 * 9, (double) wide.get("gflop"), 1e-12);
    assertEquals(SIMD ? "Winograd F(4×4,3×3)" : "patches, tiles", wide.get("CPU"));
    assertEquals("few channels", Catalogue.work("Conv2d", "1x16x64x1x3x1", GPU).get(0).get("CPU"));
    Exception e =
        assertThrows(IllegalArgumentException.class, () -> Catalogue.work("Magic", "1x1", GPU));
    assertTrue(e.getMessage().contains("Magic"), e.getMessage());
  }

  @Test
  void everyKernelHasCudaFunctionsThatItsPtxDeclares() throws IOException {
    for (Map<String, Object> row : Catalogue.definitions()) {
      boolean driver = row.get("CUDA").equals("cuMemcpyDtoDAsync");
      assertEquals(row.get("name").equals("Copy"), driver, row.get("name") + " launches nothing");
    }
    Map<String, String> texts = new HashMap<>();
    for (CudaPlan.Launch launch : Catalogue.launches(GPU)) {
      String name = launch.module() + ".80.ptx.gz";
      if (launch.beside().getResource(name) == null) {
        name = launch.module() + ".75.ptx.gz";
      }
      if (!texts.containsKey(name)) {
        try (InputStream in = new GZIPInputStream(launch.beside().getResourceAsStream(name))) {
          texts.put(name, new String(in.readAllBytes(), StandardCharsets.UTF_8));
        }
      }
      assertTrue(texts.get(name).contains(".entry " + launch.symbol() + "("), launch.toString());
    }
  }

  @Test
  void launchesFollowFromShapeAndGpu() {
    List<CudaPlan.Launch> axpy = Catalogue.launches("Elementwise", "100003", GPU);
    // 25,001 threads for four elements each, 256 to a block.
    CudaPlan.Launch launch =
        axpy.stream().filter(each -> each.symbol().equals("axpy_f32")).findFirst().orElseThrow();
    assertEquals("axpy_f32 [98 of 256]", launch.toString());
    Set<String> exact = symbols(GPU);
    Set<String> rounded = symbols(new CudaPlan.Gpu(80, 108, true));
    assertTrue(exact.stream().noneMatch(s -> s.contains("tf32")), exact.toString());
    assertTrue(rounded.stream().anyMatch(s -> s.contains("tf32")), rounded.toString());
  }

  private static Set<String> symbols(CudaPlan.Gpu gpu) {
    Set<String> all = new TreeSet<>();
    Catalogue.launches("MatMul", "1x512x512x512", gpu).forEach(each -> all.add(each.symbol()));
    return all;
  }

  @Test
  void shapesOfAnotherFormAreRefused() {
    Exception e =
        assertThrows(
            IllegalArgumentException.class, () -> KernelBench.sizes("3x4", "rows x columns x k"));
    assertEquals("the shape 3x4 is not of the form rows x columns x k", e.getMessage());
    assertThrows(IllegalArgumentException.class, () -> KernelBench.sizes("3xN", "rows x columns"));
  }

  /** Takes one function on vectors and another in the scalar loop. */
  private static final class WrongBench extends KernelBench {
    private Checked wrong;

    @Override
    protected void build() {
      wrong =
          checked(
              o -> {
                Buffer x = o.input(64);
                boolean simd = ((CpuDevice) x.device()).isSimd();
                return new Unary(simd ? Unary.Op.EXP : Unary.Op.TANH, 0, 0, x, o.result(64));
              });
    }

    void measure() {
      run(wrong, new Work());
    }
  }

  private static void runAll(Class<?> type, String shape) throws ReflectiveOperationException {
    Constructor<?> constructor = type.getDeclaredConstructor();
    DeviceBench bench = (DeviceBench) constructor.newInstance();
    for (Field field : type.getFields()) {
      Param param = field.getAnnotation(Param.class);
      if (field.getName().equals("shape")) {
        String[] shapes = param.value();
        field.set(bench, shape == null ? shapes[shapes.length - 1] : shape);
      }
    }
    KernelBench.Work work = new KernelBench.Work();
    runAll(bench, work);
    assertTrue(work.gigabytes > 0 == SIMD, "the kernels of " + type + " state no work");
  }

  /** Benchmarks refuse to run where vectors are not used. */
  private static boolean opens(DeviceBench bench) {
    bench.threads = 1;
    if (SIMD) {
      bench.open();
    } else {
      Exception e = assertThrows(IllegalStateException.class, bench::open);
      assertTrue(e.getMessage().startsWith("no vector path"), e.getMessage());
      bench.close();
    }
    return SIMD;
  }

  private static void runAll(DeviceBench bench, Object counters)
      throws ReflectiveOperationException {
    if (!opens(bench)) {
      return;
    }
    List<Method> methods =
        List.of(bench.getClass().getMethods()).stream()
            .filter(m -> m.isAnnotationPresent(Benchmark.class))
            .toList();
    assertTrue(!methods.isEmpty());
    for (Method method : methods) {
      method.invoke(bench, counters);
    }
    bench.close();
  }
}
