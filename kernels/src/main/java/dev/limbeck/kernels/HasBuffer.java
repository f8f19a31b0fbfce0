package dev.limbeck.kernels;

/** Anything that is a view of one buffer: tensors and variables. */
@FunctionalInterface
public interface HasBuffer {
  Buffer buffer();
}
