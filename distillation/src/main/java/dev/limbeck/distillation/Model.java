package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Resources;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Precision;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * A denoising network on disk: what it is made of, and how it is meant to be sampled.
 *
 * @param guidanceWeight the weight w that a network with an input for it is told
 * @param guidance weights that it was trained with and may be told, or null
 * @param codec what its samples are the latents of
 */
public record Model(
    Architecture architecture,
    Sampler sampler,
    Preconditioning preconditioning,
    double guidanceWeight,
    GuidanceWeights guidance,
    Codec codec,
    Network network) {
  private static final String SAMPLER = "limbeck.sampler";
  private static final String PRECONDITIONING = "limbeck.preconditioning";
  private static final String GUIDANCE = "limbeck.guidance";
  private static final String LEARNT_GUIDANCE = "limbeck.guidance.learnt";

  /** A model for images of EDM's preconditioning with freshly drawn weights. */
  public static Model create(
      UNetConfig config, int side, Sampler sampler, Device device, long seed) {
    return create(new Architecture.Images(config, side), sampler, device, seed);
  }

  /** A model of EDM's preconditioning with freshly drawn weights. */
  public static Model create(Architecture architecture, Sampler sampler, Device device, long seed) {
    Network network = architecture.create(device, Rng.of(seed));
    Preconditioning edm = new Preconditioning.Edm();
    return new Model(architecture, sampler, edm, 0, null, Codec.IDENTITY, network);
  }

  /** This model, whose samples are latents. */
  public Model with(Codec latents) {
    return new Model(
        architecture, sampler, preconditioning, guidanceWeight, guidance, latents, network);
  }

  /**
   * The shape of the images that it draws, decoded if its samples are latents.
   *
   * @throws DataException if it draws points
   */
  public Shape image() {
    if (architecture instanceof Architecture.Images) {
      return codec.sample(architecture.sample());
    }
    throw new DataException(
        "the model draws points of " + architecture.sample() + "; one that draws images is needed");
  }

  /** A student of this model's architecture, with parameters of its own. */
  public Model student(Distiller distiller) {
    return student(
        new Distiller.Result(distiller.student(), distiller.sampler(), distiller.guidance()));
  }

  /** The same for one of several results. */
  public Model student(Distiller.Result result) {
    NetworkDenoiser trained = result.student();
    Device device = network.params().device();
    Architecture like = architecture.withGuidanceInput(trained.network().takesGuidance());
    Network copy = like.create(device, Rng.of(0)).in(precision());
    copy.params().copyFrom(trained.network().params());
    return new Model(
        like,
        result.sampler(),
        trained.preconditioning(),
        trained.guidanceWeight(),
        result.guidance(),
        codec,
        copy);
  }

  /** This model, whose network computes in a precision from now on; it is saved in F32 always. */
  public Model in(Precision precision) {
    network.in(precision);
    return this;
  }

  /** What its network computes in. */
  public Precision precision() {
    return network.params().precision();
  }

  /** D(x, σ). */
  public NetworkDenoiser denoiser() {
    return new NetworkDenoiser(network, preconditioning, guidanceWeight);
  }

  /**
   * This model as what students learn from, who compute in its precision.
   *
   * @throws DataException if it is told more than noise level and class, as some students are
   */
  public Teacher teacher() {
    if (network.takesGuidance()) {
      throw new DataException(
          "the teacher is a student that is told more than noise level and class, as those of"
              + " guided, lcm and meanflow are: distil the teacher that it came from");
    }
    return Teacher.of(denoiser(), blueprint(), architecture.sample(), architecture.classes());
  }

  /** Makes networks of this model's architecture. */
  public Teacher.Blueprint blueprint() {
    Device device = network.params().device();
    Precision precision = precision();
    return guidanceInput ->
        architecture.withGuidanceInput(guidanceInput).create(device, Rng.of(0)).in(precision);
  }

  /** Identifies the weights: a checksum of their bits. */
  public String hash() {
    CRC32C crc = new CRC32C();
    for (Parameter p : network.params().list()) {
      float[] values = p.value().toFloats();
      ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * values.length);
      bytes.asFloatBuffer().put(values);
      crc.update(bytes);
    }
    return Long.toHexString(crc.getValue());
  }

  /** Samples drawn with the model's own sampler; its parameters are frozen for it. */
  public Generation generation() {
    network.params().freeze();
    return new Generation(
        denoiser(), sampler, architecture.sample(), architecture.classes(), codec);
  }

  /**
   * The teacher that comes with Limbeck for a preset.
   *
   * @throws DataException if there is none
   */
  public static Model builtIn(Device device, Preset preset) {
    String name = "teacher/mnist" + preset.side() + ".safetensors";
    if (!Resources.exists(name)) {
      throw new DataException(
          "no teacher comes with the preset "
              + preset.name()
              + ": name one by --teacher, or train one by --train-teacher");
    }
    return Resources.withPath(name, path -> load(path, device));
  }

  /** Writes the model; an earlier file survives a failure. */
  public void save(Path file, String made) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (Parameter p : network.params().list()) {
      tensors.put(p.name(), p.value());
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    architecture.describe(metadata);
    metadata.put(SAMPLER, sampler.text());
    metadata.put(PRECONDITIONING, preconditioning.text());
    metadata.put(GUIDANCE, Double.toString(guidanceWeight));
    if (guidance != null) {
      metadata.put(LEARNT_GUIDANCE, guidance.text());
    }
    codec.describe(metadata, tensors);
    metadata.put("limbeck.made", made);
    try {
      TensorFile.write(file, tensors, metadata);
    } catch (TensorFileException e) {
      throw new TrainingException(e.getMessage(), e);
    }
  }

  /**
   * Reads a model.
   *
   * @throws TrainingException if the file is missing, damaged or holds something else
   */
  public static Model load(Path file, Device device) {
    return load(file, device, null);
  }

  /** Reads a model whose samples are latents of an application's own codec. */
  public static Model load(Path file, Device device, Codec codec) {
    try (TensorFile saved = TensorFile.open(file)) {
      Map<String, String> metadata = saved.metadata();
      Architecture architecture = Architecture.read(metadata);
      if (!metadata.containsKey(SAMPLER)) {
        throw new IllegalArgumentException("its metadata have no " + SAMPLER);
      }
      Sampler sampler = Samplers.parse(metadata.get(SAMPLER));
      // Files from before there was a choice name neither of the two.
      Preconditioning preconditioning =
          Preconditioning.parse(
              metadata.getOrDefault(PRECONDITIONING, new Preconditioning.Edm().text()));
      double weight = number(GUIDANCE, metadata.getOrDefault(GUIDANCE, "0"));
      String learnt = metadata.get(LEARNT_GUIDANCE);
      GuidanceWeights guidance = learnt == null ? null : GuidanceWeights.parse(learnt);
      Network network = architecture.create(device, Rng.of(0));
      Codec latents = codec == null ? Codec.read(saved, device) : codec;
      Model model =
          new Model(architecture, sampler, preconditioning, weight, guidance, latents, network);
      for (Parameter p : model.network.params().list()) {
        if (!saved.contains(p.name()) || !saved.shape(p.name()).equals(p.value().shape())) {
          throw new TrainingException(
              file + " lacks the parameter " + p.name() + " of shape " + p.value().shape());
        }
        p.value().buffer().upload(finite(file, p.name(), saved.floats(p.name())), 0);
      }
      model.network.params().freeze();
      return model;
    } catch (TensorFileException | IllegalArgumentException e) {
      throw new TrainingException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static double number(String key, String value) {
    try {
      return Double.parseDouble(value);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("its " + key + " is \"" + value + "\", no number", e);
    }
  }

  private static float[] finite(Path file, String name, float[] values) {
    for (float value : values) {
      if (!Float.isFinite(value)) {
        throw new TrainingException(
            file + " holds " + value + " in " + name + ": the training that made it went wrong");
      }
    }
    return values;
  }

  /** Whether it takes images to their noise, as encoders do, whose levels end above 0. */
  public boolean isEncoder() {
    double[] levels = Editing.levels(sampler);
    return Samplers.settings(sampler).method() == Samplers.Method.EULER
        && levels[levels.length - 1] > 0;
  }
}
