package dev.limbeck.distillation.data;

/**
 * A font of 3×5 pixels for row labels, so that pictures need neither font files nor a graphics
 * library.
 *
 * <p>Five octal digits make a glyph, one a row, its three bits the pixels from the left. Small
 * letters are drawn as capitals; a character without a glyph is a gap.
 */
final class PixelFont {
  static final int HEIGHT = 5;

  /** Distance from one character to the next: three pixels and a gap. */
  static final int ADVANCE = 4;

  private static final String CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:/()_+=%,";
  private static final String GLYPHS =
      "755572622771747713175571174717747577112275757757172575565656"
          + "344436555674647746443455355755722271115255655444475775565555"
          + "255526564425573656553421672222555575555255775552555522271247"
          + "0070000002020201124412221422240000702720070705124500024";

  private PixelFont() {}

  /** Whether pixel (x, y) of a character's cell is set. */
  static boolean isSet(char character, int x, int y) {
    int glyph = CHARACTERS.indexOf(Character.toUpperCase(character));
    if (glyph < 0 || x >= 3) {
      return false;
    }
    int row = GLYPHS.charAt(glyph * HEIGHT + y) - '0';
    return (row >> (2 - x) & 1) != 0;
  }
}
