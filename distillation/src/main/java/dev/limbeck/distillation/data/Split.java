package dev.limbeck.distillation.data;

/** Which part of a data set that is published in two parts. */
public enum Split {
  TRAIN,
  TEST
}
