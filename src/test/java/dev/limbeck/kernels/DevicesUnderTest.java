package dev.limbeck.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContextProvider;
import org.opentest4j.TestAbortedException;

/** Runs a {@link DeviceTest} once per device. */
public final class DevicesUnderTest implements TestTemplateInvocationContextProvider {
  /** Odd, so that chunks do not fall onto threads evenly. */
  private static final int THREADS = 3;

  private static final AtomicBoolean TOLD = new AtomicBoolean();

  /** A device by name; {@code whyNot} is empty if it can be opened. */
  private record Candidate(String name, String whyNot, Supplier<Device> open) {}

  /** True in the process of the CUDA tests, which leave the processor to the others. */
  private static final boolean CUDA = "cuda".equals(System.getProperty("limbeck.test.devices"));

  private static List<Candidate> candidates() {
    List<Candidate> all = new ArrayList<>();
    if (CUDA) {
      all.add(new Candidate("cuda", SoftwareCuda.whyNot(), () -> CudaDevice.open(0)));
      return all;
    }
    all.add(new Candidate("cpu-scalar", "", () -> CpuDevice.open(false, THREADS)));
    all.add(new Candidate("cpu-simd", simdWhyNot(), () -> CpuDevice.open(true, THREADS)));
    return all;
  }

  private static String simdWhyNot() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      return device.isSimd() ? "" : device.description();
    }
  }

  @Override
  public boolean mayReturnZeroTestTemplateInvocationContexts(ExtensionContext context) {
    return CUDA;
  }

  @Override
  public boolean supportsTestTemplate(ExtensionContext context) {
    return true;
  }

  @Override
  public Stream<TestTemplateInvocationContext> provideTestTemplateInvocationContexts(
      ExtensionContext context) {
    List<String> required = required();
    List<TestTemplateInvocationContext> runs = new ArrayList<>();
    StringBuilder line = new StringBuilder("devices under test:");
    for (Candidate candidate : candidates()) {
      boolean wanted = required.remove(candidate.name());
      if (candidate.whyNot().isEmpty()) {
        line.append(' ').append(candidate.name());
        runs.add(new OneDevice(candidate));
      } else {
        line.append(" (not ").append(candidate.name()).append(": ");
        line.append(candidate.whyNot()).append(')');
        if (wanted) {
          required.add(candidate.name() + " (" + candidate.whyNot() + ")");
        }
      }
    }
    if (!TOLD.getAndSet(true)) {
      System.out.println(line);
    }
    if (!required.isEmpty()) {
      throw new IllegalStateException("REQUIRE_DEVICES names absent devices: " + required);
    }
    return runs.stream();
  }

  private static List<String> required() {
    String names = System.getenv("REQUIRE_DEVICES");
    List<String> required = new ArrayList<>();
    if (names != null && !names.isBlank()) {
      for (String name : names.split(",")) {
        if (name.strip().startsWith("cuda") == CUDA) {
          required.add(name.strip());
        }
      }
    }
    return required;
  }

  /** One run of a test on one device. */
  private static final class OneDevice
      implements TestTemplateInvocationContext,
          ParameterResolver,
          BeforeEachCallback,
          AfterEachCallback,
          TestExecutionExceptionHandler {
    private final Candidate candidate;
    private Device device;
    private Scope scope;

    OneDevice(Candidate candidate) {
      this.candidate = candidate;
    }

    @Override
    public String getDisplayName(int invocation) {
      return candidate.name();
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
      return List.of(this);
    }

    @Override
    public void beforeEach(ExtensionContext context) {
      device = candidate.open().get();
      scope = Scope.open();
    }

    @Override
    public void afterEach(ExtensionContext context) {
      scope.close();
      long left = device.memory().liveBuffers();
      device.close();
      if (context.getExecutionException().isEmpty()) {
        assertEquals(0, left, "buffers that outlived the test");
      }
    }

    /** While operations without a CUDA kernel exist, a test that meets one is aborted there. */
    @Override
    public void handleTestExecutionException(ExtensionContext context, Throwable thrown)
        throws Throwable {
      if (CUDA && thrown instanceof UnsupportedOperationException) {
        throw new TestAbortedException(thrown.getMessage());
      }
      throw thrown;
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
      return parameter.getParameter().getType() == Device.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
      return device;
    }
  }
}
