/**
 * Devices, their memory, and the launch of kernels on them; the operations themselves are in {@code
 * dev.limbeck.kernels.op}.
 */
package dev.limbeck.kernels;
