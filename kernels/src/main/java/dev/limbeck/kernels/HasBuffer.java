package dev.limbeck.kernels;

/** Anything that is a view of a buffer: tensors and variables. */
@FunctionalInterface
public interface HasBuffer {
  Buffer buffer();

  /** A second buffer that lives and dies with the first (a variable's tangent), or null. */
  default Buffer companion() {
    return null;
  }
}
