/** The CPU device: a fixed pool of threads, pooled arrays, and a scalar or a vector path. */
package dev.limbeck.kernels.cpu;
