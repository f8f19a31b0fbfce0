/** Optimizers and what belongs to a training step: schedules, clipping, moving averages. */
package dev.limbeck.nn.optim;
