package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A run's state on disk: every network, optimizer and average, and how far it is.
 *
 * <p>Files are safetensors, written beside their place and moved into it, so that a run killed at
 * any moment finds its last whole checkpoint. A run continued from it gives the same bits as one
 * that was never stopped.
 */
final class Checkpoint {
  private static final String STEP = "limbeck.step";
  private static final String SECONDS = "limbeck.seconds";
  private static final String RUN = "limbeck.run";

  /**
   * How far a run is.
   *
   * @param steps that are done
   * @param seconds that they took
   */
  record Progress(long steps, double seconds) {}

  private Checkpoint() {}

  static void write(Path file, Distiller distiller, Progress progress, String fingerprint) {
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put(STEP, Long.toString(progress.steps));
    metadata.put(SECONDS, Double.toString(progress.seconds));
    metadata.put(RUN, fingerprint);
    try {
      TensorFile.write(file, tensors(distiller), metadata);
    } catch (TensorFileException e) {
      throw new TrainingException(
          "the checkpoint could not be written, the one before it is intact: " + e.getMessage(), e);
    }
  }

  /** Puts a checkpoint's tensors in place. */
  static Progress restore(Path file, Distiller distiller, String fingerprint) {
    try (Scope scope = Scope.open();
        TensorFile saved = TensorFile.open(file)) {
      String found = saved.metadata().get(RUN);
      if (!fingerprint.equals(found)) {
        throw new TrainingException(
            file
                + " belongs to another run ("
                + found
                + ", this one is "
                + fingerprint
                + "): choose another --out, or remove it");
      }
      for (Map.Entry<String, Params> network : distiller.networks().entrySet()) {
        Map<String, Tensor> live = views(network.getValue());
        read(saved, "network." + network.getKey(), live)
            .forEach((name, tensor) -> live.get(name).copyFrom(tensor));
        network.getValue().touch();
      }
      for (Objective objective : distiller.objectives()) {
        List<Optimizer> optimizers = objective.optimizers();
        for (int i = 0; i < optimizers.size(); i++) {
          Optimizer optimizer = optimizers.get(i);
          String prefix = "optimizer." + objective.name() + "." + i;
          optimizer.restore(read(saved, prefix, optimizer.state()));
        }
        Ema average = objective.average();
        if (average != null) {
          average.restore(read(saved, "average." + objective.name(), average.state()));
        }
      }
      Map<String, String> metadata = saved.metadata();
      // Older files do not say what their steps took.
      return new Progress(
          Long.parseLong(metadata.get(STEP)),
          Double.parseDouble(metadata.getOrDefault(SECONDS, "0")));
    } catch (TensorFileException e) {
      throw new TrainingException(
          "the checkpoint cannot be read: "
              + e.getMessage()
              + ": remove it, or choose another --out",
          e);
    }
  }

  /** Everything a later step depends on, by name. */
  private static Map<String, Tensor> tensors(Distiller distiller) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    distiller.networks().forEach((name, params) -> collect(all, "network." + name, views(params)));
    for (Objective objective : distiller.objectives()) {
      List<Optimizer> optimizers = objective.optimizers();
      for (int i = 0; i < optimizers.size(); i++) {
        collect(all, "optimizer." + objective.name() + "." + i, optimizers.get(i).state());
      }
      if (objective.average() != null) {
        collect(all, "average." + objective.name(), objective.average().state());
      }
    }
    return all;
  }

  private static Map<String, Tensor> views(Params params) {
    Map<String, Tensor> views = new LinkedHashMap<>();
    for (Parameter p : params.list()) {
      views.put(p.name(), p.value());
    }
    return views;
  }

  private static void collect(Map<String, Tensor> all, String prefix, Map<String, Tensor> some) {
    some.forEach((name, tensor) -> all.put(prefix + "." + name, tensor));
  }

  /** The saved tensors of the names and shapes of live ones. */
  private static Map<String, Tensor> read(TensorFile saved, String prefix, Map<String, Tensor> live)
      throws TensorFileException {
    Map<String, Tensor> read = new LinkedHashMap<>();
    for (Map.Entry<String, Tensor> entry : live.entrySet()) {
      String key = prefix + "." + entry.getKey();
      Tensor like = entry.getValue();
      if (!saved.contains(key) || !saved.shape(key).equals(like.shape())) {
        throw new TrainingException(
            saved.path() + " holds no " + key + " of shape " + like.shape());
      }
      read.put(
          entry.getKey(),
          like.type() == DType.I32
              ? Tensor.of(like.device(), like.shape(), saved.ints(key))
              : Tensor.of(like.device(), like.shape(), saved.floats(key)));
    }
    return read;
  }
}
