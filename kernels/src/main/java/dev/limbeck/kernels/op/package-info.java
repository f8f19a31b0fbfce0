/** The operations: one class each, with the code for every kind of device inside. */
package dev.limbeck.kernels.op;
