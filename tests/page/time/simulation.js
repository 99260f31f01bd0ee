/*
 * Runs the page's estimate over simulated networks with known delays, so that the true offset is known. The tests run it
 * in a browser; it returns measurements and judges nothing. All times are milliseconds.
 */

/** @typedef {typeof import("../../../clock/static/clock/time/drift.js")} DriftModule */
/** @typedef {typeof import("../../../clock/static/clock/time/estimate.js")} EstimateModule */
/** @typedef {typeof import("../../../clock/static/clock/time/slewed_clock.js")} SlewedClockModule */

/** @typedef {() => number} Random - Returns a number from 0 to below 1. */
/** @typedef {(next: Random) => number} Delay */
/** @typedef {(next: Random) => number | null} LossyDelay - Returns null for a loss. */

/**
 * @typedef {object} Network
 * @property {LossyDelay} out
 * @property {LossyDelay} back
 * @property {LossyDelay} frame
 * @property {number} drift - Of the ticker's clock, relative to the page's.
 * @property {number} bound - Of a probe's answer.
 * @property {number} [error] - An answer is off by at most this much; by default, as much as its bound.
 * @property {{ after: number, by: number } | null} step - The ticker's clock is set.
 * @property {{ every: number, lasts: number } | null} stall - Nothing arrives, and then all of it.
 */

/**
 * @typedef {object} Event
 * @property {number} when
 * @property {number} at
 * @property {number | null} sent - When the probe was sent; null for a frame.
 */

/**
 * Returns mulberry32: a small, seeded generator, good enough for delays.
 *
 * @param {number} seed
 * @returns {Random}
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @type {(minimum: number, jitter: number) => Delay} */
const uniform = (minimum, jitter) => (next) => minimum + jitter * next();
/** @type {(minimum: number, mean: number) => Delay} */
const exponential = (minimum, mean) => (next) => minimum - mean * Math.log(1 - next());
/** @type {(delay: Delay) => Delay} */
const spiky = (delay) => (next) => (next() < 0.05 ? 500 * next() : 0) + delay(next);
/** @type {(delay: Delay) => LossyDelay} */
const lossy = (delay) => (next) => (next() < 0.2 ? null : delay(next));

/** @type {(delay: LossyDelay, more?: Partial<Network>) => Network} */
const network = (delay, more = {}) => ({
  ...{ out: delay, back: delay, frame: delay },
  ...{ drift: 0, bound: 0, step: null, stall: null },
  ...more,
});

/** @type {Record<string, Network>} */
export const NETWORKS = {
  loopback: network(uniform(0.1, 0.3)),
  symmetric: network(uniform(50, 60)),
  "slow out": network(uniform(5, 5), { out: uniform(80, 20) }),
  "slow back": network(uniform(80, 20), { out: uniform(5, 5) }),
  exponential: network(exponential(20, 30)),
  spikes: network(spiky(uniform(20, 10))),
  loss: network(lossy(uniform(20, 10))),
  stalls: network(uniform(50, 60), { stall: { every: 25_000, lasts: 500 } }),
  "drift ahead": network(uniform(50, 60), { drift: 200e-6 }),
  "drift behind": network(uniform(50, 60), { drift: -200e-6 }),
  "server with a bound": network(uniform(10, 10), { bound: 3 }),
  "step ahead": network(uniform(20, 20), { step: { after: 90_000, by: 3_600_000 } }),
  "step back": network(uniform(20, 20), { step: { after: 90_000, by: -3_600_000 } }),
};

/**
 * Returns the events of a run, in the order in which the page sees them.
 *
 * @param {Network} network
 * @param {Random} next
 * @param {number} duration
 * @param {number[]} probeTimes
 * @param {(now: number) => number} truth
 */
function eventsOf(network, next, duration, probeTimes, truth) {
  /** @type {Event[]} */
  const events = [];
  let last = 0;
  const { every, lasts } = network.stall ?? { every: Infinity, lasts: 0 };
  /** @type {(when: number) => number} */
  const stalled = (when) => (when >= every && when % every < lasts ? when - (when % every) + lasts : when);
  for (let sent = 0; sent < duration; sent += 10) {
    const delay = network.frame(next);
    if (delay === null) continue;
    last = Math.max(last, stalled(sent + delay)); // TCP keeps the order
    events.push({ when: last, sent: null, at: Math.floor(truth(sent) / 10) * 10 });
  }
  for (const sent of probeTimes) {
    const out = network.out(next);
    const back = network.back(next);
    if (out === null || back === null) continue;
    const error = (network.error ?? network.bound) * (2 * next() - 1);
    events.push({ when: stalled(sent + out + back), sent, at: truth(sent + out) + error });
  }
  return events.filter(({ when }) => when < duration).sort((one, other) => one.when - other.when);
}

