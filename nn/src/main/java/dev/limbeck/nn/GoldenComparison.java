package dev.limbeck.nn;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNetConfig.ClassInput;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Runs a diffusers model forward and backward and compares with the numbers that PyTorch found.
 *
 * <p>The file holds {@code weights.<key>}, {@code grads.<key>} (gradients of Σ output ·
 * output_gradient), {@code io.sample}, {@code io.timestep}, for class-conditional models {@code
 * io.class_labels}, and {@code io.output}, {@code io.output_gradient}, {@code io.sample_gradient};
 * activations are NCHW. The configuration is the metadata entry {@code config}, or lies beside the
 * file with the ending {@code .json}.
 *
 * @unit errors are the largest difference over the largest reference value of the tensor
 * @param outputError of the network's answer
 * @param inputGradientError of the gradient of the sample
 * @param worstParameter the parameter whose gradient differs most, as the file names it
 * @param worstParameterError that gradient's error
 */
public record GoldenComparison(
    double outputError,
    double inputGradientError,
    String worstParameter,
    double worstParameterError) {

  /**
   * A gradient below this fraction of the largest one is rounding noise around an exact zero (a
   * key's bias shifts all logits of a softmax alike), and is compared with the largest one.
   */
  private static final double NOISE = 5e-6;

  private static final List<String> LABELS = List.of("io.class_labels", "io.labels");

  /** The largest of the three errors. */
  public double worst() {
    // A NaN anywhere must not look like agreement.
    return Math.max(Math.max(outputError, inputGradientError), worstParameterError);
  }

  /**
   * Compares one file on a device.
   *
   * @throws TensorFileException if the file is damaged or incomplete, or the model is of another
   *     kind
   */
  public static GoldenComparison of(Path path, Device device) throws TensorFileException {
    try (TensorFile file = TensorFile.open(path)) {
      try (UNet net = UNetFiles.load(config(file), file, "weights.", device)) {
        return compare(file, net, device);
      }
    }
  }

  private static UNetConfig config(TensorFile file) throws TensorFileException {
    Path path = file.path();
    String inFile = file.metadata().get("config");
    if (inFile != null) {
      return UNetFiles.diffusersConfig(path, inFile);
    }
    Path beside =
        path.resolveSibling(path.getFileName().toString().replaceFirst("\\.[^.]*$", "") + ".json");
    if (!Files.exists(beside)) {
      throw new TensorFileException(
          path + ": its metadata has no entry \"config\" and there is no " + beside);
    }
    return UNetFiles.diffusersConfig(beside);
  }

  private static GoldenComparison compare(TensorFile file, UNet net, Device device)
      throws TensorFileException {
    try (Tape tape = Tape.open(net.params().list())) {
      Var x = tape.inputWithGradient(images(file, "io.sample", device));
      int n = x.dim(0);
      Var y =
          net.forward(
              x,
              Condition.of(times(file, n, device), labels(file, net.config(), device)),
              Dropout.off());
      float[] output = y.value().toFloats();
      Tensor gradient = images(file, "io.output_gradient", device);
      if (!gradient.shape().equals(y.shape())) {
        throw new TensorFileException(
            file.path() + ": the output is " + y.shape() + ", its gradient " + gradient.shape());
      }
      net.params().zeroGradients();
      tape.backward(y, gradient);
      float[] wanted = WeightFiles.images(file, "io.sample_gradient");
      double outputError = error(output, WeightFiles.images(file, "io.output"));
      double inputError = error(x.gradient().toFloats(), wanted);
      return withParameters(file, net, outputError, inputError);
    }
  }

  private static GoldenComparison withParameters(
      TensorFile file, UNet net, double outputError, double inputError) throws TensorFileException {
    List<String> names = new ArrayList<>();
    List<float[]> ours = new ArrayList<>();
    List<float[]> references = new ArrayList<>();
    double largest = 0;
    for (Parameter p : net.params().list()) {
      String name = WeightFiles.nameIn(file, "grads.", p.name());
      float[] reference = WeightFiles.floats(file, name, p.value().shape());
      names.add(name.substring("grads.".length()));
      ours.add(p.gradient().toFloats());
      references.add(reference);
      largest = Math.max(largest, largest(reference));
    }
    String worst = "";
    double worstError = -1;
    for (int i = 0; i < names.size(); i++) {
      double scale = largest(references.get(i));
      if (scale <= NOISE * largest) {
        scale = largest;
      }
      double error = difference(ours.get(i), references.get(i)) / (scale == 0 ? 1 : scale);
      if (error > worstError || Double.isNaN(error)) {
        worst = names.get(i);
        worstError = error;
        if (Double.isNaN(error)) {
          break;
        }
      }
    }
    return new GoldenComparison(outputError, inputError, worst, worstError);
  }

  private static Tensor images(TensorFile file, String name, Device device)
      throws TensorFileException {
    float[] values = WeightFiles.images(file, name);
    Shape s = file.shape(name);
    return Tensor.of(device, Shape.of(s.dim(0), s.dim(2), s.dim(3), s.dim(1)), values);
  }

  /** The noise conditions; a single one counts for the whole batch. */
  private static Tensor times(TensorFile file, int n, Device device) throws TensorFileException {
    float[] values = numbers(file, "io.timestep");
    if (values.length == 1) {
      float t = values[0];
      values = new float[n];
      Arrays.fill(values, t);
    }
    return Tensor.of(device, Shape.of(values.length), values);
  }

  /** Labels as the model takes them: indices, or numbers; null if it takes none. */
  private static Tensor labels(TensorFile file, UNetConfig config, Device device)
      throws TensorFileException {
    if (config.classInput() == ClassInput.NONE) {
      return null;
    }
    for (String name : LABELS) {
      if (file.contains(name)) {
        return config.classInput() == ClassInput.TABLE
            ? Tensor.of(device, file.shape(name), file.ints(name))
            : Tensor.of(device, file.shape(name), numbers(file, name));
      }
    }
    throw new TensorFileException(file.path() + ": has no tensor \"" + LABELS.get(0) + "\"");
  }

  private static float[] numbers(TensorFile file, String name) throws TensorFileException {
    if (file.entry(name).type().isReal()) {
      return file.floats(name);
    }
    int[] ints = file.ints(name);
    float[] values = new float[ints.length];
    for (int i = 0; i < ints.length; i++) {
      values[i] = ints[i];
    }
    return values;
  }

  private static double error(float[] ours, float[] reference) {
    double scale = largest(reference);
    return difference(ours, reference) / (scale == 0 ? 1 : scale);
  }

  private static double largest(float[] values) {
    double largest = 0;
    for (float v : values) {
      largest = Math.max(largest, Math.abs(v));
    }
    return largest;
  }

  /** The largest difference; NaN if there is a NaN. */
  private static double difference(float[] a, float[] b) {
    if (a.length != b.length) {
      return Double.NaN;
    }
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs((double) a[i] - b[i]));
    }
    return largest;
  }
}
