package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.tensor.Tensor;

/** A denoiser that others take turns to stand for. */
final class SwitchedDenoiser implements Denoiser {
  private Denoiser current;

  SwitchedDenoiser(Denoiser first) {
    this.current = first;
  }

  Denoiser current() {
    return current;
  }

  void switchTo(Denoiser next) {
    current = next;
  }

  @Override
  public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
    return current.denoise(x, sigma, labels);
  }
}
