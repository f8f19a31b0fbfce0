/** The commands that this module adds to the command line. */
package dev.limbeck.bench.cli;
