/** How close generated images are to real ones: distances between features, coverage, modes. */
package dev.limbeck.distillation.metrics;
