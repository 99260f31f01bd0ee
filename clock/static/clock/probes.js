// The probes: what time is it? Asked of `/clock/now`, over a connection that the browser keeps, one question at a time.
//
// They are timed by Resource Timing, which says when the question went out and when the answer began to come; a script
// hears of it milliseconds later, or much later where the page is busy.

import { PRECISION } from "./precision.js";

// A burst, then less and less often: the very first answer comes while the page loads, and is a slow one; and on a line
// whose delays vary, each of the first few dozen makes the estimate better. Milliseconds; each pause is jittered, so that a
// crowd does not ask in step.
const FIRST_PAUSE = 30;
const GROWTH = 1.4;
const PAUSE = 10_000;
const HIDDEN_PAUSE = 60_000;
const UNANSWERED_PAUSE = 1_500;

// What takes longer is worth nothing: the time may be off by half of it.
const TIMEOUT = 3_000;

const jittered = (pause) => pause * (2 / 3 + (2 / 3) * Math.random());

export class Probes {
  #url;
  #onAnswer;
  #asked = 0; // since the burst began
  #timer = 0;
  #asking = null; // the promise of an answer
  #abort = null;
  #isUrgent = false;

  // `onAnswer` takes {sent, received, at, age, bound}, in milliseconds, of which `sent` and `received` are
  // performance.now(); and `synchronised`: whether the ticker's clock is, or null where that is not known.
  constructor(url, onAnswer) {
    this.#url = url;
    this.#onAnswer = onAnswer;
  }

  // Asks at once, or as soon as the question that is under way has been answered; and some more times soon.
  burst() {
    this.#asked = 0;
    this.#isUrgent = this.#asking !== null;
    this.ask();
  }

  // Gives up the question that is under way, whose connection may be dead, and begins with a burst.
  restart() {
    this.#abort?.abort();
    this.burst();
  }

  // Asks, unless a question is under way. Without an answer it is asked again soon.
  ask() {
    this.#asking ??= this.#askAndGoOn();
  }

  async #askAndGoOn() {
    clearTimeout(this.#timer);
    const answer = await this.#probe().catch(() => null); // no network, no server, no ticks yet, not our server
    this.#asking = null;
    this.#timer = setTimeout(() => this.ask(), jittered(this.#pause(answer)));
    if (answer !== null) this.#onAnswer(answer);
  }

  #pause(answer) {
    if (this.#isUrgent) {
      this.#isUrgent = false;
      return 0;
    }
    if (answer === null) return UNANSWERED_PAUSE;
    return Math.min(FIRST_PAUSE * GROWTH ** this.#asked++, document.hidden ? HIDDEN_PAUSE : PAUSE);
  }

  async #probe() {
    const abort = new AbortController();
    this.#abort = abort;
    const timeout = setTimeout(() => abort.abort(), TIMEOUT);
    const began = performance.now();
    let response, headersCame, answer;
    try {
      response = await fetch(this.#url, { cache: "no-store", signal: abort.signal });
      headersCame = performance.now();
      answer = await response.json();
    } finally {
      clearTimeout(timeout);
    }
    const { at, age, bound, synchronised } = answer;
    if (!response.ok || !Number.isFinite(at)) return null;
    const { sent, received } = this.#timing(began) ?? { sent: began, received: headersCame };
    const known = Number.isFinite(bound) && bound >= 0;
    return { sent: sent - PRECISION, received: received + PRECISION, at, age, bound: known ? bound : null, synchronised };
  }

  // Returns null where the browser does not say; then the bound is as wide as what the script sees itself.
  #timing(began) {
    try {
      const timing = performance.getEntriesByName(this.#url, "resource").at(-1);
      performance.clearResourceTimings(); // else its buffer is full one day
      if (!timing || timing.startTime < began - PRECISION || !(timing.requestStart > 0)) return null;
      return { sent: timing.requestStart, received: timing.responseStart };
    } catch {
      return null;
    }
  }
}
