/*
 * Runs the page's estimate for hours of simulated time, with clocks whose drift changes, and beside it an estimate that
 * learns nothing and has a probe every 10 s. The tests run it in a browser; it returns measurements and judges nothing. All
 * times are milliseconds.
 */

import { random } from "./simulation.js";

/**
 * @import { Estimated } from "../../../clock/static/clock/time/estimate.js"
 * @import { Network } from "./simulation.js"
 */

/** @typedef {typeof import("../../../clock/static/clock/time/estimate.js")} EstimateModule */

/**
 * What the offset gains on a drift of 0, until `now`.
 *
 * @typedef {(now: number) => number} Gain
 */

/**
 * @typedef {object} AnyEstimate
 * @property {number} pause
 * @property {(sent: number, received: number, at: number, bound?: number) => boolean} probe
 * @property {(arrived: number, at: number) => boolean} frame
 * @property {(now: number) => Estimated | null} read
 */

/**
 * @typedef {object} Result
 * @property {number} outside - For how many milliseconds the true offset was outside of the bound.
 * @property {number} excess - By how much at most.
 * @property {number} widest - The widest bound, after the first minute.
 * @property {number} mean - The mean bound, after the first minute.
 * @property {number[]} probes - When each probe was sent.
 * @property {number} contradictions
 */

const DRIFT = 200e-6;
const FRAME_MS = 100;
const PAUSE_MS = 10_000;
const BURST_MS = [0, 30, 72, 131, 213, 329, 490, 716, 1_033, 1_476, 2_096, 2_964, 4_180, 5_881];
const SETTLED_MS = 60_000;
const RETRY_MS = 1_500;

/** @type {(drift: number) => Gain} */
const steady = (drift) => (now) => drift * now;

/**
 * From `after` on the drift is larger by `by`; for as long as it `lasts`.
 *
 * @type {(drift: number, by: number, after: number, lasts?: number) => Gain}
 */
const changed = (drift, by, after, lasts = Infinity) => {
  return (now) => drift * now + by * Math.min(Math.max(0, now - after), lasts);
};

const CHANGE_MS = 1_800_000;

/** @type {Record<string, Gain>} */
export const CLOCKS = {
  "no drift": steady(0),
  "drift ahead": steady(80e-6),
  "drift behind": steady(-80e-6),
  "largest drift": steady(199e-6),
  // A device that warms up: by 10 ppm within an hour, fastest in the middle.
  "warming up": (now) => 30e-6 * now - ((5e-6 * 3_600_000) / Math.PI) * Math.sin((Math.PI * now) / 3_600_000),
  "faster by 20 ppm": changed(30e-6, 20e-6, CHANGE_MS),
  "slower by 20 ppm": changed(30e-6, -20e-6, CHANGE_MS),
  "faster by 100 ppm": changed(0, 100e-6, CHANGE_MS),
  "slower by 100 ppm": changed(0, -100e-6, CHANGE_MS),
  "slewed by 500 ppm": changed(30e-6, 500e-6, CHANGE_MS, 60_000),
  "slewed by -500 ppm": changed(30e-6, -500e-6, CHANGE_MS, 60_000),
  "step ahead": (now) => 30e-6 * now + (now < CHANGE_MS ? 0 : 700),
  "step back": (now) => 30e-6 * now - (now < CHANGE_MS ? 0 : 700),
};

/** The estimate without a learned drift. @implements {AnyEstimate} */
class UnlearnedEstimate {
  pause = PAUSE_MS;
  #low = -Infinity;
  #high = Infinity;
  #asOf = 0;

  /** @type {AnyEstimate["probe"]} */
  probe(sent, received, at, bound = 0) {
    return this.#narrow(received, at - bound - received, at + bound - sent + DRIFT * (received - sent));
  }

  /** @type {AnyEstimate["frame"]} */
  frame(arrived, at) {
    return this.#narrow(arrived, at - arrived, Infinity);
  }

