/*
 * What interrupts a page: suspend, a hidden tab, the browser's back-forward cache. Afterwards the page's clock may have
 * stood still, and its connections may be dead although they look open.
 */

// Milliseconds by which the device's wall clock may gain on performance.now() between two checks; NTP slews by less. Beyond,
// either the wall clock was set, or performance.now() stood still in suspend, as it does in some browsers. The page cannot
// tell which. A wall clock that was set back is no suspend.
const MAXIMUM_GAIN_MS = 50;

// A page counts as hidden after this time.
const HIDDEN_AFTER_MS = 10_000;

/**
 * @typedef {object} InterruptionHandlers
 * @property {() => void} slept - The page's clock may have stood still.
 * @property {() => void} hidden - The page has been hidden for some time.
 * @property {() => void} shown - The page is visible again after that.
 * @property {() => void} restored - The page comes from the back-forward cache, or was frozen.
 */

export class Interruptions {
  #difference = Date.now() - performance.now();
  #timer = 0;
  #hidden = false;
  #handlers;

  /** @param {InterruptionHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  watch() {
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    addEventListener("pageshow", (event) => event.persisted && this.#handlers.restored());
    document.addEventListener("resume", () => this.#handlers.restored());
    this.#onVisibility();
  }

  /**
   * Detects a suspend since the last check. Returns whether there was one.
   *
   * @param {number} now - performance.now()
   */
  check(now) {
    let gain = Date.now() - now - this.#difference;
    // The browser may have been interrupted since it read `now`.
    if (gain > MAXIMUM_GAIN_MS) gain = Date.now() - performance.now() - this.#difference;
    this.#difference += gain;
    const slept = gain > MAXIMUM_GAIN_MS;
    if (slept) this.#handlers.slept();
    return slept;
  }

  #onVisibility() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#timer = setTimeout(() => this.#hide(), HIDDEN_AFTER_MS);
    } else if (this.#hidden) {
      this.#hidden = false;
      this.#handlers.shown();
    }
  }

  #hide() {
    this.#hidden = true;
    this.#handlers.hidden();
  }
}
