package dev.limbeck.kernels;

/** What a launch uses in place of a buffer, which may be null; see {@link Kernel#on}. */
public interface Operands {
  /** In place of a buffer that is read. */
  Buffer read(Buffer buffer);

  /** In place of a buffer that is overwritten. */
  Buffer written(Buffer buffer);

  /** In place of a buffer that is read and written. */
  Buffer updated(Buffer buffer);
}
