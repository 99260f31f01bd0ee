// The screen: full, kept on, without a cursor in the way, and spared.

import { reasonOf, report } from "./optional.js";
import { say } from "./words.js";

// Milliseconds without a move after which cursor and buttons go.
const IDLE_AFTER = 3_000;

// A clock moves by this many pixels at most from its place, one step every so many milliseconds, along a path that comes
// by all places in between: so no pixel of a screen that shows it for months bears the edge of a figure all the time.
const SHIFT = 6;
const SHIFT_EVERY = 60_000;

export class Screen {
  #onChange;
  #asked = false; // for the screen to be kept on
  #isPending = false; // a lock was requested, and has neither come nor been refused
  #isOutdated = false; // something has changed since that request
  #lock = null; // the one that is held
  #word = "awake_off";
  #reason = "";
  #idle = 0;
  #shifts = 0;

  // `onChange` is called whenever what `word` returns may have changed.
  constructor(onChange) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", () => this.#settle());
    document.addEventListener("fullscreenchange", () => this.#settle());
    for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"])
      addEventListener(kind, () => this.#stir(), { passive: true });
    this.#stir();
    setInterval(() => this.#shift(), SHIFT_EVERY);
  }

  // Whether the screen is to be kept on. It also is while it is full.
  keepOn(asked) {
    this.#asked = asked;
    this.#settle();
  }

  // Whether what was asked for could not be had.
  get failed() {
    return this.#asked && this.#lock === null && this.#word !== "awake_off";
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

  // Whether a lock is wanted now. It goes when the page is hidden, and must be requested again.
  get #isWanted() {
    return (this.#asked || Boolean(document.fullscreenElement)) && document.visibilityState === "visible";
  }

  // Takes the step from what is held to what is wanted; called whenever one of them may have changed. While a request is
  // pending there is no other, and no way to take it back: how it ends is looked at then.
  #settle() {
    this.#isOutdated = true;
    if (!this.#isWanted) this.#letGo();
    else if (this.#lock === null && !this.#isPending) this.#request();
  }

  async #request() {
    this.#isPending = true;
    this.#isOutdated = false;
    const [word, reason] = await this.#ask();
    this.#isPending = false;
    if (!this.#isWanted) this.#letGo();
    else if (this.#lock === null && this.#isOutdated) this.#request(); // refused for what may be over
    else this.#tell(word, reason);
  }

  // Returns the word on how a request ended, and the reason.
  async #ask() {
    if (!isSecureContext) return ["awake_https"];
    try {
      if (!navigator.wakeLock) return ["awake_absent"];
      const lock = await navigator.wakeLock.request("screen");
      if (lock.released) return ["awake_off"]; // the page was hidden at that moment
      lock.addEventListener("release", () => {
        if (this.#lock !== lock) return;
        this.#lock = null;
        this.#tell("awake_off");
      });
      this.#lock = lock;
      return ["awake_on"];
    } catch (error) {
      return ["awake_refused", reasonOf(error)];
    }
  }

  async #letGo() {
    const lock = this.#lock;
    this.#lock = null;
    this.#tell("awake_off");
    try {
      await lock?.release();
    } catch (error) {
      report(say("awake"), error);
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
