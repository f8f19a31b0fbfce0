/** The command line: one class per command, thin over the classes that do the work. */
package dev.limbeck.distillation.cli;
