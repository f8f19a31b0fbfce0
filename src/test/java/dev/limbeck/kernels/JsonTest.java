package dev.limbeck.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
  @Test
  void readsEveryKindOfValue() {
    Map<String, Object> map =
        Json.parseObject(" {\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"x\\u0041\\n\\\"\"}}\n");
    assertEquals(Arrays.asList(1L, -2500.0, true, false, null), map.get("a"));
    assertEquals(Map.of("c", "xA\n\""), map.get("b"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "[1 2]",
        "01",
        "1.",
        "-",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "{} {}",
        "{\"a\":1,\"a\":2}",
        "'a'",
        "\"a\nb\"",
        "{a:1}"
      })
  void refusesWhatIsNoJson(String text) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> Json.parse(text));
    assertTrue(e.getMessage().startsWith("JSON: "), e.getMessage());
  }

  @Test
  void refusesAbsurdNesting() {
    assertThrows(IllegalArgumentException.class, () -> Json.parse("[".repeat(100_000)));
  }

  @Property(tries = 200)
  void writesWhatItReads(@ForAll Map<String, List<Double>> value, @ForAll String text) {
    Map<String, Object> all = new LinkedHashMap<>(value);
    all.put("the text", text);
    assertEquals(all, Json.parse(Json.write(all)));
    assertEquals(all, Json.parse(Json.writePretty(all)));
  }
}
