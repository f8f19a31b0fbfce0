package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Json;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.UNetConfig.ClassInput;
import dev.limbeck.nn.UNetConfig.Modulation;
import dev.limbeck.nn.UNetConfig.TimeKind;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DiffusersConfigTest {
  private static final String TWO_LEVELS =
      "\"block_out_channels\":[16,32],\"down_block_types\":[\"DownBlock2D\",\"AttnDownBlock2D\"],"
          + "\"up_block_types\":[\"AttnUpBlock2D\",\"UpBlock2D\"]";

  private static UNetConfig read(String text) {
    return DiffusersConfig.read(Json.parseObject(text));
  }

  @Test
  void whatIsAbsentIsAsInDiffusers() {
    UNetConfig c = read("{}");
    assertEquals(List.of(224, 448, 672, 896), c.widths());
    assertEquals(2, c.blocksPerLevel());
    assertEquals(AttendIn.NO_BLOCK, c.encoderAttention().get(0));
    assertEquals(AttendIn.NO_BLOCK, c.decoderAttention().get(0), "the last up block is the finest");
    assertEquals(AttendIn.EVERY_BLOCK, c.decoderAttention().get(3));
    assertEquals(8, c.headChannels());
    assertEquals(32, c.groups());
    assertEquals(1e-5f, c.normEpsilon());
    assertEquals(1, c.downPadding());
    assertTrue(c.time().cosineFirst() && c.middleAttention() && !c.centerInput());
    assertEquals(0f, c.time().frequencyShift());
    assertEquals(Modulation.ADD, c.modulation());
    assertEquals(ClassInput.NONE, c.classInput());
  }

  @Test
  void everyOptionIsRead() {
    UNetConfig c =
        read(
            "{"
                + TWO_LEVELS
                + ",\"in_channels\":4,\"out_channels\":8,\"center_input_sample\":true,"
                + "\"time_embedding_type\":\"fourier\",\"mid_block_scale_factor\":2,"
                + "\"downsample_padding\":0,\"attention_head_dim\":null,\"norm_num_groups\":4,"
                + "\"norm_eps\":1e-06,\"add_attention\":false,\"num_class_embeds\":10,"
                + "\"class_embed_type\":null,\"resnet_time_scale_shift\":\"scale_shift\"}");
    assertEquals(4, c.inChannels());
    assertEquals(8, c.outChannels());
    assertTrue(c.centerInput() && c.divideByTime() && !c.middleAttention());
    assertEquals(TimeKind.FOURIER_OF_LOG, c.time().kind());
    assertEquals(0.5f, c.middleScale());
    assertEquals(0, c.headChannels());
    assertEquals(1e-6f, c.normEpsilon());
    assertEquals(ClassInput.TABLE, c.classInput());
    assertEquals(10, c.classRows());
    assertEquals(Modulation.SCALE_SHIFT, c.modulation());
    assertEquals(c, DiffusersConfig.read(DiffusersConfig.write(c)).with(java.util.Map.of()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"timestep", "identity"})
  void otherClassEmbeddingsAreRead(String kind) {
    UNetConfig c = read("{" + TWO_LEVELS + ",\"class_embed_type\":\"" + kind + "\"}");
    assertEquals(
        kind.equals("timestep") ? ClassInput.TIME_LIKE : ClassInput.VECTOR, c.classInput());
    assertEquals(c, DiffusersConfig.read(DiffusersConfig.write(c)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{\"down_block_types\":[\"SkipDownBlock2D\"]}; SkipDownBlock2D",
        "{\"up_block_types\":[\"CrossAttnUpBlock2D\"]}; CrossAttnUpBlock2D",
        "{\"block_out_channels\":[8,8]}; differ in length",
        "{\"time_embedding_type\":\"learned\"}; learned",
        "{\"act_fn\":\"gelu\"}; gelu",
        "{\"downsample_type\":\"resnet\"}; resnet",
        "{\"mid_block_type\":null}; mid_block_type",
        "{\"class_embed_type\":\"projection\"}; projection",
        "{\"layers_per_block\":1.5}; layers_per_block",
        "{\"layers_per_block\":0}; at least one block",
        "{\"norm_eps\":\"small\"}; norm_eps",
        "{\"downsample_padding\":2}; padding",
        "{\"add_attention\":1}; add_attention",
        "{\"_class_name\":\"UNet2DConditionModel\"}; UNet2DConditionModel"
      })
  void whatIsUnknownIsRefusedByName(String text, String part) {
    String message = assertThrows(IllegalArgumentException.class, () -> read(text)).getMessage();
    assertTrue(message.contains(part), message);
  }

  @Test
  void whatDiffusersLacksIsRefusedByName() {
    String message =
        assertThrows(
                IllegalArgumentException.class, () -> DiffusersConfig.write(UNetConfig.mnist16()))
            .getMessage();
    assertTrue(message.contains("residual scaling"), message);
    assertFalse(message.contains("\n"));
  }

  @Test
  void ownConfigurationsSurviveJson() {
    for (UNetConfig c :
        List.of(
            UNetConfig.mnist16(),
            UNetConfig.cifar10(),
            UNetConfig.imagenet64().withGuidanceInput(true),
            UNetConfig.toy(2).withTime(UNetConfig.TimeFeatures.fourier(2f)),
            read("{}"))) {
      assertEquals(c, UNetConfig.fromJson(Json.parseObject(Json.write(c.toJson()))));
    }
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () -> UNetConfig.fromJson(Json.parseObject("{\"depth\":3}")));
    assertEquals("UNetConfig has no component depth", e.getMessage());
    assertThrows(
        IllegalArgumentException.class,
        () -> UNetConfig.fromJson(Json.parseObject("{\"blocksPerLevel\":\"many\"}")));
    assertThrows(
        IllegalArgumentException.class,
        () -> UNetConfig.fromJson(Json.parseObject("{\"resampling\":\"MAGIC\"}")));
  }
}
