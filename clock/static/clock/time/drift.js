/*
 * The drift: how fast the offset between the ticker's clock and this page's changes. It is learned from answers to probes,
 * and frames show when it may have changed. All times are milliseconds.
 */

// What is certain without samples: twice the drift of bad crystals.
export const DRIFT = 200e-6;

// The drift may change by this much without notice: oscillators change with temperature, and NTP adjusts clocks.
const MARGIN = 20e-6;

// Samples are kept for an hour, and one for each minute. The first answers come in a burst, and the last of them is the best.
const MEMORY_MS = 3_600_000;
const SPACING_MS = 60_000;
const BURST_MS = 5_000;

// In the pause between two probes, the bound grows by at most GROWTH_MS. The pause is jittered by a third, so the drift must
// have been observed for a third longer.
const GROWTH_MS = 1.5;
export const SHORTEST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 60_000;
const TRUSTED_PART = 0.75;

/**
 * @typedef {object} Sample
 * @property {number} now - performance.now()
 * @property {number} low - Limits of the offset at that time.
 * @property {number} high
 */

/**
 * Learns the drift. Each sample limits the offset at some moment. If the drift is constant, it is the slope of a line through
 * all samples, and each pair of samples limits this slope.
 */
export class Drift {
  /** Limits of the drift. They hold until `until`; later it may be anything from -DRIFT to DRIFT. */
  minimum = -DRIFT;
  maximum = DRIFT;
  until = -Infinity;
  /** The pause before the next probe. */
  pause = SHORTEST_PAUSE_MS;
  /** @type {Sample[]} */
  #samples = [];

  /**
   * Adds a sample. Returns false if there is no line through all samples: the drift has changed. Older samples are then
   * dropped.
   *
   * @param {number} now
   * @param {number} low
   * @param {number} high
   */
  add(now, low, high) {
    const samples = this.#samples;
    const [previous, last] = [samples.at(-2), samples.at(-1)];
    if (last && last.now >= now) return true;
    if (previous && last ? last.now - previous.now < SPACING_MS : last && now - last.now < BURST_MS) samples.pop();
    samples.push({ now, low, high });
    if (now - samples[0].now > MEMORY_MS) samples.shift();
    const agrees = this.#learn();
    while (!agrees && !this.#learn()) samples.shift();
    return agrees;
  }

  /** A clock was set, or has another rate. */
  forget() {
    this.#samples = [];
    this.#use(-DRIFT, DRIFT, 0, 0);
  }

  /** Returns whether there is a line through all samples. A single sample has one. */
  #learn() {
    let lowest = -DRIFT;
    let highest = DRIFT;
    this.#samples.forEach((later, index, samples) => {
      for (const earlier of samples.slice(0, index)) {
        const elapsed = later.now - earlier.now;
        lowest = Math.max(lowest, (later.low - earlier.high) / elapsed);
        highest = Math.min(highest, (later.high - earlier.low) / elapsed);
      }
    });
    const { now } = /** @type {Sample} */ (this.#samples.at(-1));
    if (lowest <= highest) this.#use(lowest, highest, now, now - this.#samples[0].now);
    return lowest <= highest;
  }

  /**
   * @param {number} lowest
   * @param {number} highest
   * @param {number} now
   * @param {number} observed - For how long the drift was observed; it is trusted for as long.
   */
  #use(lowest, highest, now, observed) {
    this.minimum = Math.max(-DRIFT, lowest - MARGIN);
    this.maximum = Math.min(DRIFT, highest + MARGIN);
    this.until = now + observed;
    const longest = Math.min(TRUSTED_PART * observed, (2 * GROWTH_MS) / (this.maximum - this.minimum));
    this.pause = Math.max(SHORTEST_PAUSE_MS, Math.min(LONGEST_PAUSE_MS, longest));
  }
}

// Of the frames of so many milliseconds, the one with the shortest transit counts.
const WINDOW_MS = 7_000;

// It is compared with those of the last ten minutes: a small change of the drift needs minutes to show.
const WINDOWS = 90;

// The shortest transit varies by this much, or by this part of the bound if that is more.
const TOLERANCE_MS = 0.5;
const TOLERANCE = 0.06;

/**
 * Notices by the frames that the drift may have changed. The shortest transit hardly varies. If it seems to, by the learned
 * drift, then either the network or a clock has changed; a probe tells which.
 */
export class DriftWatch {
  #shortest = Infinity; // `arrived` minus `at`, in this window
  #when = 0; // it arrived
  #ends = -Infinity;
  /** @type {{ when: number, shortest: number }[]} */
  #earlier = [];

  /**
   * Adds a frame. Returns whether a window is over; then call judge().
   *
   * @param {number} arrived - performance.now()
   * @param {number} at
   */
  frame(arrived, at) {
    if (arrived - at < this.#shortest) {
      this.#shortest = arrived - at;
      this.#when = arrived;
    }
    return arrived >= this.#ends;
  }

  /**
   * Begins another window. Returns whether the drift may have changed.
   *
   * @param {number} now
   * @param {Drift} drift
   * @param {number} halfWidth - Of the estimate.
   */
  judge(now, { minimum, maximum }, halfWidth) {
    const window = { when: this.#when, shortest: this.#shortest };
    const tolerance = Math.max(TOLERANCE_MS, TOLERANCE * halfWidth);
    const hasChanged = this.#earlier.some(({ when, shortest }) => {
      const elapsed = window.when - when;
      const change = window.shortest - shortest;
      return change + minimum * elapsed > tolerance || change + maximum * elapsed < -tolerance;
    });
    this.#earlier = hasChanged ? [] : [...this.#earlier, window].slice(-WINDOWS);
    this.#shortest = Infinity;
    this.#ends = now + WINDOW_MS;
    return hasChanged;
  }

  /** A clock was set. */
  forget() {
    this.#shortest = Infinity;
    this.#ends = -Infinity;
    this.#earlier = [];
  }
}
