/*
 * The estimate: the ticker's time by this page's clock, and how far off it may be at most.
 *
 * It is independent of the page and the network. All times are milliseconds. `now` is this page's monotonic clock
 * (performance.now()), `at` is the ticker's time (since the Unix epoch). The offset is `at` minus `now`.
 *
 * Each piece of evidence bounds the offset on one side or on both; the estimate is the intersection (Marzullo, "Maintaining
 * the Time in a Distributed System", 1983, intersects intervals instead of trusting the best one):
 *
 * - A probe was sent at `sent`, and its answer `at` came at `received`. The answer was true at some moment between the two.
 * - A frame that arrived at `arrived` was sent earlier. So the ticker's time was at least `at` by then.
 *
 * Evidence weakens with age, because two clocks drift apart. All evidence weakens equally, so the tightest bound on each
 * side is all that must be kept. There are two pairs of limits: the safe ones assume no more than that the drift is at most
 * DRIFT; the narrow ones, which are shown, assume what was learned of it. If that turns out to be wrong, the safe ones
 * replace them.
 */

import { DRIFT, Drift, DriftWatch, SHORTEST_PAUSE_MS } from "./drift.js";

// The network or the server may be slow for a while. If the answers of so many pauses told nothing new, the pause is short.
const FRUITLESS_PAUSES = 4;

/**
 * @typedef {object} Estimated
 * @property {number} offset - Milliseconds to add to performance.now().
 * @property {number} halfWidth - The offset is off by at most this many milliseconds.
 */

export class Estimate {
  #low = -Infinity; // limits of the offset, as of #asOf
  #high = Infinity;
  #safeLow = -Infinity;
  #safeHigh = Infinity;
  #asOf = 0;
  #improved = 0; // when an answer told something new: it lowered the upper limit. Frames raise the lower one.
  #drift = new Drift();
  #watch = new DriftWatch();
  #isDoubted = false; // the drift may have changed; the next answer tells
  #onDoubt;

  /** @param {() => void} [onDoubt] - Called when the drift may have changed: a probe should be sent now. */
  constructor(onDoubt = () => {}) {
    this.#onDoubt = onDoubt;
  }

  /** The pause before the next probe. */
  get pause() {
    const { pause } = this.#drift;
    return this.#asOf - this.#improved > FRUITLESS_PAUSES * pause ? SHORTEST_PAUSE_MS : pause;
  }

  /**
   * Adds the answer to a probe. Returns false if it contradicts the earlier evidence: one of the clocks was set. The
   * earlier evidence is then dropped.
   *
   * @param {number} sent
   * @param {number} received
   * @param {number} at
   * @param {number} [bound] - `at` is off by at most this much.
   */
  probe(sent, received, at, bound = 0) {
    const high = at + bound - sent + DRIFT * (received - sent);
    const agrees = this.#narrow(received, at - bound - received, high);
    if (this.#high === high) this.#improved = this.#asOf;
    if (this.#isDoubted) this.#useSafe();
    this.#isDoubted = false;
    if (!this.#drift.add(this.#asOf, this.#safeLow, this.#safeHigh)) this.#doubt();
    return agrees;
  }

  /**
   * Adds a frame. Returns false if it contradicts the earlier evidence, which is then dropped.
   *
   * @param {number} arrived
   * @param {number} at
   */
  frame(arrived, at) {
    const agrees = this.#narrow(arrived, at - arrived, Infinity);
    if (this.#watch.frame(arrived, at)) {
      const { halfWidth } = this.read(arrived) ?? { halfWidth: Infinity };
      if (this.#watch.judge(arrived, this.#drift, halfWidth)) this.#doubt();
    }
    return agrees;
  }

  /**
   * Returns the estimate as of now, or null while the offset is not bounded on both sides.
   *
   * @param {number} now
   * @returns {Estimated | null}
   */
  read(now) {
    const low = this.#low + this.#change(now, this.#drift.minimum, -DRIFT);
    const high = this.#high + this.#change(now, this.#drift.maximum, DRIFT);
    const halfWidth = (high - low) / 2;
    return Number.isFinite(halfWidth) ? { offset: (high + low) / 2, halfWidth } : null;
  }

  forget() {
    this.#low = this.#safeLow = -Infinity;
    this.#high = this.#safeHigh = Infinity;
    this.#drift.forget();
    this.#watch.forget();
  }

  /**
   * Returns by how much a limit of the offset changes until now.
   *
   * @param {number} now
   * @param {number} learned - The drift, for as long as that is trusted.
   * @param {number} assumed - The drift later.
   */
  #change(now, learned, assumed) {
    const elapsed = Math.max(0, now - this.#asOf);
    const trusted = Math.max(0, Math.min(elapsed, this.#drift.until - this.#asOf));
    return learned * trusted + assumed * (elapsed - trusted);
  }

  /**
   * @param {number} now
   * @param {number} low
   * @param {number} high
   */
  #narrow(now, low, high) {
    const age = DRIFT * Math.max(0, now - this.#asOf);
    this.#low += this.#change(now, this.#drift.minimum, -DRIFT);
    this.#high += this.#change(now, this.#drift.maximum, DRIFT);
    this.#safeLow -= age;
    this.#safeHigh += age;
    this.#asOf = Math.max(this.#asOf, now);
    const agrees = low <= this.#safeHigh && high >= this.#safeLow;
    if (!agrees) this.forget();
    this.#safeLow = Math.max(this.#safeLow, low);
    this.#safeHigh = Math.min(this.#safeHigh, high);
    if (low <= this.#high && high >= this.#low) {
      this.#low = Math.max(this.#low, low);
      this.#high = Math.min(this.#high, high);
    } else {
      this.#drift.forget();
      this.#useSafe();
      this.#doubt();
    }
    return agrees;
  }

  #useSafe() {
    this.#low = this.#safeLow;
    this.#high = this.#safeHigh;
  }

  #doubt() {
    this.#isDoubted = true;
    this.#onDoubt();
  }
}
