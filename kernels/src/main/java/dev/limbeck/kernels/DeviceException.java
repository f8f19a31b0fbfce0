package dev.limbeck.kernels;

/**
 * A call into a device's driver or library failed; the message says which call, with which status,
 * and what was being computed.
 */
public final class DeviceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String call;
  private final String status;

  /**
   * A failed call.
   *
   * @param call the function, as in {@code cuMemAlloc}
   * @param status the status's name, as in {@code CUDA_ERROR_OUT_OF_MEMORY}
   * @param explanation a sentence, or empty
   */
  public DeviceException(String call, String status, String explanation) {
    super(call + ": " + status + (explanation.isEmpty() ? "" : " (" + explanation + ")"));
    this.call = call;
    this.status = status;
  }

  private DeviceException(DeviceException cause, String what) {
    super(cause.getMessage() + ", in " + what, cause);
    this.call = cause.call;
    this.status = cause.status;
  }

  /** The function that failed. */
  public String call() {
    return call;
  }

  /** The status it answered, by name. */
  public String status() {
    return status;
  }

  /** The same, with what was being computed. */
  public DeviceException during(String what) {
    return new DeviceException(this, what);
  }
}
