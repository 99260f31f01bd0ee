/*
 * Updates: the page reloads itself when the server has a new version of it, and only if the server answers.
 */

import { pageData } from "./page.js";

// The longest time between two checks. Each is drawn from the upper half, so that many pages do not check at once.
const CHECK_INTERVAL_MS = 300_000;

// During a rolling upgrade, workers of both versions answer, and a reload may bring the old version again. So the page waits.
const MINIMUM_AGE_MS = 60_000;

const TIMEOUT_MS = 5_000;

export class Updates {
  #timer = 0;

  constructor() {
    this.#checkLater(CHECK_INTERVAL_MS);
  }

  /** The stream was interrupted and is back, perhaps because of an upgrade: checks soon, after a jittered pause. */
  checkSoon() {
    this.#checkLater(Math.max(10_000, MINIMUM_AGE_MS - performance.now()));
  }

  /** @param {number} pause */
  #checkLater(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), pause * (0.5 + Math.random() / 2));
  }

  async #check() {
    const version = await head("/clock/now", (response) => response.headers.get("Clock-Version"));
    const isNew = version && version !== pageData.version && performance.now() > MINIMUM_AGE_MS / 2;
    if (isNew && (await reachable())) location.reload();
    else this.#checkLater(CHECK_INTERVAL_MS);
  }
}

/**
 * Returns whether the server answers for this page. Without this check, a reload may end on the browser's error page.
 *
 * @param {string} [address]
 */
export async function reachable(address = location.href) {
  return (await head(address, (response) => response.ok)) === true;
}

/**
 * Returns what `read` makes of the response, or null if there is none.
 *
 * @template T
 * @param {string} address
 * @param {(response: Response) => T} read
 */
async function head(address, read) {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return read(await fetch(address, { method: "HEAD", cache: "no-store", signal }));
  } catch {
    return null;
  }
}
