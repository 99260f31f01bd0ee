// The freshness of the newest frame: by how much it is older than frames are when they come.
//
// When a frame arrives says little: after a stall on the way a burst of them comes, all of them old. What counts is `at`,
// against the frame of the last minute or two that was the shortest time under way. All times are milliseconds.

// Clocks drift apart, so what was under way shortest long ago is forgotten: after one window to two.
const WINDOW = 60_000;

// However long frames take as a rule, more than this is not taken for the way they have to go: they are old.
const MOST_TRANSIT = 500;

export class Freshness {
  #newest = null; // the highest `at`
  #least = Infinity; // of `arrived` less `at`, in this window and in the one before
  #leastBefore = Infinity;
  #windowEnds = -Infinity;

  get newest() {
    return this.#newest;
  }

  // Takes in a frame that came at `arrived` (performance.now()).
  frame(arrived, at) {
    if (arrived >= this.#windowEnds) {
      this.#leastBefore = arrived < this.#windowEnds + WINDOW ? this.#least : Infinity;
      this.#least = Infinity;
      this.#windowEnds = arrived + WINDOW;
    }
    this.#least = Math.min(this.#least, arrived - at);
    if (this.#newest === null || at > this.#newest) this.#newest = at;
  }

  // Returns the age, or null where there is no frame, or one from the future: then the ticker's clock was set back. `offset`
  // makes `now` the time at the ticker.
  age(now, offset) {
    if (this.#newest === null || this.#newest > now + offset + MOST_TRANSIT) return null;
    const least = Math.min(this.#least, this.#leastBefore);
    const transit = Number.isFinite(least) ? Math.max(0, Math.min(MOST_TRANSIT, least + offset)) : 0;
    return now + offset - this.#newest - transit;
  }

  // This page's clock stood still: how long frames were under way is not known any more, though `at` is.
  forgetTransit() {
    this.#least = this.#leastBefore = Infinity;
    this.#windowEnds = -Infinity;
  }

  // The ticker's clock was set.
  forget() {
    this.forgetTransit();
    this.#newest = null;
  }
}
