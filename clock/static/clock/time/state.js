/*
 * The state: what the evidence allows the page to say about the time it shows. A pure function; missing evidence counts as
 * unknown.
 */

// Milliseconds without a frame after which the clock is late, and after which it is in holdover; or this many periods of
// its rate, if that is longer.
const LATE_AFTER_MS = 250;
const LATE_AFTER_PERIODS = 2.5;
const HOLDOVER_AFTER_MS = 1_000;
const HOLDOVER_AFTER_PERIODS = 3.5;

// With a larger bound, no time is shown.
const MAXIMUM_BOUND_MS = 500;

// The first frame and the first answer should arrive within this time.
const CONNECTING_MS = 10_000;

/** @typedef {"connecting" | "live" | "late" | "holdover" | "stopped" | "refused"} State */

/**
 * All times are milliseconds.
 *
 * @typedef {object} Evidence
 * @property {boolean} refused - The server told the page not to connect again.
 * @property {number | null} bound - The bound of the time, or null if there is no time to show.
 * @property {number | null} age - The time since the last frame should have arrived, or null before the first frame.
 * @property {number} period - The time between two frames.
 * @property {number} waited - The time since the page started, or since it dropped its evidence.
 */

/**
 * Returns the state.
 *
 * @param {Evidence} evidence
 * @returns {State}
 */
export function stateOf({ refused, bound, age, period, waited }) {
  if (refused) return "refused";
  if (bound === null) return waited < CONNECTING_MS ? "connecting" : "stopped";
  if (!(bound <= MAXIMUM_BOUND_MS)) return "stopped";
  if (age === null) return waited < CONNECTING_MS ? "connecting" : "holdover";
  if (age < Math.max(LATE_AFTER_MS, LATE_AFTER_PERIODS * period)) return "live";
  return age < Math.max(HOLDOVER_AFTER_MS, HOLDOVER_AFTER_PERIODS * period) ? "late" : "holdover";
}
