/*
 * The offset of the server's time zone. Frames tell it: `message` is the server's local time, and `at` the same moment since
 * the Unix epoch. It is computed once per second. All times are milliseconds.
 */

export class ServerOffset {
  /** @type {number | null} */
  milliseconds = null;
  #until = 0; // the next whole second, when the offset is computed again

  /**
   * @param {string} message - The frame's text, such as "2026-11-22 12:48:00.12".
   * @param {number} at
   */
  frame(message, at) {
    if (at < this.#until && at >= this.#until - 1_000) return;
    this.milliseconds = Date.parse(`${message.slice(0, 10)}T${message.slice(11)}0Z`) - at;
    this.#until = Math.ceil((at + 1) / 1_000) * 1_000;
  }
}
