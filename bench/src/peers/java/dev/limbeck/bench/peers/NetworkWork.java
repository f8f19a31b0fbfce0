package dev.limbeck.bench.peers;

import dev.limbeck.nn.UNetConfig;

/**
 * What is done with a whole network: its answer, or a training step with AdamW and a moving
 * average.
 *
 * @param side height and width of the images
 */
record NetworkWork(UNetConfig config, int batch, int side, boolean training) {
  static final float RATE = 1e-4f;
  static final float DECAY = 0.01f;
  static final float EMA = 0.999f;

  int[] imageShape() {
    return new int[] {batch, side, side, config.inChannels()};
  }

  /** Of the features of the noise level. */
  int timeWidth() {
    return config.widths().get(0);
  }

  float[] levels() {
    float[] levels = new float[batch];
    for (int i = 0; i < batch; i++) {
      levels[i] = (i % 7 - 3) * 0.3f;
    }
    return levels;
  }

  int[] labels() {
    int[] labels = new int[batch];
    for (int i = 0; i < batch; i++) {
      labels[i] = i % Math.max(1, config.classes());
    }
    return labels;
  }
}
