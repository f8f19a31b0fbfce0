package dev.limbeck.distillation.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Picture;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

class ReportTest {
  @TempDir Path folder;

  private static HtmlReport report() {
    double[] steps = new double[1000];
    double[] losses = new double[1000];
    for (int i = 0; i < 1000; i++) {
      steps[i] = i;
      losses[i] = i == 10 ? Double.NaN : 100 / (1.0 + i);
    }
    LineChart chart = new LineChart("loss", List.of(new LineChart.Curve("<pd>", steps, losses)));
    List<HtmlReport.Row> rows =
        List.of(
            new HtmlReport.Row("teacher", 35, 0.012, 1.4),
            new HtmlReport.Row("dmd2", 1, 0.0004, Double.NaN));
    return new HtmlReport(
        "Run & result",
        "One \"paragraph\".",
        List.of(new HtmlReport.Figure("digits", new Picture(new byte[] {1, 2}, 1, 2, 1).png())),
        new HtmlReport.Results(rows, 0.7, "against 60,000 digits, 5,000 drawn"),
        List.of(chart),
        List.of(new HtmlReport.Fact("seed", "0")));
  }

  @Test
  void thePageNeedsNoOtherFileAndSaysEverything() throws IOException {
    Path file = folder.resolve("report.html");
    report().write(file);
    String page = Files.readString(file);
    for (String part :
        new String[] {
          "<h1>Run &amp; result</h1>",
          "One &quot;paragraph&quot;.",
          "src=\"data:image/png;base64,iVBORw0KGgo",
          "<td>teacher</td><td class=\"n\">35</td><td class=\"n\">0.0120</td>",
          "<td class=\"n\">1.40</td><td class=\"n\">2.00×</td>",
          "<td>dmd2</td><td class=\"n\">1</td><td class=\"n\">4.0e-04</td><td class=\"n\">–</td>",
          "real images (the floor)",
          "against 60,000 digits, 5,000 drawn",
          "&lt;pd&gt;",
          "<td>seed</td><td>0</td>"
        }) {
      assertTrue(page.contains(part), part);
    }
    assertFalse(page.contains("http"), "nothing is fetched");
    assertFalse(page.contains("NaN"));
  }

  @Test
  void curvesAreWellFormedAndStayInsideTheChart() throws Exception {
    Document svg = parse(report().charts().get(0).svg());
    Element line = (Element) svg.getElementsByTagName("polyline").item(0);
    String[] points = line.getAttribute("points").trim().split(" ");
    assertTrue(points.length > 250 && points.length <= 300, points.length + " points");
    double before = -1;
    for (String point : points) {
      double x = Double.parseDouble(point.split(",")[0]);
      double y = Double.parseDouble(point.split(",")[1]);
      assertTrue(x > before && x >= 64 && x <= 628 && y >= 28 && y <= 230, point);
      before = x;
    }
    assertTrue(svg.getDocumentElement().getTextContent().contains("loss (logarithmic)"));
    parse(new LineChart("nothing yet", List.of()).svg());
    double[] one = {1};
    parse(new LineChart("one", List.of(new LineChart.Curve("a", one, one))).svg());
    assertThrows(
        IllegalArgumentException.class, () -> new LineChart.Curve("a", one, new double[2]));
  }

  private static Document parse(String xml) throws Exception {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new ByteArrayInputStream(xml.getBytes(StandardCharsets.UTF_8)));
  }

  // ---- progress ----

  private final long[] clock = {0};
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  private ProgressBar bar(boolean terminal, long first) {
    PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    return new ProgressBar(out, terminal, () -> clock[0], "pd", first, 100);
  }

  private String printed() {
    return bytes.toString(StandardCharsets.UTF_8);
  }

  private static final long SECOND = 1_000_000_000L;

  @Test
  void aTerminalSeesOneLineRedrawn() {
    try (ProgressBar bar = bar(true, 0)) {
      bar.update(1, 2, 64);
      assertEquals("", printed());
      clock[0] += SECOND;
      bar.update(25, 2, 64 * 24);
    }
    assertTrue(
        printed()
            .startsWith(
                "\rpd [######..................]  25% 25/100  loss 2.000  1600 images/s  3 s left"),
        printed());
    assertTrue(printed().endsWith("1 s" + " ".repeat(5) + System.lineSeparator()), printed());
  }

  @Test
  void aLogGetsALineNowAndThen() {
    try (ProgressBar bar = bar(false, 50)) {
      for (int step = 51; step <= 100; step++) {
        clock[0] += SECOND;
        bar.update(step, Double.NaN, 10);
      }
    }
    List<String> lines = printed().lines().toList();
    assertEquals(6, lines.size(), printed());
    assertEquals("pd  60% 60/100  10 images/s  40 s left", lines.get(0));
    assertEquals("pd 100% 100/100  10 images/s  50 s", lines.get(5));
    assertFalse(printed().contains("\r"));
  }

  @Test
  void timesAreReadable() {
    assertEquals("7 s", ProgressBar.time(7.4));
    assertEquals("3:05", ProgressBar.time(185));
    assertEquals("1:02:03", ProgressBar.time(3723));
  }
}
