package dev.limbeck.bench.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.bench.MemoryCase;
import dev.limbeck.bench.PeerProcess;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.kernels.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What surrounds the measurements; the peers themselves need their own build. */
class PeerRunTest {
  private static Map<String, Object> timed(String name, double ours, double theirs) {
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", name);
    row.put("limbeck_ms", ours);
    row.put("peer_ms", theirs);
    return row;
  }

  @Test
  void eachRowIsTakenFromTheRunInWhichThePeerWasFaster() {
    Map<String, List<Map<String, Object>>> runs = new LinkedHashMap<>();
    runs.put("default", List.of(timed("a", 1, 5), timed("b", 2, 3)));
    runs.put("passive", List.of(timed("a", 7, 4), timed("b", 1, 6)));
    List<Map<String, Object>> rows = PeerRun.better(runs);
    assertEquals(2, rows.size());
    // Both sides' times stay together: those of one run.
    assertEquals("{name=a, limbeck_ms=7.0, peer_ms=4.0, peer_waits=passive}", "" + rows.get(0));
    assertEquals("{name=b, limbeck_ms=2.0, peer_ms=3.0, peer_waits=default}", "" + rows.get(1));
  }

  private static Map<String, Object> report(double base, double peak) {
    return Map.of(MemoryCase.BASE, base, MemoryCase.PEAK, peak, MemoryCase.STEP, 10.0);
  }

  @Test
  void memoryIsComparedWithTheSmallestOfThePeersLayouts() {
    Map<String, Object> large = new LinkedHashMap<>(report(310, 900));
    large.put("layout", "nchw");
    Map<String, Object> small = new LinkedHashMap<>(report(300, 800));
    small.put("layout", "channels_last");
    for (List<Map<String, Object>> theirs : List.of(List.of(large, small), List.of(small, large))) {
      Map<String, Object> row = PeerRun.comparison(report(40, 400), theirs);
      assertEquals(0.5, row.get("ratio"));
      assertEquals(400.0, row.get("limbeck_mb"));
      assertEquals(800.0, row.get("peer_mb"));
      assertEquals(40.0, row.get("limbeck_base_mb"));
      assertEquals(300.0, row.get("peer_base_mb"));
      assertEquals("channels_last", row.get("peer_layout"));
    }
  }

  @Test
  void aReportStandsAmongOtherLines() throws IOException {
    String said =
        "WARNING: Using incubator modules: jdk.incubator.vector\nready\n"
            + PeerProcess.REPORT
            + "{\"peak\":1.5}\nbye\n";
    List<String> others = new ArrayList<>();
    Map<String, Object> answer =
        ChildJvm.answer(new BufferedReader(new StringReader(said)), others::add);
    assertEquals(Map.of("peak", 1.5), answer);
    assertEquals(List.of("ready", "bye"), others);
    assertNull(ChildJvm.answer(new BufferedReader(new StringReader("ready\n")), others::add));
  }

  /** A real second JVM, which finds no such engine and ends without an answer. */
  @Test
  void aChildThatFailsIsSaidToHaveFailed() {
    List<String> said = new ArrayList<>();
    Map<String, Object> request = PeerProcess.timing("nobody", Pattern.compile("a"), 1);
    Exception e =
        assertThrows(
            IllegalStateException.class, () -> ChildJvm.ask(request, Map.of("X", "1"), said::add));
    assertTrue(e.getMessage().contains("status 1 and no report"), e.getMessage());
    assertTrue(said.toString().contains("PeerProcess.main"), said.toString());
  }

  @Test
  void aRecordHoldsEverythingAndIsNeverReplaced(@TempDir Path folder) throws IOException {
    Map<String, Object> memory = Map.of("name", "memory/b", "ratio", 0.5);
    new Recorder(folder, "one")
        .write(
            Map.of("commit", "abc"),
            Map.of("engine", "built so"),
            List.of(timed("a", 1, 2), memory));
    Map<String, Object> json = Json.parseObject(Files.readString(folder.resolve("one.json")));
    assertEquals("abc", json.get("commit"));
    assertEquals(Map.of("engine", "built so"), json.get("peers"));
    assertEquals(2, Json.list(json.get("rows"), "rows").size());
    String md = Files.readString(folder.resolve("one.md"));
    assertTrue(md.startsWith("- commit: abc\n\n| name | limbeck_ms | peer_ms |\n"), md);
    assertTrue(md.contains("\n| a | 1.0 | 2.0 |\n\n| "), md);
    Exception e = assertThrows(DataException.class, () -> new Recorder(folder, "one"));
    assertTrue(e.getMessage().contains("another name"), e.getMessage());
    assertThrows(DataException.class, () -> new Recorder(folder, "../one"));
  }

  @Test
  void aRecordWithoutANameIsCalledAfterDayAndMachine() {
    String name = Recorder.name(LocalDate.of(2026, 1, 31), 2);
    assertEquals("2026-01-31-jdk" + Runtime.version().feature() + "-t2", name);
  }
}
