package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Launcher.Way;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Measured choices on disk: for each device, with its driver and its libraries, the fastest way for
 * each shape, and what was measured.
 */
final class TuningFile {
  private static final String FORMAT = "limbeck-autotune-1";

  private final Path path;

  TuningFile(Path path) {
    this.path = path;
  }

  /** The choices made under these circumstances, by shape; those of others are left alone. */
  Map<String, Way> choices(String circumstances) {
    Map<String, Way> choices = new LinkedHashMap<>();
    Object mine = devices().get(circumstances);
    if (mine != null) {
      try {
        for (Map.Entry<String, Object> each : Json.object(mine, circumstances).entrySet()) {
          Object name = Json.object(each.getValue(), each.getKey()).get("way");
          choices.put(each.getKey(), way(String.valueOf(name)));
        }
      } catch (IllegalArgumentException e) {
        throw damaged(e);
      }
    }
    return choices;
  }

  /** Adds a choice to what the file holds by now, in one step: a reader sees all or nothing. */
  void add(String circumstances, String shape, Way way, Map<Way, Double> microseconds) {
    Map<String, Object> devices = devices();
    Map<String, Object> mine = new LinkedHashMap<>();
    if (devices.get(circumstances) != null) {
      mine.putAll(Json.object(devices.get(circumstances), circumstances));
    }
    Map<String, Object> measured = new LinkedHashMap<>();
    microseconds.forEach((each, time) -> measured.put(name(each), Math.round(time * 100) / 100.0));
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("way", name(way));
    entry.put("microseconds", measured);
    mine.put(shape, entry);
    devices.put(circumstances, mine);
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("format", FORMAT);
    all.put("devices", devices);
    try {
      Path folder = path.toAbsolutePath().getParent();
      Files.createDirectories(folder);
      Path fresh = Files.createTempFile(folder, "autotune", ".json");
      try {
        Files.writeString(fresh, Json.writePretty(all));
        Files.move(
            fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } finally {
        Files.deleteIfExists(fresh);
      }
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "limbeck.cuda.autotune: " + path + " cannot be written (" + e + ")", e);
    }
  }

  private Map<String, Object> devices() {
    if (!Files.exists(path)) {
      return new LinkedHashMap<>();
    }
    try {
      Map<String, Object> all = Json.parseObject(Files.readString(path));
      if (!FORMAT.equals(all.get("format"))) {
        throw new IllegalArgumentException("its format is not " + FORMAT);
      }
      return Json.object(all.get("devices"), "devices");
    } catch (IllegalArgumentException e) {
      throw damaged(e);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "limbeck.cuda.autotune: " + path + " cannot be read (" + e + ")", e);
    }
  }

  private IllegalArgumentException damaged(IllegalArgumentException e) {
    return new IllegalArgumentException(
        "limbeck.cuda.autotune: "
            + path
            + " is no file of measured choices ("
            + e.getMessage()
            + "); delete it, and they are measured again",
        e);
  }

  private static String name(Way way) {
    return way.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static Way way(String name) {
    for (Way way : Way.values()) {
      if (name(way).equals(name)) {
        return way;
      }
    }
    throw new IllegalArgumentException("\"" + name + "\" is no way to run a kernel");
  }
}
