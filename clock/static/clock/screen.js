/*
 * The device's screen: full screen, kept on, without an idle cursor, and protected from burn-in.
 */

import { reasonOf, report } from "./failures.js";
import { byId, text } from "./page.js";

// After this time without input, the cursor and the buttons disappear.
const IDLE_AFTER_MS = 3_000;

// Against burn-in, the clock moves by at most SHIFT_PX from its place, one step per SHIFT_INTERVAL_MS, along a path that
// covers all places in between. So no pixel of a screen that runs for months shows the edge of a digit all the time.
const SHIFT_PX = 6;
const SHIFT_INTERVAL_MS = 60_000;

/** @typedef {"awake_on" | "awake_off" | "awake_https" | "awake_unsupported" | "awake_refused"} AwakeStatus */

export class Screen {
  #onChange;
  #isRequested = false; // by the option `awake`
  #isPending = false; // a wake lock was requested; the browser has neither granted nor refused it
  #isOutdated = false; // something changed since that request
  /** @type {WakeLockSentinel | null} */
  #lock = null; // the one that is held
  /** @type {AwakeStatus} */
  #status = "awake_off";
  #reason = "";
  #idleTimer = 0;
  #shifts = 0;

  /** @param {() => void} onChange - Called whenever `awakeText` or `failed` may have changed. */
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => this.#settle());
    document.addEventListener("fullscreenchange", () => this.#settle());
    for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"])
      addEventListener(kind, () => this.#onInput(), { passive: true });
    this.#onInput();
    setInterval(() => this.#shift(), SHIFT_INTERVAL_MS);
  }

  /**
   * Sets whether the screen stays on. In full screen it always does.
   *
   * @param {boolean} isRequested
   */
  keepOn(isRequested) {
    this.#isRequested = isRequested;
    this.#settle();
  }

  /** Whether keeping the screen on was requested and failed. */
  get failed() {
    return this.#isRequested && this.#lock === null && this.#status !== "awake_off";
  }

  /** Whether the screen stays on, and if not, why; in the user's language. */
  get awakeText() {
    return text(this.#status, { reason: this.#reason });
  }

  /**
   * Enters or leaves full screen.
   *
   * @throws The browser's error if it refuses.
   */
  async toggleFullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen();
  }

  /** Whether the page wants a wake lock now. The browser releases it when the page is hidden. */
  get #isWanted() {
    return (this.#isRequested || Boolean(document.fullscreenElement)) && document.visibilityState === "visible";
  }

  /**
   * Requests or releases the wake lock, so that what is held becomes what is wanted. Call it whenever either may have
   * changed. A pending request cannot be cancelled, and there is at most one: its result is checked when it arrives.
   */
  #settle() {
    this.#isOutdated = true;
    if (!this.#isWanted) this.#release();
    else if (this.#lock === null && !this.#isPending) this.#request();
  }

  async #request() {
    this.#isPending = true;
    this.#isOutdated = false;
    const [status, reason] = await this.#acquire();
    this.#isPending = false;
    if (!this.#isWanted) this.#release();
    else if (this.#lock === null && this.#isOutdated)
      this.#request(); // the reason for the refusal may be gone
    else this.#setStatus(status, reason);
  }

  /** @returns {Promise<[status: AwakeStatus, reason?: string]>} */
  async #acquire() {
    if (!isSecureContext) return ["awake_https"];
    try {
      if (!navigator.wakeLock) return ["awake_unsupported"];
      const lock = await navigator.wakeLock.request("screen");
      if (lock.released) return ["awake_off"]; // the page was hidden at that moment
      lock.addEventListener("release", () => {
        if (this.#lock !== lock) return;
        this.#lock = null;
        this.#setStatus("awake_off");
      });
      this.#lock = lock;
      return ["awake_on"];
    } catch (error) {
      return ["awake_refused", reasonOf(error)];
    }
  }

  async #release() {
    const lock = this.#lock;
    this.#lock = null;
    this.#setStatus("awake_off");
    try {
      await lock?.release();
    } catch (error) {
      report(text("awake"), error);
    }
  }

  /**
   * @param {AwakeStatus} status
   * @param {string} [reason] - The browser's, in its language.
   */
  #setStatus(status, reason = "") {
    this.#status = status;
    this.#reason = reason;
    this.#onChange();
  }

  #onInput() {
    if (document.body.dataset.idle !== "false") document.body.dataset.idle = "false";
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      document.body.dataset.idle = "true";
    }, IDLE_AFTER_MS);
  }

  #shift() {
    this.#shifts += 1;
    const { style } = byId("clock");
    style.setProperty("--shift-x", `${Math.round(SHIFT_PX * Math.sin(this.#shifts * 0.37))}px`);
    style.setProperty("--shift-y", `${Math.round(SHIFT_PX * Math.sin(this.#shifts * 0.61))}px`);
  }
}
