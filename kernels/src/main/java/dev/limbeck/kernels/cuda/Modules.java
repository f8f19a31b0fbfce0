package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUjit_option;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import jcuda.driver.JITOptions;

/** The PTX that was loaded into one device's context, and its functions. */
final class Modules implements AutoCloseable {
  /** Shared memory that a block may have without asking. */
  private static final int DEFAULT_SHARED = 48 << 10;

  private static final int LOG_BYTES = 8192;

  private static final Pattern ENTRY = Pattern.compile("\\.entry\\s+(\\w+)\\s*\\(([^)]*)\\)");
  private static final Pattern PARAMETER =
      Pattern.compile("\\.param\\s+(\\.align\\s+\\d+\\s+)?\\.(\\w+)[^,]*");

  private final int capability;
  private final Map<String, Module> modules = new HashMap<>();

  /** A kernel function, with its parameters as {@code i} (32 bits), {@code l} (64) or {@code f}. */
  static final class Function {
    final String symbol;
    final CUfunction handle;
    final String parameters;
    private int shared = DEFAULT_SHARED;

    private Function(String symbol, CUfunction handle, String parameters) {
      this.symbol = symbol;
      this.handle = handle;
      this.parameters = parameters;
    }

    /** Asks for as much dynamic shared memory per block, once. */
    void reserveShared(int bytes) {
      if (bytes > shared) {
        int attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        Driver.check(
            "cuFuncSetAttribute",
            JCudaDriver.cuFuncSetAttribute(handle, attribute, bytes),
            symbol + " with " + bytes + " bytes of shared memory");
        shared = bytes;
      }
    }
  }

  /** {@code source} is null where the PTX came with the class. */
  private record Module(
      String home, String source, CUmodule handle, Map<String, Function> functions) {}

  /**
   * No modules yet.
   *
   * @param capability of the PTX to load: 75, 80 or 90
   */
  Modules(int capability) {
    this.capability = capability;
  }

  /**
   * The function of this name.
   *
   * @param beside the class in whose package the module's PTX lies
   * @param source CUDA text to compile, or null
   */
  Function function(Class<?> beside, String module, String symbol, String source) {
    Module loaded = modules.get(module);
    if (loaded == null) {
      loaded = load(beside, module, source);
      modules.put(module, loaded);
    } else if (!loaded.home.equals(beside.getPackageName())) {
      throw new IllegalArgumentException(
          module
              + ".cu of "
              + loaded.home
              + " is loaded; that of "
              + beside
              + " needs another name");
    } else if (!Objects.equals(loaded.source, source)) {
      throw new IllegalArgumentException(
          module + ".cu is loaded with another text; this one needs another name");
    }
    Function function = loaded.functions.get(symbol);
    if (function == null) {
      throw new DeviceException(
          "cuModuleGetFunction",
          CUresult.stringFor(CUresult.CUDA_ERROR_NOT_FOUND),
          module + ".cu has no function " + symbol);
    }
    return function;
  }

  private Module load(Class<?> beside, String module, String source) {
    String ptx = source == null ? text(beside, module) : Nvrtc.ptx(module, source, capability);
    CUmodule handle = compile(module, ptx);
    Map<String, Function> functions = new HashMap<>();
    parameters(ptx).forEach((symbol, types) -> functions.put(symbol, bind(handle, symbol, types)));
    return new Module(beside.getPackageName(), source, handle, functions);
  }

  /**
   * Has the driver compile a text.
   *
   * @throws DeviceException if it refuses, with what its compiler says
   */
  static CUmodule compile(String module, String ptx) {
    CUmodule handle = new CUmodule();
    byte[] text = (ptx + '\0').getBytes(StandardCharsets.UTF_8);
    int status = JCudaDriver.cuModuleLoadData(handle, text);
    if (status != CUresult.CUDA_SUCCESS) {
      // Once more, for the compiler's words. The driver refuses the buffer without its size.
      JITOptions options = new JITOptions();
      options.putInt(CUjit_option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, LOG_BYTES);
      options.putBytes(CUjit_option.CU_JIT_ERROR_LOG_BUFFER, new byte[LOG_BYTES]);
      status = JCudaDriver.cuModuleLoadDataJIT(handle, Pointer.to(text), options);
      String log = options.getString(CUjit_option.CU_JIT_ERROR_LOG_BUFFER);
      Driver.check("cuModuleLoadData", status, module + ".cu: " + String.valueOf(log).strip());
    }
    return handle;
  }

  /** The PTX for the device's capability, or for the next below: the same text is kept once. */
  private String text(Class<?> beside, String module) {
    for (int each : CudaDevice.PTX) {
      String resource = module + "." + each + ".ptx.gz";
      try (InputStream in = each > capability ? null : beside.getResourceAsStream(resource)) {
        if (in != null) {
          return new String(new GZIPInputStream(in).readAllBytes(), StandardCharsets.UTF_8);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(resource + " of " + beside.getName() + " is damaged", e);
      }
    }
    try (InputStream in = beside.getResourceAsStream(module + ".cu")) {
      if (in != null) {
        String source = new String(in.readAllBytes(), StandardCharsets.UTF_8);
        return Nvrtc.ptx(module, source, capability);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(module + ".cu of " + beside.getName() + " is damaged", e);
    }
    throw new DeviceException(
        "cuModuleLoadData",
        CUresult.stringFor(CUresult.CUDA_ERROR_FILE_NOT_FOUND),
        "the PTX of "
            + module
            + ".cu is missing beside "
            + beside.getName()
            + ", and so is the file itself, which NVRTC would compile; kernels/ptx makes PTX");
  }

  private static Function bind(CUmodule module, String symbol, String parameters) {
    CUfunction function = new CUfunction();
    Driver.check(
        "cuModuleGetFunction", JCudaDriver.cuModuleGetFunction(function, module, symbol), symbol);
    return new Function(symbol, function, parameters);
  }

  /** The kernel functions that a PTX text declares, each with its parameters' types. */
  static Map<String, String> parameters(String ptx) {
    Map<String, String> all = new HashMap<>();
    Matcher entry = ENTRY.matcher(ptx);
    while (entry.find()) {
      StringBuilder types = new StringBuilder();
      Matcher parameter = PARAMETER.matcher(entry.group(2));
      while (parameter.find()) {
        types.append(
            switch (parameter.group(2)) {
              case "u32", "s32", "b32" -> 'i';
              case "u64", "s64", "b64" -> 'l';
              case "f32" -> 'f';
              default ->
                  throw new IllegalArgumentException(
                      entry.group(1) + " takes a ." + parameter.group(2) + "; 32 and 64 bits only");
            });
      }
      all.put(entry.group(1), types.toString());
    }
    return all;
  }

  /** Names of the modules loaded so far. */
  List<String> names() {
    List<String> names = new ArrayList<>(modules.keySet());
    names.sort(null);
    return names;
  }

  @Override
  public void close() {
    modules.values().forEach(module -> JCudaDriver.cuModuleUnload(module.handle));
    modules.clear();
  }
}
