package dev.limbeck.kernels;

import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class DevicesTest {
  @Test
  void aDeviceIsSharedUntilItIsClosed() {
    Device first = Device.cpu();
    assertSame(first, Device.of("CPU"));
    first.close();
    Device second = Device.cpu();
    assertNotSame(first, second);
    first.close();
    assertSame(second, Device.cpu(), "a second close of the first device forgot the second one");
  }

  @Test
  void anUnknownDeviceIsRefusedByName() {
    DeviceUnavailableException e =
        assertThrows(DeviceUnavailableException.class, () -> Device.of("tpu:0"));
    assertTrue(e.getMessage().contains("tpu:0") && e.getMessage().contains("cpu"), e.getMessage());
  }
}
