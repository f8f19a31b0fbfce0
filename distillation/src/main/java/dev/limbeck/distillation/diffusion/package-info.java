/**
 * Diffusion itself: noise levels, denoisers D(x, σ), and samplers.
 *
 * <p>Everything is in the variance-exploding form x_σ = x₀ + σ n; other parameterisations are
 * adapted at the edge by {@code Preconditioning}. In this form DDIM is Euler's method.
 */
package dev.limbeck.distillation.diffusion;
