package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import java.util.function.Consumer;

/**
 * A kernel of a test: does anything with the launcher. It lies where the PTX of operations lies.
 */
public record Launching(Buffer buffer, Consumer<Launcher> body) implements Kernel {
  @Override
  public String name() {
    return "launching";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(buffer);
  }

  @Override
  public void onCpu(Ranges ranges) {}

  @Override
  public void onCuda(Launcher cuda) {
    body.accept(cuda);
  }
}
