/*
 * The slewed clock: it follows the estimate, never runs backwards, and never jumps.
 *
 * Corrections are slewed: the clock runs faster or slower by at most SLEW until it is right, or by at most FAST_SLEW while
 * it is provably wrong, as it may be after the first answer. A correction after a clock was set is a step. All times are
 * milliseconds.
 */

/** @import { Estimated } from "./estimate.js" */

const SLEW = 0.05;
const FAST_SLEW = 0.5;

// After the evidence was dropped, a larger correction is a step.
const STEP_MS = 200;

// Added to the bound for the time that reading a clock and painting take.
const READING_MS = 0.2;

export class SlewedClock {
  /** @type {number | null} */
  #offset = null;
  #asOf = 0;
  #mayStep = false;

  /**
   * Returns the time to show (since the Unix epoch), how far off it may be, and whether this correction was a step.
   *
   * @param {number} now - performance.now()
   * @param {Estimated} estimated - What Estimate.read() returned for `now`.
   */
  follow(now, { offset, halfWidth }) {
    const error = this.#offset === null ? 0 : offset - this.#offset;
    const maximum = (Math.abs(error) > halfWidth ? FAST_SLEW : SLEW) * Math.max(0, now - this.#asOf);
    const stepped = this.#mayStep && Math.abs(error) > STEP_MS;
    const rest = stepped ? 0 : error - Math.min(maximum, Math.max(-maximum, error));
    this.#offset = offset - rest;
    this.#asOf = now;
    this.#mayStep = false;
    return { time: now + this.#offset, bound: halfWidth + Math.abs(rest) + READING_MS, stepped };
  }

  /** The evidence was dropped: the next correction is a step if it is large. */
  allowStep() {
    this.#mayStep = true;
  }
}
