package dev.limbeck.distillation.cli;

import picocli.CommandLine.IVersionProvider;

/** The version that the jar's manifest states. */
final class Versions implements IVersionProvider {
  @Override
  public String[] getVersion() {
    return new String[] {"limbeck " + limbeck()};
  }

  static String limbeck() {
    String version = Versions.class.getPackage().getImplementationVersion();
    return version == null ? "(not packaged)" : version;
  }
}
