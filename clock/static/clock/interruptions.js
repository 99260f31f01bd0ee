// What interrupts a page: sleep, another tab before it, the browser's back-forward cache. Afterwards its clock may have
// stood still, and its connections may be dead without knowing.

// Milliseconds by which the device's wall clock runs ahead of performance.now() from one look to the next, beyond what NTP
// slews. Then somebody set it, or performance.now() stood still in suspend, as it does in some browsers; which of the two
// it was nobody can tell. When it was set back, it was no sleep.
const SLEPT = 50;

// Milliseconds for which a page is hidden before it counts as hidden.
const HIDDEN_AFTER = 10_000;

export class Interruptions {
  #difference = Date.now() - performance.now();
  #timer = 0;
  #hidden = false;
  #on;

  // `on` has functions: slept(), hidden(), shown(), restored().
  constructor(on) {
    this.#on = on;
  }

  watch() {
    document.addEventListener("visibilitychange", () => this.#turn());
    addEventListener("pageshow", (event) => event.persisted && this.#on.restored());
    document.addEventListener("resume", () => this.#on.restored());
    this.#turn();
  }

  // Cheap: to be called before anything is made of `now`, which is performance.now().
  check(now) {
    const difference = Date.now() - now;
    const slept = difference - this.#difference > SLEPT;
    this.#difference = difference;
    if (slept) this.#on.slept();
  }

  #turn() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#timer = setTimeout(() => this.#hide(), HIDDEN_AFTER);
    } else if (this.#hidden) {
      this.#hidden = false;
      this.#on.shown();
    }
  }

  #hide() {
    this.#hidden = true;
    this.#on.hidden();
  }
}