  /** @type {AnyEstimate["read"]} */
  read(now) {
    const halfWidth = (this.#high - this.#low) / 2 + DRIFT * Math.max(0, now - this.#asOf);
    return Number.isFinite(halfWidth) ? { offset: (this.#high + this.#low) / 2, halfWidth } : null;
  }

  /** @type {(now: number, low: number, high: number) => boolean} */
  #narrow(now, low, high) {
    const age = DRIFT * Math.max(0, now - this.#asOf);
    this.#asOf = Math.max(this.#asOf, now);
    const agrees = low <= this.#high + age && high >= this.#low - age;
    this.#low = Math.max(agrees ? this.#low - age : -Infinity, low);
    this.#high = Math.min(agrees ? this.#high + age : Infinity, high);
    return agrees;
  }
}

/**
 * Runs one estimate.
 *
 * @param {(onDoubt: () => void) => AnyEstimate} create
 * @param {Network} network
 * @param {Gain} gain
 * @param {number} seed
 * @param {number} duration
 * @returns {Result}
 */
function runOne(create, network, gain, seed, duration) {
  const next = random(seed);
  const start = 1_795_351_680_000 + 1e6 * next();
  /** @type {(now: number) => number} */
  const truth = (now) => start + now + gain(now);
  let nextProbe = 0;
  let burst = 0;
  let now = 0;
  /** @type {{ when: number, sent: number, at: number } | null} */
  let pending = null;
  let isPending = false;
  const estimate = create(() => {
    if (!isPending) nextProbe = now;
  });
  /** @type {Result} */
  const result = { outside: 0, excess: 0, widest: 0, mean: 0, probes: [], contradictions: 0 };
  let sum = 0;
  let readings = 0;
  let lastFrame = 0;
  let lastJudged = 0;

  const judge = () => {
    const estimated = estimate.read(now);
    const elapsed = now - lastJudged;
    lastJudged = now;
    if (estimated === null) return;
    const excess = Math.abs(truth(now) - now - estimated.offset) - estimated.halfWidth;
    if (excess > 0) result.outside += elapsed;
    result.excess = Math.max(result.excess, excess);
    if (now < SETTLED_MS) return;
    result.widest = Math.max(result.widest, estimated.halfWidth);
    sum += estimated.halfWidth;
    readings += 1;
  };
  const receive = (/** @type {boolean} */ agrees) => {
    if (agrees) return;
    result.contradictions += 1;
    burst = 1;
    if (!isPending) nextProbe = now;
  };
  const probes = (/** @type {number} */ until) => {
    while (Math.min(pending?.when ?? Infinity, isPending ? Infinity : nextProbe) <= until) {
      if (pending) {
        now = Math.max(now, pending.when);
        const { sent, at } = pending;
        pending = null;
        isPending = false;
        const pause = burst < BURST_MS.length ? BURST_MS[burst] - BURST_MS[burst - 1] : estimate.pause;
        burst += 1;
        nextProbe = now + Math.max(pause * (2 / 3 + (2 / 3) * next()), 30);
        receive(estimate.probe(sent, now, at, network.bound));
        judge();
      } else {
        now = Math.max(now, nextProbe);
        result.probes.push(now);
        isPending = true;
        if (burst === 0) burst = 1;
        const out = network.out(next);
        const back = network.back(next);
        if (out === null || back === null) {
          isPending = false;
          nextProbe = now + RETRY_MS;
        } else {
          const error = network.bound * (2 * next() - 1);
          pending = { when: now + out + back, sent: now, at: truth(now + out) + error };
        }
      }
    }
  };

  for (let when = FRAME_MS; when < duration; when += FRAME_MS) {
    const delay = network.frame(next);
    if (delay === null) continue;
    const at = Math.floor(truth(when) / 10) * 10;
    const sent = when - (truth(when) - at); // ticks lie on the boundaries of the ticker's clock
    lastFrame = Math.max(lastFrame, sent + delay); // TCP keeps the order
    probes(lastFrame);
    now = Math.max(now, lastFrame);
    judge();
    receive(estimate.frame(now, at));
    judge();
  }
  result.mean = sum / readings;
  return result;
}

/**
 * Returns what the page's estimate does, and the one without a learned drift.
 *
 * @param {EstimateModule} module
 * @param {Network} network
 * @param {Gain} gain
 * @param {number} seed
 * @param {number} duration
 */
export function compare({ Estimate }, network, gain, seed, duration = 5_400_000) {
  return {
    learned: runOne((onDoubt) => new Estimate(onDoubt), network, gain, seed, duration),
    unlearned: runOne(() => new UnlearnedEstimate(), network, gain, seed, duration),
  };
}