/**
 * Runs `Estimate` and `SlewedClock`; returns the worst of what was seen.
 *
 * - median, worst: errors of the estimate.
 * - medianOfSmallest: error of the usual alternative, the middle of the smallest round trip of the last minute.
 * - outside, shownOutside: how often the true time was outside the bound, of the estimate and of the shown time.
 * - widest: the bound as a multiple of (half the smallest round trip of the last minute + the server's bound + the drift
 *   allowance), except in the first seconds and after a step.
 * - back: how often the shown time ran backwards, other than by a step. steps: how often it was not slewed.
 *
 * @param {DriftModule & EstimateModule & SlewedClockModule} modules
 * @param {Network} network
 * @param {number} seed
 */
export function run({ Estimate, SlewedClock, DRIFT }, network, seed, duration = 180_000) {
  const next = random(seed);
  const start = 1_795_351_680_000 + 1e6 * next();
  const step = network.step ?? { after: Infinity, by: 0 };
  /** @type {(now: number) => number} */
  const truth = (now) => start + now * (1 + network.drift) + (now >= step.after ? step.by : 0);
  const probeTimes = [];
  for (let when = 0; when < duration; when += when < 1_000 ? 150 : 10_000) probeTimes.push(when);
  if (network.step) for (let more = 100; more < 1_000; more += 150) probeTimes.push(step.after + more);

  const estimate = new Estimate();
  const clock = new SlewedClock();
  /** @type {{ sent: number, when: number, at: number }[]} */
  const probes = [];
  const errors = [];
  const errorsOfSmallest = [];
  const counts = { outside: 0, shownOutside: 0, back: 0, contradictions: 0, steps: 0 };
  let widest = 0;
  let before = -Infinity;
  let now = 0;
  for (const { when, sent, at } of eventsOf(network, next, duration, probeTimes, truth)) {
    const agrees = sent === null ? estimate.frame(when, at) : estimate.probe(sent, when, at, network.bound);
    if (sent !== null) probes.push({ sent, when, at });
    if (!agrees) {
      counts.contradictions += 1;
      clock.allowStep();
    }
    now = Math.max(now, when + next()); // painted a little later
    const estimated = estimate.read(now);
    if (estimated === null) continue;
    const sinceStep = now >= step.after ? now - step.after : Infinity;
    const error = Math.abs(now + estimated.offset - truth(now));
    const { time, bound, stepped } = clock.follow(now, estimated);
    if (stepped) counts.steps += 1;
    if (time < before && !stepped) counts.back += 1;
    before = time;
    if (sinceStep < 1_500) continue; // until a frame or a probe tells of the step, the page cannot know
    errors.push(error);
    if (error > estimated.halfWidth) counts.outside += 1;
    if (Math.abs(time - truth(now)) > bound) counts.shownOutside += 1;
    while (probes[0]?.when <= now - 60_000) probes.shift();
    const halves = probes.map((probe) => (probe.when - probe.sent) / 2);
    const allowed = Math.min(...probes.map((probe, index) => halves[index] + DRIFT * (now - probe.when)));
    if (now > 5_000 && sinceStep > 5_000) widest = Math.max(widest, estimated.halfWidth / (allowed + network.bound));
    if (probes.length > 0 && sinceStep === Infinity) {
      const smallest = Math.min(...halves);
      const probe = probes[halves.indexOf(smallest)];
      errorsOfSmallest.push(Math.abs(probe.at + smallest + (now - probe.when) - truth(now)));
    }
  }
  return {
    ...counts,
    widest,
    samples: errors.length,
    median: median(errors),
    worst: Math.max(...errors),
    medianOfSmallest: median(errorsOfSmallest),
  };
}

/** @param {number[]} numbers */
function median(numbers) {
  return numbers.sort((one, other) => one - other)[numbers.length >> 1];
}
