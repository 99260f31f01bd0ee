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
 * Evidence weakens with age, because two clocks drift apart: by at most DRIFT, twice the drift of bad crystals. All evidence
 * weakens equally, so the tightest bound on each side is all that must be kept.
 */

export const DRIFT = 200e-6;

/**
 * @typedef {object} Estimated
 * @property {number} offset - Milliseconds to add to performance.now().
 * @property {number} halfWidth - The offset is off by at most this many milliseconds.
 */

export class Estimate {
  #low = -Infinity; // limits of the offset, as of #asOf
  #high = Infinity;
  #asOf = 0;

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
    return this.#narrow(received, at - bound - received, at + bound - sent + DRIFT * (received - sent));
  }

  /**
   * Adds a frame. Returns false if it contradicts the earlier evidence, which is then dropped.
   *
   * @param {number} arrived
   * @param {number} at
   */
  frame(arrived, at) {
    return this.#narrow(arrived, at - arrived, Infinity);
  }

  /**
   * Returns the estimate as of now, or null while the offset is not bounded on both sides.
   *
   * @param {number} now
   * @returns {Estimated | null}
   */
  read(now) {
    const age = DRIFT * Math.max(0, now - this.#asOf);
    const halfWidth = (this.#high - this.#low) / 2 + age;
    return Number.isFinite(halfWidth) ? { offset: (this.#high + this.#low) / 2, halfWidth } : null;
  }

  forget() {
    this.#low = -Infinity;
    this.#high = Infinity;
  }

  /**
   * @param {number} now
   * @param {number} low
   * @param {number} high
   */
  #narrow(now, low, high) {
    const age = DRIFT * Math.max(0, now - this.#asOf);
    this.#asOf = Math.max(this.#asOf, now);
    this.#low -= age;
    this.#high += age;
    const agrees = low <= this.#high && high >= this.#low;
    if (!agrees) this.forget();
    this.#low = Math.max(this.#low, low);
    this.#high = Math.min(this.#high, high);
    return agrees;
  }
}
