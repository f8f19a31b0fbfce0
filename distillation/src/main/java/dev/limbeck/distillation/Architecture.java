package dev.limbeck.distillation;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.JsonRecord;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What the network of a {@link Model} is made of, and the samples that it is for. */
public sealed interface Architecture {
  /** A further network of this kind, with parameters of its own. */
  Network create(Device device, Rng rng);

  /** The same with or without an input for the weight of guidance. */
  Architecture withGuidanceInput(boolean on);

  /** The shape of one sample. */
  Shape sample();

  /** Number of classes, 0 for unconditional samples. */
  int classes();

  /** Adds what {@link #read} needs to the metadata of a file. */
  void describe(Map<String, String> metadata);

  /**
   * What a file's metadata describe.
   *
   * @throws IllegalArgumentException if they describe no network
   */
  static Architecture read(Map<String, String> metadata) {
    if (metadata.containsKey(Images.CONFIG)) {
      return Images.of(metadata);
    }
    if (metadata.containsKey(Points.CONFIG)) {
      return Points.of(metadata);
    }
    throw new IllegalArgumentException(
        "it is not a model: its metadata has neither "
            + Images.CONFIG
            + " nor "
            + Points.CONFIG
            + ", as limbeck writes them");
  }

  /**
   * A UNet for images.
   *
   * @param side height and width
   */
  record Images(UNetConfig network, int side) implements Architecture {
    private static final String CONFIG = "limbeck.unet";
    private static final String SIDE = "limbeck.side";

    private static Images of(Map<String, String> metadata) {
      UNetConfig config = UNetConfig.fromJson(Json.parseObject(metadata.get(CONFIG)));
      return new Images(config, Integer.parseInt(metadata.get(SIDE)));
    }

    @Override
    public Network create(Device device, Rng rng) {
      return new UNet(network, device, rng);
    }

    @Override
    public Architecture withGuidanceInput(boolean on) {
      return new Images(network.withGuidanceInput(on), side);
    }

    @Override
    public Shape sample() {
      return Shape.of(side, side, network.inChannels());
    }

    @Override
    public int classes() {
      return network.classes();
    }

    @Override
    public void describe(Map<String, String> metadata) {
      metadata.put(CONFIG, Json.write(network.toJson()));
      metadata.put(SIDE, Integer.toString(side));
    }
  }

  /**
   * A multilayer perceptron for points.
   *
   * @param centre what a point at the origin of the network's coordinates stands for
   * @param unit data's length of one unit of the network's coordinates
   */
  record Points(Mlp.Config network, List<Double> centre, double unit) implements Architecture {
    private static final String CONFIG = "limbeck.mlp";
    private static final String CENTRE = "limbeck.centre";
    private static final String UNIT = "limbeck.unit";

    public Points {
      centre = List.copyOf(centre);
      if (centre.size() != network.inputs()) {
        throw new IllegalArgumentException(
            "the centre has "
                + centre.size()
                + " coordinates, the network "
                + network.inputs()
                + " inputs");
      }
    }

    private static Points of(Map<String, String> metadata) {
      Mlp.Config config =
          JsonRecord.read(Json.parseObject(metadata.get(CONFIG)), Mlp.Config.toy(2, 0));
      List<Double> centre = new ArrayList<>();
      for (Object each : Json.list(Json.parse(metadata.get(CENTRE)), CENTRE)) {
        centre.add(((Number) each).doubleValue());
      }
      return new Points(config, centre, Double.parseDouble(metadata.get(UNIT)));
    }

    @Override
    public Network create(Device device, Rng rng) {
      return new Mlp(network, device, rng);
    }

    @Override
    public Architecture withGuidanceInput(boolean on) {
      return new Points(network.withGuidanceInput(on), centre, unit);
    }

    @Override
    public Shape sample() {
      return Shape.of(network.inputs());
    }

    @Override
    public int classes() {
      return network.classes();
    }

    @Override
    public void describe(Map<String, String> metadata) {
      metadata.put(CONFIG, Json.write(JsonRecord.fields(network)));
      metadata.put(CENTRE, Json.write(centre));
      metadata.put(UNIT, Double.toString(unit));
    }

    /** The data that points in the network's coordinates stand for; written over them. */
    public float[] toData(float[] points) {
      for (int i = 0; i < points.length; i++) {
        points[i] = (float) (centre.get(i % centre.size()) + unit * points[i]);
      }
      return points;
    }
  }
}
