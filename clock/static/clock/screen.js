// The screen: full, kept on, without a cursor in the way, and spared.

import { say } from "./words.js";

// Milliseconds without a move after which cursor and buttons go.
const IDLE_AFTER = 3_000;

// A clock moves by this many pixels at most from its place, one step every so many milliseconds, along a path that comes
// by all places in between: so no pixel of a screen that shows it for months bears the edge of a figure all the time.
const SHIFT = 6;
const SHIFT_EVERY = 60_000;

export class Screen {
  #onChange;
  #wanted = false;
  #lock = null;
  #word = "awake_off";
  #reason = "";
  #idle = 0;
  #shifts = 0;

  // `onChange` is called whenever what `word` returns may have changed.
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => this.#hold());
    document.addEventListener("fullscreenchange", () => this.#hold());
    for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"])
      addEventListener(kind, () => this.#stir(), { passive: true });
    this.#stir();
    setInterval(() => this.#shift(), SHIFT_EVERY);
  }

  // Whether the screen is to be kept on. It also is while it is full.
  keepOn(wanted) {
    this.#wanted = wanted;
    this.#hold();
  }

  // Whether what was asked for could not be had.
  get failed() {
    return this.#wanted && this.#lock === null && this.#word !== "awake_off";
  }

  // Says whether it stays on, and why not.
  get word() {
    return say(this.#word, { reason: this.#reason });
  }

  // Makes the screen full, or as it was. Throws what the browser throws if it refuses.
  async toggleFull() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await document.documentElement.requestFullscreen();
  }

  // A lock goes when the page is hidden, and must be asked for again.
  async #hold() {
    const wanted = this.#wanted || document.fullscreenElement !== null;
    if (!wanted) {
      const lock = this.#lock;
      this.#lock = null;
      this.#tell("awake_off");
      await lock?.release();
    } else if (this.#lock === null && document.visibilityState === "visible") {
      await this.#ask();
    }
  }

  async #ask() {
    if (!isSecureContext) return this.#tell("awake_https");
    if (!navigator.wakeLock) return this.#tell("awake_absent");
    try {
      const lock = await navigator.wakeLock.request("screen");
      this.#lock = lock;
      lock.addEventListener("release", () => {
        if (this.#lock !== lock) return;
        this.#lock = null;
        this.#tell("awake_off");
      });
      this.#tell("awake_on");
    } catch (error) {
      this.#tell("awake_refused", error.message);
    }
  }

  #tell(word, reason = "") {
    this.#word = word;
    this.#reason = reason;
    this.#onChange();
  }

  #stir() {
    if (document.body.dataset.idle !== "false") document.body.dataset.idle = "false";
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => (document.body.dataset.idle = "true"), IDLE_AFTER);
  }

  #shift() {
    this.#shifts += 1;
    const style = document.getElementById("clock").style;
    style.setProperty("--shift-x", `${Math.round(SHIFT * Math.sin(this.#shifts * 0.37))}px`);
    style.setProperty("--shift-y", `${Math.round(SHIFT * Math.sin(this.#shifts * 0.61))}px`);
  }
}
