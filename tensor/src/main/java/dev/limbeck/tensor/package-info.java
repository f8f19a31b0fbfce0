/** Tensors: a buffer and a shape, always contiguous, activations channels-last. */
package dev.limbeck.tensor;
