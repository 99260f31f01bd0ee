// The estimate: what time it is at the ticker, by this page's own clock, and how far off that may be at most.
//
// It knows nothing of a page or a network. All times are milliseconds; `now` is this page's running clock
// (performance.now()), `at` is the ticker's (since the Unix epoch), and the offset is the second less the first.
//
// Everything that is learnt bounds the offset from one side or from both (after Marzullo, "Maintaining the Time in a
// Distributed System", 1983, which intersects intervals rather than trust the best of them):
//
// - A probe asked for the time at `sent` and heard `at` at `received`. The answer was true at some moment between.
// - A frame that came at `arrived` was sent before. So it was at least `at` by then.
//
// What was learnt is worth less as it ages, for the two clocks drift apart: by no more than DRIFT, which is twice what
// bad crystals do. As all of it ages alike, the tightest bound from either side is all that need be kept.

export const DRIFT = 200e-6;

export class Estimate {
  #low = -Infinity; // of the offset, as of #asOf
  #high = Infinity;
  #asOf = 0;

  // Takes in a probe. `bound` is by how much `at` may be off. Returns false if it contradicts what was known: then one
  // of the clocks was set, what was known is forgotten, and this is all there is.
  probe(sent, received, at, bound = 0) {
    return this.#narrow(received, at - bound - received, at + bound - sent + DRIFT * (received - sent));
  }

  // Takes in a frame; returns false if it contradicts what was known.
  frame(arrived, at) {
    return this.#narrow(arrived, at - arrived, Infinity);
  }

  // Returns {offset, halfWidth} as of now, or null while the offset is not bounded from both sides.
  read(now) {
    const age = DRIFT * Math.max(0, now - this.#asOf);
    const halfWidth = (this.#high - this.#low) / 2 + age;
    return Number.isFinite(halfWidth) ? { offset: (this.#high + this.#low) / 2, halfWidth } : null;
  }

  forget() {
    this.#low = -Infinity;
    this.#high = Infinity;
  }

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
