/*
 * The rate at which frames arrive. The server may change it at any time, and a conflated tick is no change.
 */

// The rate is that of the second shortest of the last few gaps. Gaps that are too long come from conflated ticks; a short
// one comes from a change of the connection, the rate or the phase.
const GAPS = 7;

// Those of clock/contract.py. Gaps of one phase vary by a tick when ticks are conflated, so the rate is the nearest of these.
const RATES = [100, 50, 25, 20, 10, 5, 2, 1];
const TOLERANCE = 1.1;

export class FrameRate {
  /** @type {number[]} */
  #gaps = [];
  #count = 0;

  /**
   * Adds the gap between two frames.
   *
   * @param {number} gap - By their `at`, in milliseconds. One that is not positive is ignored: the ticker's clock was set.
   */
  add(gap) {
    if (gap > 0 && gap < Infinity) this.#gaps[this.#count++ % GAPS] = gap;
  }

  /** Frames per second; 0 before the first few frames, or if there are fewer than RATES allow. */
  get value() {
    const gap = [...this.#gaps].sort((one, other) => one - other)[1];
    return RATES.find((rate) => rate * gap <= TOLERANCE * 1_000) ?? 0;
  }
}
