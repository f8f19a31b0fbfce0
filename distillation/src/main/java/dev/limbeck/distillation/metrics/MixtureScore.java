package dev.limbeck.distillation.metrics;

/**
 * How well points follow a mixture.
 *
 * @param withinMode the sliced Wasserstein-2 distance within modes: √(Σ_k π_k SW₂²) between the
 *     points of mode k and fresh data of that mode, over the modes that have points
 * @param massError the largest |share of the points in a mode − π_k|
 * @param outliers the share of points beyond {@link MixtureEvaluation#QUANTILE} of their mode
 */
public record MixtureScore(double withinMode, double massError, double outliers) {}
