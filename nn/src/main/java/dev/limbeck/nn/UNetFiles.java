package dev.limbeck.nn;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import dev.limbeck.tensor.TensorFileWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/** Reads and writes UNets: our own checkpoints, and diffusers' models. */
final class UNetFiles {
  /** The metadata key under which our checkpoints hold the configuration. */
  static final String CONFIG = "unet";

  private UNetFiles() {}

  static UNetConfig diffusersConfig(Path configJson) throws TensorFileException {
    String text;
    try {
      text = Files.readString(configJson, StandardCharsets.UTF_8);
    } catch (NoSuchFileException e) {
      throw new TensorFileException(configJson + ": there is no such file", e);
    } catch (IOException e) {
      throw new TensorFileException(configJson + ": cannot be read as text", e);
    }
    return diffusersConfig(configJson, text);
  }

  static UNetConfig diffusersConfig(Path source, String text) throws TensorFileException {
    try {
      return DiffusersConfig.read(Json.parseObject(text));
    } catch (IllegalArgumentException e) {
      throw new TensorFileException(source + ": " + e.getMessage(), e);
    }
  }

  /** A network with the weights that lie under {@code prefix}. */
  static UNet load(UNetConfig config, TensorFile file, String prefix, Device device)
      throws TensorFileException {
    UNet net;
    try {
      net = new UNet(config, device, Rng.of(0));
    } catch (IllegalArgumentException e) {
      throw new TensorFileException(file.path() + ": " + e.getMessage(), e);
    }
    try {
      WeightFiles.read(file, prefix, net.params(), Set.copyOf(WeightFiles.FREQUENCIES));
      Tensor frequencies = net.randomFrequencies();
      for (String name : WeightFiles.FREQUENCIES) {
        if (frequencies != null && file.contains(prefix + name)) {
          float[] stored = WeightFiles.floats(file, prefix + name, frequencies.shape());
          frequencies.buffer().upload(stored, 0);
          break;
        }
      }
      return net;
    } catch (TensorFileException | RuntimeException e) {
      net.close();
      throw e;
    }
  }

  static void write(UNet net, TensorFileWriter writer, String prefix) {
    WeightFiles.write(writer, prefix, net.params());
    Tensor frequencies = net.randomFrequencies();
    if (frequencies != null) {
      writer.add(prefix + WeightFiles.FREQUENCIES.get(0), frequencies);
    }
  }

  static UNetConfig ownConfig(TensorFile file) throws TensorFileException {
    String text = file.metadata().get(CONFIG);
    if (text == null) {
      throw new TensorFileException(
          file.path() + ": is no checkpoint of a UNet: its metadata has no entry \"unet\"");
    }
    try {
      return UNetConfig.fromJson(Json.parseObject(text));
    } catch (IllegalArgumentException e) {
      throw new TensorFileException(file.path() + ": metadata \"unet\": " + e.getMessage(), e);
    }
  }

  static void writeText(Path path, Map<String, ?> json) throws TensorFileException {
    try {
      Files.writeString(path, Json.writePretty(json));
    } catch (IOException e) {
      throw new TensorFileException(path + ": cannot be written", e);
    }
  }
}
