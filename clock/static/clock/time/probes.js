/*
 * The probes: requests to `/clock/now` that ask for the time, one at a time, over a connection that the browser keeps open.
 *
 * Resource Timing measures when a request left and when the first byte of its answer arrived. A script learns of the answer
 * milliseconds later, or much later if the page is busy.
 */

// A burst, then less and less often, until the estimate says how often. The first answer arrives while the page loads, and
// is slow; on a line with jitter, each of the first few dozen answers improves the estimate. Each pause is jittered, so that
// many pages do not probe in step.
const FIRST_PAUSE_MS = 30;
const GROWTH = 1.4;
const HIDDEN_PAUSE_MS = 60_000;
const RETRY_PAUSE_MS = 1_500;

// A slower answer is useless: the time may be off by half of it.
const TIMEOUT_MS = 3_000;

// Browsers make performance.now() coarse, each by its own amount, as a defence against timing attacks. After this many equal
// readings, it counts as COARSEST_MS.
const MAXIMUM_READINGS = 50_000;
const COARSEST_MS = 100;

const jittered = (/** @type {number} */ pause) => pause * (2 / 3 + (2 / 3) * Math.random());

/**
 * An answer. All times are milliseconds; `sent` and `received` are readings of performance.now().
 *
 * @typedef {object} Answer
 * @property {number} sent
 * @property {number} received
 * @property {number} at - The ticker's time, since the Unix epoch.
 * @property {number} age - Time since the worker's last tick.
 * @property {number | null} bound - `at` is off by at most this much; null if unknown.
 * @property {boolean | null} synchronised - Whether NTP or PTP disciplines the ticker's clock; null if unknown.
 * @property {string | null} version - The version of the page at the server.
 */

export class Probes {
  #url;
  #onAnswer;
  #pauseOf;
  #count = 0; // since the burst started
  #timer = 0;
  /** @type {Promise<void> | null} */
  #pending = null;
  /** @type {AbortController | null} */
  #abort = null;
  #isUrgent = false;

  /**
   * @param {string} url
   * @param {(answer: Answer) => void} onAnswer
   * @param {() => number} pauseOf - Returns the pause after the burst, in milliseconds.
   */
  constructor(url, onAnswer, pauseOf) {
    this.#url = url;
    this.#onAnswer = onAnswer;
    this.#pauseOf = pauseOf;
  }

  /** Starts a burst: sends a probe at once, or after the answer to the pending one, and more soon after. */
  burst() {
    this.#count = 0;
    this.#isUrgent = this.#pending !== null;
    this.send();
  }

  /** Aborts the pending probe, whose connection may be dead, and starts a burst. */
  restart() {
    this.#abort?.abort();
    this.burst();
  }

  /** Sends a probe, unless one is pending. Without an answer, the next one follows soon. */
  send() {
    this.#pending ??= this.#sendAndSchedule();
  }

  async #sendAndSchedule() {
    clearTimeout(this.#timer);
    const answer = await this.#probe().catch(() => null); // no network, no server, no ticks yet, or not this server
    this.#pending = null;
    this.#timer = setTimeout(() => this.send(), jittered(this.#pause(answer)));
    if (answer !== null) this.#onAnswer(answer);
  }

  /** @param {Answer | null} answer */
  #pause(answer) {
    if (this.#isUrgent) {
      this.#isUrgent = false;
      return 0;
    }
    if (answer === null) return RETRY_PAUSE_MS;
    return Math.min(FIRST_PAUSE_MS * GROWTH ** this.#count++, document.hidden ? HIDDEN_PAUSE_MS : this.#pauseOf());
  }

  /** @returns {Promise<Answer | null>} */
  async #probe() {
    const abort = new AbortController();
    this.#abort = abort;
    const timeout = setTimeout(() => abort.abort(), TIMEOUT_MS);
    const started = performance.now();
    let response;
    let headersArrived;
    let answer;
    try {
      response = await fetch(this.#url, { cache: "no-store", signal: abort.signal });
      headersArrived = performance.now();
      answer = await response.json();
    } finally {
      clearTimeout(timeout);
    }
    const { at, age, bound, synchronised } = answer;
    if (!response.ok || !Number.isFinite(at)) return null;
    const { sent, received } = this.#timing(started) ?? { sent: started, received: headersArrived };
    const isKnown = Number.isFinite(bound) && bound >= 0;
    return {
      sent: sent - PRECISION_MS,
      received: received + PRECISION_MS,
      at,
      age,
      bound: isKnown ? bound : null,
      synchronised,
      version: response.headers.get("Clock-Version"),
    };
  }

  /**
   * Returns null if the browser has no timing. The script's own times then give a wider bound.
   *
   * @param {number} started
   */
  #timing(started) {
    try {
      const timing = /** @type {PerformanceResourceTiming | undefined} */ (
        performance.getEntriesByName(this.#url, "resource").at(-1)
      );
      performance.clearResourceTimings(); // the buffer would fill up
      if (!timing || timing.startTime < started - PRECISION_MS || !(timing.requestStart > 0)) return null;
      return { sent: timing.requestStart, received: timing.responseStart };
    } catch {
      return null;
    }
  }
}

/** A reading of performance.now() is off by at most this many milliseconds: the smallest of three steps. */
export const PRECISION_MS = Math.min(stepOfClock(), stepOfClock(), stepOfClock());

/** Returns a step of performance.now(), in milliseconds. If the clock is coarse, this takes as long as a step. */
function stepOfClock() {
  const before = performance.now();
  for (let reading = 0; reading < MAXIMUM_READINGS; reading++) {
    const after = performance.now();
    if (after !== before) return after - before;
  }
  return COARSEST_MS;
}
