/** What a run tells: progress on the console, event files for TensorBoard, a page with results. */
package dev.limbeck.distillation.report;
