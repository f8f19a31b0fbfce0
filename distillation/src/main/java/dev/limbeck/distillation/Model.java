package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Resources;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Json;
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
 * @param side height and width of its images
 * @param guidanceWeight the weight w that a network with an input for it is told
 */
public record Model(
    UNetConfig config,
    int side,
    Sampler sampler,
    Preconditioning preconditioning,
    double guidanceWeight,
    UNet network) {
  private static final String CONFIG = "limbeck.unet";
  private static final String SIDE = "limbeck.side";
  private static final String SAMPLER = "limbeck.sampler";
  private static final String PRECONDITIONING = "limbeck.preconditioning";
  private static final String GUIDANCE = "limbeck.guidance";

  /** A model of EDM's preconditioning with freshly drawn weights. */
  public static Model create(
      UNetConfig config, int side, Sampler sampler, Device device, long seed) {
    UNet network = new UNet(config, device, Rng.of(seed));
    return new Model(config, side, sampler, new Preconditioning.Edm(), 0, network);
  }

  /** A student of this model's architecture, with parameters of its own. */
  public Model student(Distiller distiller) {
    NetworkDenoiser trained = distiller.student();
    Device device = network.params().device();
    UNetConfig like = config.withGuidanceInput(trained.network().takesGuidance());
    UNet copy = new UNet(like, device, Rng.of(0));
    copy.params().copyFrom(trained.network().params());
    return new Model(
        like, side, distiller.sampler(), trained.preconditioning(), trained.guidanceWeight(), copy);
  }

  /** D(x, σ). */
  public NetworkDenoiser denoiser() {
    return new NetworkDenoiser(network, preconditioning, guidanceWeight);
  }

  /** This model as what students learn from. */
  public Teacher teacher() {
    Device device = network.params().device();
    Shape sample = Shape.of(side, side, config.inChannels());
    return Teacher.of(
        denoiser(),
        guidanceInput -> new UNet(config.withGuidanceInput(guidanceInput), device, Rng.of(0)),
        sample,
        config.classes());
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

  /** Images drawn with the model's own sampler; its parameters are frozen for it. */
  public Generation generation() {
    network.params().freeze();
    return new Generation(denoiser(), sampler, side, side, config.inChannels(), config.classes());
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
    metadata.put(CONFIG, Json.write(config.toJson()));
    metadata.put(SIDE, Integer.toString(side));
    metadata.put(SAMPLER, sampler.text());
    metadata.put(PRECONDITIONING, preconditioning.text());
    metadata.put(GUIDANCE, Double.toString(guidanceWeight));
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
    try (TensorFile saved = TensorFile.open(file)) {
      Map<String, String> metadata = saved.metadata();
      if (!metadata.containsKey(CONFIG)) {
        throw new TrainingException(
            file + " is not a model: its metadata has no " + CONFIG + ", as limbeck writes it");
      }
      UNetConfig config = UNetConfig.fromJson(Json.parseObject(metadata.get(CONFIG)));
      int side = Integer.parseInt(metadata.get(SIDE));
      Sampler sampler = Samplers.parse(metadata.get(SAMPLER));
      // Files from before there was a choice name neither of the two.
      Preconditioning preconditioning =
          Preconditioning.parse(
              metadata.getOrDefault(PRECONDITIONING, new Preconditioning.Edm().text()));
      double guidance = Double.parseDouble(metadata.getOrDefault(GUIDANCE, "0"));
      UNet network = new UNet(config, device, Rng.of(0));
      Model model = new Model(config, side, sampler, preconditioning, guidance, network);
      for (Parameter p : model.network.params().list()) {
        if (!saved.contains(p.name()) || !saved.shape(p.name()).equals(p.value().shape())) {
          throw new TrainingException(
              file + " lacks the parameter " + p.name() + " of shape " + p.value().shape());
        }
        p.value().buffer().upload(saved.floats(p.name()), 0);
      }
      model.network.params().freeze();
      return model;
    } catch (TensorFileException | IllegalArgumentException e) {
      throw new TrainingException(file + " cannot be read: " + e.getMessage(), e);
    }
  }
}
