package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Computes the factor that clips gradients to a global norm, and writes down what happened: scale =
 * min(1, maxNorm/√(Σ norms²)), in double.
 *
 * <p>If the loss or the norm is not finite, or was not in an earlier call with the same {@code
 * stopped}, the factor is NaN, at which {@link AdamStep} changes nothing: parameters stay as they
 * were before the first such step, until the host looks.
 *
 * @param norms the norms of {@code count} parts, {@link Buffer#SLICE_ALIGNMENT} elements apart
 * @param stopped one number: 0, or 1 from the first loss or norm on that is not finite
 * @param log where the loss is written, at 2·slot, and the norm after it
 */
@Definition(
    formula = "s = min(1, c/√Σ n²), NaN after a loss or n that is not finite",
    cost = "3 flops per part")
public record ClipScale(
    Buffer norms,
    int count,
    Buffer loss,
    double maxNorm,
    Buffer stopped,
    Buffer log,
    int slot,
    Buffer scale)
    implements Kernel {
  public ClipScale {
    if (norms.length() < (count - 1) * Buffer.SLICE_ALIGNMENT + 1
        || loss.length() != 1
        || stopped.length() != 1
        || scale.length() != 1
        || slot < 0
        || log.length() < 2 * slot + 2) {
      throw new IllegalArgumentException(
          "clip scale: " + count + " norms in " + norms + ", slot " + slot + " of " + log);
    }
  }

  @Override
  public String name() {
    return "clip_scale";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(norms, loss, stopped, log, scale);
  }

  @Override
  public double flops() {
    return 3.0 * count;
  }

  @Override
  public void onCpu(Ranges ranges) {
    double square = 0;
    for (int i = 0; i < count; i++) {
      double part = norms.floats()[norms.offset() + i * Buffer.SLICE_ALIGNMENT];
      square += part * part;
    }
    double norm = Math.sqrt(square);
    float value = loss.floats()[loss.offset()];
    log.floats()[log.offset() + 2 * slot] = value;
    log.floats()[log.offset() + 2 * slot + 1] = (float) norm;
    if (!Float.isFinite(value) || !Double.isFinite(norm)) {
      stopped.floats()[stopped.offset()] = 1;
    }
    boolean stop = stopped.floats()[stopped.offset()] != 0;
    scale.floats()[scale.offset()] = stop ? Float.NaN : (float) Math.min(1, maxNorm / norm);
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("loss", "clip_scale_f32").i32(count).i32(Buffer.SLICE_ALIGNMENT);
    cuda.i64(Double.doubleToRawLongBits(maxNorm)).varying(slot);
    cuda.pointer(norms).pointer(loss).pointer(stopped).pointer(log).pointer(scale).launch(1, 32);
  }
}
