package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.TrainJob;
import dev.limbeck.distillation.report.ProgressBar;

/** Shows a job's parts one after the other as progress bars on the error stream. */
final class ConsoleWatcher implements TrainJob.Watcher {
  private ProgressBar bar;
  private String part;

  @Override
  public void begins(String part, long first, long steps) {
    this.part = part;
    bar = ProgressBar.of(part, first, steps);
  }

  @Override
  public void progress(long done, double loss, int images) {
    bar.update(done, loss, images);
  }

  @Override
  public void ends(String result) {
    bar.close();
    System.err.println(part + ": " + result);
  }
}
