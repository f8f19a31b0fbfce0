package dev.limbeck.kernels;

import java.util.Optional;

/** Finds and opens one family of devices; implementations are listed for ServiceLoader. */
public interface DeviceProvider {
  /** The family's name, such as {@code cpu}; a device's name is this or this, a colon, a number. */
  String id();

  /** The one name of a device that has several. */
  default String canonical(String id) {
    return id;
  }

  /** Which family {@link Device#best()} prefers: the highest. */
  int rank();

  /** Empty if a device can be opened, else one sentence that says why not. */
  Optional<String> unavailable();

  /** Opens the device of this name. */
  Device open(String id);
}
