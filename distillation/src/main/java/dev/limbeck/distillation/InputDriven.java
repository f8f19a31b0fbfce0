package dev.limbeck.distillation;

/** A method whose student's noisy inputs may come from elsewhere than from noise on real data. */
public interface InputDriven extends Distiller {
  /** Takes the noisy inputs from there from now on. */
  void drawFrom(NoisyInputs inputs);
}
