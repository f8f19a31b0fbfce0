/**
 * Experiments on the statistical rates of consistency models: how the error of a perfectly trained
 * model falls with steps, samples and dimension.
 *
 * <p>Everything here is exact up to double precision, on distributions with a closed form; no
 * network is trained.
 */
package dev.limbeck.distillation.rates;
