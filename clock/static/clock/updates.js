/*
 * Updates: the page reloads itself when the server has a new version of it, and only if the server answers.
 */

import { pageData } from "./page.js";

// During a rolling upgrade, workers of both versions answer, and a reload may bring the old version again. So the page waits
// until it is this old, and until no answer is of its own version any more.
const MINIMUM_AGE_MS = 60_000;

// After a release all pages reload, each at a random moment: a crowd within SPREAD_MS, a few viewers much faster. A worker
// has room for a number of viewers that is inversely proportional to their rate, so a page knows by its rate how many others
// there may be: about a thousand at 100 frames per second, and ten thousand at 10.
const SPREAD_MS = 300_000;
const CROWDED_GAP_MS = 100;

const TIMEOUT_MS = 5_000;

export class Updates {
  #timer = 0;

  /**
   * Compares the page's version with the server's.
   *
   * @param {string | null} version - As an answer of the server says; null if it does not.
   * @param {number} gap - The time between two frames, in milliseconds; Infinity if unknown.
   */
  compare(version, gap) {
    if (version === null || version === pageData.version) {
      clearTimeout(this.#timer);
      this.#timer = 0;
      return;
    }
    const wait = Math.max(0, MINIMUM_AGE_MS - performance.now());
    const spread = SPREAD_MS * Math.min(1, gap / CROWDED_GAP_MS);
    this.#timer ||= setTimeout(() => this.#reload(), wait + spread * Math.random());
  }

  async #reload() {
    if (await reachable()) location.reload();
    else this.#timer = 0; // the next answer starts again
  }
}

/**
 * Returns whether the server answers for this page. Without this check, a reload may end on the browser's error page.
 *
 * @param {string} [address]
 */
export async function reachable(address = location.href) {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return (await fetch(address, { method: "HEAD", cache: "no-store", signal })).ok;
  } catch {
    return false;
  }
}
