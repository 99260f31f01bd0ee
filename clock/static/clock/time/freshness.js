/*
 * The freshness of the newest frame: how much older it is than a frame normally is when it arrives.
 *
 * The time of arrival alone says little: after a stall in the network, a burst of old frames arrives. The age is measured by
 * `at`, relative to the frame of the last one or two minutes that had the shortest transit. All times are milliseconds.
 */

// Clocks drift apart, so the shortest transit is forgotten after one to two windows.
const WINDOW_MS = 60_000;

// A longer transit is never taken as normal: such frames are old.
const MAXIMUM_TRANSIT_MS = 500;

export class Freshness {
  /** @type {number | null} */
  #newest = null; // the highest `at`
  #minimum = Infinity; // of `arrived` minus `at`, in this window
  #previousMinimum = Infinity; // and in the window before
  #windowEnds = -Infinity;

  get newest() {
    return this.#newest;
  }

  /**
   * Adds a frame.
   *
   * @param {number} arrived - performance.now()
   * @param {number} at
   */
  frame(arrived, at) {
    if (arrived >= this.#windowEnds) {
      this.#previousMinimum = arrived < this.#windowEnds + WINDOW_MS ? this.#minimum : Infinity;
      this.#minimum = Infinity;
      this.#windowEnds = arrived + WINDOW_MS;
    }
    this.#minimum = Math.min(this.#minimum, arrived - at);
    if (this.#newest === null || at > this.#newest) this.#newest = at;
  }

  /**
   * Returns the age. Returns null before the first frame, and if the newest frame is from the future: the ticker's clock
   * was then set back.
   *
   * @param {number} now - performance.now()
   * @param {number} offset - Added to `now`, it gives the ticker's time.
   */
  age(now, offset) {
    if (this.#newest === null || this.#newest > now + offset + MAXIMUM_TRANSIT_MS) return null;
    const minimum = Math.min(this.#minimum, this.#previousMinimum);
    const transit = Number.isFinite(minimum) ? Math.max(0, Math.min(MAXIMUM_TRANSIT_MS, minimum + offset)) : 0;
    return now + offset - this.#newest - transit;
  }

  /** This page's clock stood still, so the transit of earlier frames is unknown; their `at` remains known. */
  forgetTransit() {
    this.#minimum = this.#previousMinimum = Infinity;
    this.#windowEnds = -Infinity;
  }

  /** The ticker's clock was set. */
  forget() {
    this.forgetTransit();
    this.#newest = null;
  }
}
