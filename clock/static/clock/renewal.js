// Renewal: when the server has a new version of the page, the page loads itself anew, and never into nothing.

import { given } from "./words.js";

// Milliseconds between two looks, each drawn from the upper half, so that a thousand pages do not look at once.
const LOOK_EVERY = 300_000;

// Where workers of both versions answer, as during a roll-out, the page may get the old one again: so it waits.
const LEAST_AGE = 60_000;

export class Renewal {
  #looking = 0;

  constructor() {
    this.#lookLater(LOOK_EVERY);
  }

  // The stream was gone and is back: perhaps the server was renewed. Looks soon, at its own time among all that came back.
  suspect() {
    this.#lookLater(Math.max(10_000, LEAST_AGE - performance.now()));
  }

  #lookLater(pause) {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => this.#look(), pause * (0.5 + Math.random() / 2));
  }

  async #look() {
    const version = await answer("/clock/now", (response) => response.headers.get("Clock-Version"));
    if (version && version !== given.version && performance.now() > LEAST_AGE / 2 && (await reachable())) location.reload();
    else this.#lookLater(LOOK_EVERY);
  }
}

// Returns whether the page itself can be had now. Whoever loads it anew without asking may end on an error of the browser.
export async function reachable(address = location.href) {
  return (await answer(address, (response) => response.ok)) === true;
}

async function answer(address, read) {
  try {
    const signal = AbortSignal.timeout(5_000);
    return read(await fetch(address, { method: "HEAD", cache: "no-store", signal }));
  } catch {
    return null;
  }
}
