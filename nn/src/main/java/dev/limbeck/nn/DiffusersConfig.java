package dev.limbeck.nn;

import dev.limbeck.kernels.Json;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.UNetConfig.ClassInput;
import dev.limbeck.nn.UNetConfig.Initial;
import dev.limbeck.nn.UNetConfig.Modulation;
import dev.limbeck.nn.UNetConfig.Resampling;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.UNetConfig.TimeKind;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Translates between diffusers' {@code UNet2DModel} configurations and {@link UNetConfig}. */
final class DiffusersConfig {
  private static final float FOURIER_BANDWIDTH = 16f;

  private final Map<String, ?> json;

  private DiffusersConfig(Map<String, ?> json) {
    this.json = json;
  }

  /**
   * The configuration that a model's {@code config.json} describes; keys that do not change what
   * the model computes are ignored.
   *
   * @throws IllegalArgumentException naming a block type, option or value that cannot be expressed
   */
  static UNetConfig read(Map<String, ?> json) {
    return new DiffusersConfig(json).config();
  }

  private UNetConfig config() {
    only("_class_name", "UNet2DModel");
    only("act_fn", "silu", "swish");
    only("downsample_type", "conv");
    only("upsample_type", "conv");
    only("mid_block_type", "UNetMidBlock2D");
    absent("attn_norm_num_groups");
    List<Integer> widths = widths();
    List<AttendIn> encoder = blocks("down_block_types", "DownBlock2D", "AttnDownBlock2D", DOWN);
    List<AttendIn> decoder = blocks("up_block_types", "UpBlock2D", "AttnUpBlock2D", UP);
    Collections.reverse(decoder);
    if (encoder.size() != widths.size() || decoder.size() != widths.size()) {
      throw new IllegalArgumentException(
          "config: block_out_channels, down_block_types and up_block_types differ in length");
    }
    boolean fourier = fourier();
    ClassInput classes = classInput();
    return new UNetConfig(
        integer("in_channels", 3),
        integer("out_channels", 3),
        widths,
        integer("layers_per_block", 2),
        encoder,
        decoder,
        flag("add_attention", true),
        isNull("attention_head_dim") ? 0 : integer("attention_head_dim", 8),
        isNull("norm_num_groups") ? 0 : integer("norm_num_groups", 32),
        number("norm_eps", 1e-5),
        text("resnet_time_scale_shift", "default", "scale_shift").equals("default")
            ? Modulation.ADD
            : Modulation.SCALE_SHIFT,
        1f,
        1 / number("mid_block_scale_factor", 1),
        Resampling.CONVOLUTION,
        integer("downsample_padding", 1),
        fourier
            ? new TimeFeatures(TimeKind.FOURIER_OF_LOG, false, 0f, FOURIER_BANDWIDTH, 1f)
            : new TimeFeatures(
                TimeKind.POSITIONAL,
                flag("flip_sin_to_cos", true),
                number("freq_shift", 0),
                0f,
                1f),
        classes,
        classes == ClassInput.TABLE ? integer("num_class_embeds", 0) : 0,
        false,
        false,
        flag("center_input_sample", false),
        fourier,
        0,
        number("dropout", 0),
        Initial.TORCH);
  }

  private static final List<String> DOWN =
      List.of("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D");
  private static final List<String> UP =
      List.of("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D");

  private List<Integer> widths() {
    List<Integer> widths = new ArrayList<>();
    Object value = json.get("block_out_channels");
    for (Object w : value == null ? List.of(224L, 448L, 672L, 896L) : list(value)) {
      widths.add(toInt("block_out_channels", w));
    }
    return widths;
  }

  private static List<?> list(Object value) {
    return Json.list(value, "config: a list of levels");
  }

  private List<AttendIn> blocks(String key, String plain, String attending, List<String> defaults) {
    List<AttendIn> blocks = new ArrayList<>();
    Object value = json.get(key);
    for (Object type : value == null ? defaults : list(value)) {
      if (plain.equals(type)) {
        blocks.add(AttendIn.NO_BLOCK);
      } else if (attending.equals(type)) {
        blocks.add(AttendIn.EVERY_BLOCK);
      } else {
        throw new IllegalArgumentException(
            "config: block type "
                + type
                + " in "
                + key
                + " is not supported; known are "
                + plain
                + " and "
                + attending);
      }
    }
    return blocks;
  }

  private boolean fourier() {
    return text("time_embedding_type", "positional", "fourier").equals("fourier");
  }

  private ClassInput classInput() {
    if (isNull("class_embed_type") || !json.containsKey("class_embed_type")) {
      boolean table = json.get("num_class_embeds") != null;
      return table ? ClassInput.TABLE : ClassInput.NONE;
    }
    return text("class_embed_type", "timestep", "identity").equals("timestep")
        ? ClassInput.TIME_LIKE
        : ClassInput.VECTOR;
  }

  // ---- single values ----

  private boolean isNull(String key) {
    return json.containsKey(key) && json.get(key) == null;
  }

