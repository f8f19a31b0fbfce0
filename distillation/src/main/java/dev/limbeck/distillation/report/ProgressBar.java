package dev.limbeck.distillation.report;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Shows how far a run is: a bar, the loss, images a second and the time left.
 *
 * <p>On a terminal the line is redrawn in place, a few times a second; elsewhere a line is printed
 * every few seconds, so that a log stays short. The speed is an average over the last half minute
 * or so, the loss over the last fifty steps or so.
 */
public final class ProgressBar implements AutoCloseable {
  private static final int BAR = 24;
  private static final long REDRAW_NANOS = 200_000_000L;
  private static final long LINE_NANOS = 10_000_000_000L;

  /** Seconds over which the speed's weight falls to 1/e. */
  private static final double SPEED_MEMORY = 20;

  private static final double LOSS_MEMORY = 0.98;

  private final PrintStream out;
  private final boolean terminal;
  private final LongSupplier nanos;
  private final String label;
  private final long total;
  private final long first;
  private final long start;
  private long measured;
  private long shown;
  private long done;
  private double pendingImages;
  private double imagesPerSecond = -1;
  private double loss = Double.NaN;
  private int lastLength;

  ProgressBar(
      PrintStream out, boolean terminal, LongSupplier nanos, String label, long first, long total) {
    this.out = out;
    this.terminal = terminal;
    this.nanos = nanos;
    this.label = label;
    this.total = total;
    this.first = first;
    this.done = first;
    this.start = nanos.getAsLong();
    this.measured = start;
    this.shown = start;
  }

  /**
   * A bar on the error stream for {@code total} steps, of which {@code first} were done in an
   * earlier run.
   */
  public static ProgressBar of(String label, long first, long total) {
    boolean terminal = System.console() != null && !"dumb".equals(System.getenv("TERM"));
    return new ProgressBar(System.err, terminal, System::nanoTime, label, first, total);
  }

  /**
   * Says that {@code steps} are done in all, and with what loss the last one ended.
   *
   * @param stepLoss the loss, or NaN where there is none
   * @param images images that went through since the last call
   */
  public void update(long steps, double stepLoss, long images) {
    done = steps;
    pendingImages += images;
    if (Double.isFinite(stepLoss)) {
      loss = Double.isNaN(loss) ? stepLoss : LOSS_MEMORY * loss + (1 - LOSS_MEMORY) * stepLoss;
    }
    long now = nanos.getAsLong();
    if (now - shown >= (terminal ? REDRAW_NANOS : LINE_NANOS)) {
      measure(now);
      show(now, false);
    }
  }

  private void measure(long now) {
    double seconds = (now - measured) / 1e9;
    if (seconds <= 0) {
      return;
    }
    double speed = pendingImages / seconds;
    double keep = imagesPerSecond < 0 ? 0 : Math.exp(-seconds / SPEED_MEMORY);
    imagesPerSecond = keep * imagesPerSecond + (1 - keep) * speed;
    measured = now;
    pendingImages = 0;
  }

  private void show(long now, boolean last) {
    shown = now;
    String line = line(now, last);
    if (!terminal) {
      out.println(line);
      return;
    }
    out.print("\r" + line + " ".repeat(Math.max(0, lastLength - line.length())));
    if (last) {
      out.println();
    }
    out.flush();
    lastLength = line.length();
  }

  private String line(long now, boolean last) {
    StringBuilder line = new StringBuilder(label).append(' ');
    double fraction = total <= 0 ? 1 : Math.min(1, (double) done / total);
    if (terminal) {
      int full = (int) Math.round(fraction * BAR);
      line.append('[').append("#".repeat(full)).append(".".repeat(BAR - full)).append("] ");
    }
    line.append(String.format(Locale.ROOT, "%3.0f%% %d/%d", 100 * fraction, done, total));
    if (!Double.isNaN(loss)) {
      line.append(String.format(Locale.ROOT, "  loss %.4g", loss));
    }
    if (imagesPerSecond > 0) {
      line.append(String.format(Locale.ROOT, "  %.0f images/s", imagesPerSecond));
    }
    double elapsed = (now - start) / 1e9;
    if (last) {
      line.append("  ").append(time(elapsed));
    } else if (done > first) {
      line.append("  ").append(time(elapsed * (total - done) / (done - first))).append(" left");
    }
    return line.toString();
  }

  /** As in {@code 7 s}, {@code 3:05} or {@code 1:02:03}. */
  static String time(double seconds) {
    long s = Math.max(0, Math.round(seconds));
    if (s < 60) {
      return s + " s";
    }
    return s < 3600
        ? String.format(Locale.ROOT, "%d:%02d", s / 60, s % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  }

  /** Shows the last state and ends the line. */
  @Override
  public void close() {
    long now = nanos.getAsLong();
    measure(now);
    if (imagesPerSecond > 0 && now - start < REDRAW_NANOS) {
      imagesPerSecond = -1; // too short a time for a speed
    }
    show(now, true);
  }
}
