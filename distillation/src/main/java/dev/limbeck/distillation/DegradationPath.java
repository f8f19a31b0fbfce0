package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * Recorded weights of a network, nodes 1, 2, …: each a file of its own where there is a folder, in
 * memory otherwise.
 *
 * <p>Of nodes in files a run's checkpoint holds the checksums alone, so that a run that goes on
 * knows its own; of nodes in memory it holds the weights.
 */
final class DegradationPath {
  private static final String CHECKSUMS = "checksums";
  private static final int HALF = 16;

  private final String name;
  private final int nodes;
  private final Params like;

  /** Nodes in memory, made when they are first asked for. */
  private final List<Params> inMemory = new ArrayList<>();

  /** For each node in a file the upper and the lower half of its CRC-32, which floats can hold. */
  private final Params checksums;

  private Path folder;

  /**
   * No nodes yet.
   *
   * @param name of the method, in the names of files
   * @param like the network whose weights are recorded
   */
  DegradationPath(String name, int nodes, Params like) {
    this.name = name;
    this.nodes = nodes;
    this.like = like;
    this.checksums =
        nodes == 0
            ? null
            : Params.builder()
                .add(CHECKSUMS, Shape.of(nodes, 2), Init.zeros())
                .build(like.device(), Rng.of(0));
  }

  /** Nodes are files of this folder from now on. */
  void keepIn(Path place) {
    folder = place;
    inMemory.forEach(Params::close);
    inMemory.clear();
  }

  private List<Params> inMemory() {
    while (inMemory.size() < nodes) {
      inMemory.add(like.copy());
    }
    return inMemory;
  }

  /** What a checkpoint has to hold, by name. */
  Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    if (nodes > 0 && folder != null) {
      all.put("path", checksums);
    } else {
      for (int i = 0; i < nodes; i++) {
        all.put("path" + (i + 1), inMemory().get(i));
      }
    }
    return all;
  }

  private Path file(int node) {
    return folder.resolve("node-" + node + "-" + name + ".safetensors");
  }

  /** Keeps the network's weights as they are now. */
  void record(int node) {
    if (folder == null) {
      inMemory().get(node - 1).copyFrom(like);
      return;
    }
    Map<String, float[]> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (Parameter p : like.list()) {
      values.put(p.name(), p.value().toFloats());
      tensors.put(p.name(), p.value());
    }
    try {
      TensorFile.write(file(node), tensors, Map.of());
    } catch (TensorFileException e) {
      throw new TrainingException("a node cannot be kept: " + e.getMessage(), e);
    }
    Tensor all = checksums.get(CHECKSUMS).value();
    float[] known = all.toFloats();
    System.arraycopy(checksum(values), 0, known, 2 * (node - 1), 2);
    all.buffer().upload(known, 0);
    checksums.touch();
  }

  /**
   * Puts a node's weights into a network.
   *
   * @throws TrainingException if its file is missing, or not the one that was recorded
   */
  void load(int node, Params into) {
    if (folder == null) {
      into.copyFrom(inMemory().get(node - 1));
      return;
    }
    Path file = file(node);
    try (Scope scope = Scope.open();
        TensorFile saved = TensorFile.open(file)) {
      Map<String, float[]> values = new LinkedHashMap<>();
      for (Parameter p : into.list()) {
        boolean fits = saved.contains(p.name()) && saved.shape(p.name()).equals(p.value().shape());
        values.put(p.name(), fits ? saved.floats(p.name()) : new float[0]);
      }
      float[] known = checksums.get(CHECKSUMS).value().toFloats();
      float[] found = checksum(values);
      if (found[0] != known[2 * (node - 1)] || found[1] != known[2 * node - 1]) {
        throw new TrainingException(
            file
                + " does not hold the weights that this run recorded: put its own file back, or"
                + " choose another --out");
      }
      for (Parameter p : into.list()) {
        p.value().buffer().upload(values.get(p.name()), 0);
      }
      into.touch();
    } catch (TensorFileException e) {
      throw new TrainingException(
          "weights that this run recorded cannot be read: "
              + e.getMessage()
              + ": put its own file back, or choose another --out",
          e);
    }
  }

  private static float[] checksum(Map<String, float[]> values) {
    CRC32 crc = new CRC32();
    for (float[] each : values.values()) {
      ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * each.length);
      bytes.asFloatBuffer().put(each);
      crc.update(bytes);
    }
    long sum = crc.getValue();
    return new float[] {sum >>> HALF, sum & (1 << HALF) - 1};
  }
}
