package dev.limbeck.distillation.report;

import dev.limbeck.distillation.data.SafeFiles;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * A page with the results of a run, in one file that needs no other: pictures are data URIs, curves
 * inline SVG, the style is within.
 *
 * @param summary one paragraph under the title
 * @param results the table of methods, or null
 * @param tables further tables
 * @param facts what was run: device, seed, data, command
 */
public record HtmlReport(
    String title,
    String summary,
    List<Figure> figures,
    Results results,
    List<Table> tables,
    List<LineChart> charts,
    List<Fact> facts) {
  /** A report without further tables. */
  public HtmlReport(
      String title,
      String summary,
      List<Figure> figures,
      Results results,
      List<LineChart> charts,
      List<Fact> facts) {
    this(title, summary, figures, results, List.of(), charts, facts);
  }

  /** A picture (PNG) and what is to be seen in it. */
  public record Figure(String caption, byte[] png) {}

  /** A name and a value, as in {@code seed} and {@code 0}. */
  public record Fact(String name, String value) {}

  /**
   * One way of drawing images.
   *
   * @param evaluations network evaluations an image
   * @param secondsPerImage time an image, in a batch
   * @param frechet the Fréchet distance; NaN where it was not measured
   */
  public record Row(String method, int evaluations, double secondsPerImage, double frechet) {}

  /**
   * The table.
   *
   * @param floor the Fréchet distance of real images that the reference does not contain; NaN where
   *     it was not measured
   * @param against which images the distances are to, and how many were drawn
   */
  public record Results(List<Row> rows, double floor, String against) {}

  /**
   * A table of text.
   *
   * @param rows each as long as the head; the first column is aligned to the left, numbers to the
   *     right
   * @param note what stands below
   */
  public record Table(String title, List<String> head, List<List<String>> rows, String note) {}

  private static final Pattern NUMBER = Pattern.compile("[-–]?[0-9.,e×%-]*");
  private static final String STYLE =
      """
      :root { color-scheme: light dark; }
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
        padding: 0 1rem; }
      h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
      figure { margin: 1rem 0; overflow-x: auto; }
      img { max-width: 100%; image-rendering: pixelated; }
      figcaption, .note { opacity: .75; font-size: .9rem; }
      table { border-collapse: collapse; } td, th { padding: .25rem .9rem .25rem 0;
        text-align: left; border-bottom: 1px solid #8884; }
      .n { text-align: right; font-variant-numeric: tabular-nums; }
      svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif;
        fill: currentColor; } svg g text { fill: inherit; font-weight: 600; }
      .grid { stroke: #8884; }
      """;

  /** The page. */
  public String html() {
    StringBuilder page = new StringBuilder();
    page.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.append("<title>").append(escaped(title)).append("</title>\n<style>\n");
    page.append(STYLE).append("</style>\n</head>\n<body>\n");
    element(page, "h1", title);
    element(page, "p", summary);
    if (results != null) {
      table(page);
    }
    tables.forEach(each -> table(page, each));
    for (Figure figure : figures) {
      page.append("<figure>\n<img alt=\"").append(escaped(figure.caption())).append('"');
      page.append(" src=\"data:image/png;base64,");
      page.append(Base64.getEncoder().encodeToString(figure.png())).append("\">\n");
      element(page, "figcaption", figure.caption());
      page.append("</figure>\n");
    }
    if (!charts.isEmpty()) {
      element(page, "h2", "Training");
    }
    for (LineChart chart : charts) {
      page.append("<figure>\n").append(chart.svg()).append("</figure>\n");
    }
    facts(page);
    return page.append("</body>\n</html>\n").toString();
  }

  private void table(StringBuilder page) {
    element(page, "h2", "Results");
    page.append("<table>\n<tr><th>method</th><th class=\"n\">network evaluations</th>");
    page.append("<th class=\"n\">seconds per image</th>");
    page.append("<th class=\"n\">Fréchet distance</th>");
    page.append("<th class=\"n\">of the floor</th></tr>\n");
    for (Row row : results.rows()) {
      row(
          page,
          row.method(),
          Integer.toString(row.evaluations()),
          measured(row.secondsPerImage()),
          row.frechet());
    }
    row(page, "real images (the floor)", "", "", results.floor());
    page.append("</table>\n<p class=\"note\">").append(escaped(results.against()));
    page.append("</p>\n");
  }

  private static void table(StringBuilder page, Table table) {
    element(page, "h2", table.title());
    page.append("<table>\n<tr>");
    table.head().forEach(each -> cell(page, "th", each));
    for (List<String> row : table.rows()) {
      page.append("</tr>\n<tr>");
      row.forEach(each -> cell(page, "td", each));
    }
    page.append("</tr>\n</table>\n");
    page.append("<p class=\"note\">").append(escaped(table.note())).append("</p>\n");
  }

  private static void cell(StringBuilder page, String name, String text) {
    boolean number = NUMBER.matcher(text).matches();
    page.append('<').append(name).append(number ? " class=\"n\">" : ">");
    page.append(escaped(text)).append("</").append(name).append('>');
  }

  private void row(
      StringBuilder page, String method, String evaluations, String seconds, double frechet) {
    double ratio = frechet / results.floor();
    page.append("<tr><td>").append(escaped(method)).append("</td>");
    String times = Double.isFinite(ratio) ? String.format(Locale.ROOT, "%.2f×", ratio) : "";
    for (String value : new String[] {evaluations, seconds, measured(frechet), times}) {
      page.append("<td class=\"n\">").append(value).append("</td>");
    }
    page.append("</tr>\n");
  }

  private static String measured(double value) {
    return Double.isFinite(value) ? LineChart.number(value) : "–";
  }

  private void facts(StringBuilder page) {
    if (facts.isEmpty()) {
      return;
    }
    element(page, "h2", "Run");
    page.append("<table>\n");
    for (Fact fact : facts) {
      page.append("<tr><td>").append(escaped(fact.name())).append("</td><td>");
      page.append(escaped(fact.value())).append("</td></tr>\n");
    }
    page.append("</table>\n");
  }

  private static void element(StringBuilder page, String name, String text) {
    page.append('<').append(name).append('>').append(escaped(text));
    page.append("</").append(name).append(">\n");
  }

  /** Text in which nothing is markup. */
  static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }

  /** Writes the page, whole or not at all. */
  public void write(Path file) {
    SafeFiles.write(file, html());
  }
}
