/**
 * Images in and out: data sets read from files, pictures, event files and reports written.
 *
 * <p>Everything that can be wrong with a file is told in one sentence, by {@link DataException}.
 */
package dev.limbeck.distillation.data;
