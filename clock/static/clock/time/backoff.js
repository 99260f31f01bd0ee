/*
 * Pauses between attempts: each twice as long as the one before, up to a limit, and drawn from its upper half, so that viewers
 * whose worker died do not all come back at once.
 */

/** @param {number} pause - Milliseconds. */
export const jittered = (pause) => pause * (0.5 + Math.random() / 2);

export class Backoff {
  #first;
  #longest;
  #pause;

  /**
   * @param {number} first - The first pause, in milliseconds, without jitter.
   * @param {number} longest
   */
  constructor(first, longest) {
    this.#first = this.#pause = first;
    this.#longest = longest;
  }

  /** Returns the pause before the next attempt. */
  next() {
    const pause = this.#pause;
    this.#pause = Math.min(pause * 2, this.#longest);
    return jittered(pause);
  }

  /** An attempt was successful. */
  reset() {
    this.#pause = this.#first;
  }
}
