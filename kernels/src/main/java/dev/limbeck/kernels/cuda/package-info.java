/**
 * The CUDA device: the driver's API through JCuda, nothing else needed. All imports of JCuda are in
 * this package.
 */
package dev.limbeck.kernels.cuda;
