package dev.limbeck.kernels;

/** A device was asked for that is not there; the message says why and what there is. */
public final class DeviceUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public DeviceUnavailableException(String message) {
    super(message);
  }
}
