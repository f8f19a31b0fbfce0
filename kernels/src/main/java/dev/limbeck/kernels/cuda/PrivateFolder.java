package dev.limbeck.kernels.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** Folders for what is loaded into the process: nobody else may put anything there. */
final class PrivateFolder {
  private PrivateFolder() {}

  /** Where this user's caches lie. */
  static Path ofUser() {
    return Path.of(System.getProperty("user.home"), ".cache", "limbeck");
  }

  /** Makes a folder that nobody else can write to, or refuses the one that is there. */
  static void make(Path folder) throws IOException {
    Files.createDirectories(folder.getParent());
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    Set<PosixFilePermission> allowed =
        Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
    // A file of ours belongs to whom the folder must belong to.
    Path probe = Files.createTempFile(folder, "owner", "");
    boolean own = Files.getOwner(probe).equals(Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS));
    Files.delete(probe);
    if (!own
        || allowed.contains(PosixFilePermission.GROUP_WRITE)
        || allowed.contains(PosixFilePermission.OTHERS_WRITE)) {
      throw new IOException(folder + " can be written by others; remove it or its permissions");
    }
  }
}
