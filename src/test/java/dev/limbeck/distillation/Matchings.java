package dev.limbeck.distillation;

/** Settings of distribution matching for tests. */
final class Matchings {
  private Matchings() {}

  /** Learning rates for small networks, and an average of this half-life in samples. */
  static MatchingConfig.Training quick(double emaHalfLife) {
    return new MatchingConfig.Training(1e-3, 2e-3, 0.9, 0.01, 10, 10, 1, emaHalfLife, 1, 0);
  }
}
