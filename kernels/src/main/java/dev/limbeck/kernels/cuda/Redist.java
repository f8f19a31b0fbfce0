package dev.limbeck.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;

/**
 * NVIDIA's libraries from a jar on the class path, for machines with a driver and no toolkit:
 * {@code org.bytedeco:cuda:12.6-9.5-1.5.11:linux-x86_64-redist} holds cuBLAS, cuDNN and NVRTC.
 *
 * <p>They are unpacked once, into a folder of this user's alone ({@code
 * -Dlimbeck.cuda.redist=FOLDER}; by default below {@code ~/.cache/limbeck}), and loaded from there
 * before JCuda looks for them: the loader of the system takes a library that is loaded for every
 * later request of that name.
 */
final class Redist {
  private static final String HOME = "org/bytedeco/cuda/linux-x86_64/";

  /** What the jar is recognised by. */
  private static final String MARK = HOME + "libcublas.so.12";

  /** In the order of loading: what others need comes before them, where that is known. */
  private static final List<Pattern> WANTED =
      List.of(
          Pattern.compile("libcublasLt\\.so\\.\\d+"),
          Pattern.compile("libcublas\\.so\\.\\d+"),
          Pattern.compile("libnvrtc-builtins\\.so[.\\d]+"),
          Pattern.compile("libnvrtc\\.so\\.\\d+"),
          Pattern.compile("libcudnn_\\w+\\.so\\.\\d+"),
          Pattern.compile("libcudnn\\.so\\.\\d+"));

  private Redist() {}

  /** What happened, once in the life of the process. */
  private static final class Found {
    static final Found ANSWER = new Found(Redist.class.getClassLoader().getResource(MARK));

    /** The jar's name, or empty if there is none. */
    final String jar;

    /** Why libraries could not be loaded, by their names. */
    final Map<String, String> failures;

    private Found(URL mark) {
      String name = "";
      Map<String, String> failed = new LinkedHashMap<>();
      if (mark != null) {
        try {
          JarURLConnection connection = (JarURLConnection) mark.openConnection();
          // Not the class loader's copy, which is not ours to close.
          connection.setUseCaches(false);
          try (JarFile jar = connection.getJarFile()) {
            name = Path.of(jar.getName()).getFileName().toString();
            Path folder = folder().resolve(name.replaceFirst("\\.jar$", ""));
            failed.putAll(load(unpack(jar, folder), file -> System.load(file.toString())));
          }
        } catch (IOException e) {
          failed.put("lib", "the libraries cannot be unpacked: " + e.getMessage());
        }
      }
      this.jar = name;
      this.failures = failed;
    }
  }

  private static Path folder() {
    String given = System.getProperty("limbeck.cuda.redist");
    return given != null ? Path.of(given).toAbsolutePath() : PrivateFolder.ofUser();
  }

  /** The jar that the libraries come from, as an ending for a description; else empty. */
  static String origin() {
    return Found.ANSWER.jar.isEmpty() ? "" : " (of " + Found.ANSWER.jar + ")";
  }

  /**
   * Loads the jar's libraries if there is one, then asks further.
   *
   * @param family the start of the names of the libraries that must have been loaded
   * @return empty, or one sentence that says why a library cannot be used
   */
  static String before(String family, Supplier<String> next) {
    for (Map.Entry<String, String> failure : Found.ANSWER.failures.entrySet()) {
      if (failure.getKey().startsWith(family) || family.startsWith(failure.getKey())) {
        return failure.getValue() + origin();
      }
    }
    return next.get();
  }

  private static int rank(String name) {
    for (int i = 0; i < WANTED.size(); i++) {
      if (WANTED.get(i).matcher(name).matches()) {
        return i;
      }
    }
    return -1;
  }

  /**
   * Unpacks the wanted libraries of a jar. A file that is there with the right size stays.
   *
   * @return the files in the order of loading
   */
  static List<Path> unpack(JarFile jar, Path folder) throws IOException {
    PrivateFolder.make(folder);
    List<JarEntry> entries = new ArrayList<>();
    for (JarEntry entry : Collections.list(jar.entries())) {
      if (entry.getName().startsWith(HOME) && rank(library(entry)) >= 0) {
        entries.add(entry);
      }
    }
    entries.sort(
        Comparator.comparingInt((JarEntry entry) -> rank(library(entry)))
            .thenComparing(JarEntry::getName));
    List<Path> files = new ArrayList<>();
    for (JarEntry entry : entries) {
      Path file = folder.resolve(library(entry));
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
          || Files.size(file) != entry.getSize()) {
        Path part = Files.createTempFile(folder, "part", "");
        try (InputStream in = jar.getInputStream(entry)) {
          Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
          Files.move(
              part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
          Files.deleteIfExists(part);
        }
      }
      files.add(file);
    }
    return files;
  }

  private static String library(JarEntry entry) {
    return entry.getName().substring(HOME.length());
  }

  /**
   * Loads libraries in this order. Which part of cuDNN needs which is not documented: what cannot
   * be loaded is tried again after the others, for as long as that gets further.
   *
   * @param loader throws {@link UnsatisfiedLinkError} if it cannot load a file
   * @return why the rest could not be loaded, by name
   */
  static Map<String, String> load(List<Path> files, Consumer<Path> loader) {
    Map<String, String> failures = new LinkedHashMap<>();
    List<Path> left = files;
    boolean further = true;
    while (further) {
      List<Path> again = new ArrayList<>();
      failures.clear();
      for (Path file : left) {
        try {
          loader.accept(file);
        } catch (UnsatisfiedLinkError e) {
          again.add(file);
          String name = file.getFileName().toString();
          failures.put(name, name + " cannot be loaded: " + e.getMessage());
        }
      }
      further = !again.isEmpty() && again.size() < left.size();
      left = again;
    }
    return failures;
  }
}
