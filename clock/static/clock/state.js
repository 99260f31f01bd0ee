// The state: what the evidence allows to be said about the time shown. A pure rule; what is missing counts as unknown.

// Milliseconds without a frame after which the clock is late, and after which it counts on alone; or so many periods of
// its rate, if that is longer.
const LATE_AFTER = 250;
const LATE_PERIODS = 2.5;
const HOLDOVER_AFTER = 1_000;
const HOLDOVER_PERIODS = 3.5;

// Milliseconds by which the time may be off before it is not shown any more.
const MOST_BOUND = 500;

// Milliseconds in which the first word should come.
const CONNECTING_FOR = 10_000;

// Returns "connecting", "live", "late", "holdover", "stopped" or "refused". All times are milliseconds.
//
// refused: the server said not to come back. bound: how far off the time may be, or null where there is none to show.
// age: since the last frame should have come, or null before the first. period: from frame to frame. waited: since the
// page began, or since it forgot what it knew.
export function judge({ refused, bound, age, period, waited }) {
  if (refused) return "refused";
  if (bound === null) return waited < CONNECTING_FOR ? "connecting" : "stopped";
  if (!(bound <= MOST_BOUND)) return "stopped";
  if (age === null) return waited < CONNECTING_FOR ? "connecting" : "holdover";
  if (age < Math.max(LATE_AFTER, LATE_PERIODS * period)) return "live";
  return age < Math.max(HOLDOVER_AFTER, HOLDOVER_PERIODS * period) ? "late" : "holdover";
}
