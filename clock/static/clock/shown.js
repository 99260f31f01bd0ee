// The shown time: it follows the estimate, but never goes back and never jumps.
//
// What is corrected is slewed: the shown clock runs faster or slower than it should by at most SLEW, until it is right; or
// by HURRY while it is proved to be wrong, as it may be after the first answer. A step, which is a clock that was set, is
// not slewed. All times are milliseconds.

const SLEW = 0.05;
const HURRY = 0.5;

// Where what was known had to be forgotten, a correction larger than this is a step.
const STEP = 200;

// What is added to the stated bound for what reading a clock and painting take.
const READING = 0.2;

export class Shown {
  #offset = null;
  #asOf = 0;
  #mayStep = false;

  // Returns {time, bound, stepped} for the moment `now` (performance.now()): the time to show, since the Unix epoch; by
  // how much it may be off; and whether it was not slewed. The other argument is what Estimate.read returned for now.
  follow(now, { offset, halfWidth }) {
    const off = this.#offset === null ? 0 : offset - this.#offset;
    const most = (Math.abs(off) > halfWidth ? HURRY : SLEW) * Math.max(0, now - this.#asOf);
    const stepped = this.#mayStep && Math.abs(off) > STEP;
    const left = stepped ? 0 : off - Math.min(most, Math.max(-most, off));
    this.#offset = offset - left;
    this.#asOf = now;
    this.#mayStep = false;
    return { time: now + this.#offset, bound: halfWidth + Math.abs(left) + READING, stepped };
  }

  // What was known was forgotten: the next correction is a step, if it is a large one.
  mayStep() {
    this.#mayStep = true;
  }
}
