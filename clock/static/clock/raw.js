/*
 * What arrives, as it arrives: the diagnostic view of `?raw`.
 */

import { FrameRate } from "./time/frame_rate.js";

/**
 * @import { Answer } from "./time/probes.js"
 * @import { Reading } from "./time/timekeeper.js"
 */

const NOTES = 8;
const WINDOW_MS = 10_000; // of rates and gaps

export class RawView {
  #element = document.createElement("pre");
  /** @type {{ arrived: number, at: number }[]} */
  #frames = []; // of the last WINDOW_MS
  #frameRate = new FrameRate();
  #data = "";
  #count = 0;
  #largestGap = 0;
  #backwards = 0;
  /** @type {Answer | null} */
  #answer = null;
  /** @type {string[]} */
  #notes = [];

  /** @param {HTMLElement} parent - The view becomes its last child. */
  constructor(parent) {
    this.#element.id = "raw";
    this.#element.tabIndex = 0; // it may be wider than the screen; keys scroll it
    parent.append(this.#element);
  }

  /**
   * @param {string} data
   * @param {number} arrived
   * @param {number} at
   */
  frame(data, arrived, at) {
    const last = this.#frames.at(-1);
    if (last) {
      this.#largestGap = Math.max(this.#largestGap, arrived - last.arrived);
      if (at <= last.at) this.#backwards += 1;
      this.#frameRate.add(at - last.at);
    }
    this.#frames.push({ arrived, at });
    this.#data = data;
    this.#count += 1;
  }

  /** @param {Answer} answer */
  probe(answer) {
    this.#answer = answer;
  }

  /** @param {string} message */
  note(message) {
    this.#notes = [`${(performance.now() / 1_000).toFixed(1)} s  ${message}`, ...this.#notes].slice(0, NOTES);
  }

  /**
   * Call it once per animation frame.
   *
   * @param {number} now - performance.now()
   * @param {Reading} reading - What Timekeeper.read() returned for `now`.
   */
  paint(now, { state, time, bound }) {
    const first = this.#frames.findIndex(({ arrived }) => arrived > now - WINDOW_MS);
    this.#frames.splice(0, first < 0 ? Math.max(0, this.#frames.length - 1) : first);
    this.#element.textContent = [
      this.#data || "no frame yet",
      `frames       ${this.#count}, ${this.#received(now)} in the last second, sent at ${this.#frameRate.value} a second`,
      `age          ${this.#age(now, time)}`,
      `gaps         ${this.#gaps()}, largest ever ${milliseconds(this.#largestGap)}, backwards ${this.#backwards}`,
      `round trip   ${this.#roundTrip(now)}`,
      `estimate     ${state}, ± ${bound === null ? "unknown" : milliseconds(bound)}`,
      ...this.#notes,
    ].join("\n");
  }

  /** @param {number} now */
  #received(now) {
    return this.#frames.filter(({ arrived }) => arrived > now - 1_000).length;
  }

  /**
   * @param {number} now
   * @param {number | null} time
   */
  #age(now, time) {
    const last = this.#frames.at(-1);
    if (!last) return "unknown";
    const byTime = time === null ? "unknown" : milliseconds(time - last.at);
    return `${milliseconds(Math.max(0, now - last.arrived))} since it arrived, ${byTime} by its time`;
  }

  #gaps() {
    const gaps = this.#frames.slice(1).map(({ arrived }, index) => arrived - this.#frames[index].arrived);
    return gaps.length ? `largest ${milliseconds(Math.max(...gaps))} in the last ${WINDOW_MS / 1_000} s` : "none yet";
  }

  /** @param {number} now */
  #roundTrip(now) {
    if (this.#answer === null) return "no answer yet";
    const { sent, received, age, bound, synchronised } = this.#answer;
    const stated = bound === null ? "unknown" : milliseconds(bound);
    const ago = ((now - received) / 1_000).toFixed(0);
    const server = `± ${stated}, last tick ${milliseconds(age)} old, synchronised: ${synchronised ?? "unknown"}`;
    return `${milliseconds(received - sent)}, ${ago} s ago; the server: ${server}`;
  }
}

const milliseconds = (/** @type {number} */ number) => `${number.toFixed(1)} ms`;