  /** One of the known strings; the first where the key is absent. */
  private String text(String key, String... known) {
    Object value = json.get(key);
    if (!json.containsKey(key)) {
      return known[0];
    }
    if (value instanceof String s && List.of(known).contains(s)) {
      return s;
    }
    throw new IllegalArgumentException(
        "config: " + key + " " + value + " is not supported; known are " + List.of(known));
  }

  private void only(String key, String... known) {
    text(key, known);
  }

  private void absent(String key) {
    if (json.get(key) != null) {
      throw new IllegalArgumentException("config: " + key + " is not supported");
    }
  }

  private int integer(String key, int absent) {
    return json.containsKey(key) ? toInt(key, json.get(key)) : absent;
  }

  private static int toInt(String key, Object value) {
    if (value instanceof Number n && n.doubleValue() == n.intValue()) {
      return n.intValue();
    }
    throw new IllegalArgumentException("config: " + key + " must be an integer, not " + value);
  }

  private float number(String key, double absent) {
    if (!json.containsKey(key)) {
      return (float) absent;
    }
    if (json.get(key) instanceof Number n) {
      return n.floatValue();
    }
    throw new IllegalArgumentException(
        "config: " + key + " must be a number, not " + json.get(key));
  }

  private boolean flag(String key, boolean absent) {
    if (!json.containsKey(key)) {
      return absent;
    }
    if (json.get(key) instanceof Boolean b) {
      return b;
    }
    throw new IllegalArgumentException("config: " + key + " must be true or false");
  }

  // ---- the way back ----

  /**
   * The {@code config.json} of the same model.
   *
   * @throws IllegalArgumentException naming the first component that {@code UNet2DModel} lacks
   */
  static Map<String, Object> write(UNetConfig c) {
    refuse(c.residualScale() != 1f, "residual scaling");
    refuse(c.resampling() != Resampling.CONVOLUTION, "residual resampling");
    refuse(c.decoderAttention().contains(AttendIn.LAST_BLOCK), "attention in the last block only");
    refuse(c.encoderAttention().contains(AttendIn.LAST_BLOCK), "attention in the last block only");
    refuse(c.groups() == 0, "a number of groups that follows the width");
    refuse(c.embeddingWidth() != 0, "an own embedding width");
    refuse(c.guidanceInput(), "a guidance input");
    refuse(c.classInput() == ClassInput.TABLE_BEFORE_LAYERS, "classes before the embedding layers");
    boolean fourier = c.time().kind() == TimeKind.FOURIER_OF_LOG;
    refuse(c.time().kind() == TimeKind.FOURIER, "Fourier features of the condition itself");
    refuse(fourier != c.divideByTime(), "another output scaling");
    refuse(fourier && c.time().cosineFirst(), "Fourier features with cosines first");
    refuse(c.time().scale() != 1f, "a time scale");
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("_class_name", "UNet2DModel");
    json.put("in_channels", c.inChannels());
    json.put("out_channels", c.outChannels());
    json.put("center_input_sample", c.centerInput());
    json.put("time_embedding_type", fourier ? "fourier" : "positional");
    json.put("freq_shift", plain(c.time().frequencyShift()));
    json.put("flip_sin_to_cos", fourier || c.time().cosineFirst());
    json.put("down_block_types", names(c.encoderAttention(), "DownBlock2D"));
    List<String> up = new ArrayList<>(names(c.decoderAttention(), "UpBlock2D"));
    Collections.reverse(up);
    json.put("up_block_types", up);
    json.put("block_out_channels", c.widths());
    json.put("layers_per_block", c.blocksPerLevel());
    json.put("mid_block_scale_factor", plain(1 / c.middleScale()));
    json.put("downsample_padding", c.downPadding());
    json.put("act_fn", "silu");
    json.put("attention_head_dim", c.headChannels() == 0 ? null : c.headChannels());
    json.put("norm_num_groups", c.groups());
    json.put("norm_eps", c.normEpsilon());
    json.put("add_attention", c.middleAttention());
    json.put("dropout", c.dropout());
    json.put(
        "resnet_time_scale_shift",
        c.modulation() == Modulation.SCALE_SHIFT ? "scale_shift" : "default");
    json.put(
        "class_embed_type",
        c.classInput() == ClassInput.TIME_LIKE
            ? "timestep"
            : c.classInput() == ClassInput.VECTOR ? "identity" : null);
    json.put("num_class_embeds", c.classInput() == ClassInput.TABLE ? c.classRows() : null);
    return json;
  }

  private static void refuse(boolean present, String what) {
    if (present) {
      throw new IllegalArgumentException("config: UNet2DModel cannot express " + what);
    }
  }

  /** Integers without a fraction, as diffusers writes them. */
  private static Number plain(float value) {
    return value == (int) value ? (Number) (int) value : (Number) value;
  }

  private static List<String> names(List<AttendIn> levels, String plain) {
    return levels.stream().map(a -> a == AttendIn.NO_BLOCK ? plain : "Attn" + plain).toList();
  }
}
