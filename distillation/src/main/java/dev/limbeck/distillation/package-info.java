/** Diffusion distillation: objectives, the trainer, and one file per method. */
package dev.limbeck.distillation;
