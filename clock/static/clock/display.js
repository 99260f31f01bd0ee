/*
 * The display: the readouts of all zones, and below them the state of the clock and its bound.
 */

import { attempt } from "./failures.js";
import { byId, pageData, text } from "./page.js";
import { Readout, setText, visibility } from "./readout.js";
import { languageOf, Zone } from "./zones.js";

/**
 * @import { Options } from "./options.js"
 * @import { Visibility } from "./readout.js"
 * @import { State } from "./time/state.js"
 * @import { Reading } from "./time/timekeeper.js"
 */

// A state is announced to screen readers after this time; shorter ones are not worth an interruption.
const ANNOUNCE_AFTER_MS = 1_500;

// The bound is updated once per interval, so that it can be read.
const BOUND_INTERVAL_MS = 1_000;

// Milliseconds for screen readers to notice that the last announcement is gone: an equal text is read again only if it is
// new.
const ANNOUNCE_PAUSE_MS = 50;

// The space between two readouts, in em of their digits.
const GAP_EM = 0.5;

// The texts that say since when frames are missing.
/** @type {Partial<Record<State, string>>} */
const SINCE = { holdover: "holdover_since", stopped: "stopped_since" };

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class Display {
  #root = byId("clock");
  #grid = byId("grid");
  #state = byId("state-text");
  #bound = byId("bound");
  #notes = byId("notes");
  #announcer = byId("announcer");
  #template = /** @type {HTMLElement} */ (this.#grid.children[0].cloneNode(true));
  /** @type {Readout[]} */
  #readouts = [];
  #options;
  /** @type {Pick<Reading, "state" | "since" | "reason" | "stepped" | "synchronised">} */
  #shown = { state: "connecting", since: null, reason: "", stepped: false, synchronised: undefined };
  /** @type {number | null} */
  #shownBound = null;
  #boundUpdated = -Infinity;
  /** @type {Visibility} */
  #tenths = "sharp";
  /** @type {Visibility} */
  #hundredths = "sharp";
  #announceTimer = 0;
  #announced = "";

  /** @param {Options} options - For use(), which must be called next. */
  constructor(options) {
    this.#options = options;
    reducedMotion.addEventListener("change", () => this.use(this.#options));
    addEventListener("resize", () => this.#layOut());
  }

  /**
   * Builds the readouts for these options.
   *
   * @param {Options} options
   */
  use(options) {
    this.#options = options;
    const zones = options.tz.length
      ? options.tz.map((name) => new Zone(name))
      : [new Zone(pageData.zone, { isServers: true })];
    const hundredths = options.seconds && !reducedMotion.matches && (options.hundredths ?? zones.length === 1);
    const language = languageOf(options.lang);
    this.#readouts = zones.map((zone, number) => {
      const root = /** @type {HTMLElement} */ (this.#template.cloneNode(true));
      return new Readout(root, zone, options.labels[number] ?? "", options, { language, hundredths });
    });
    this.#grid.replaceChildren(...this.#readouts.map(({ root }) => root));
    this.#layOut();
    this.#root.dataset.mirror = String(options.mirror);
    this.#updateNotes();
    this.#updateVisibility(this.#shownBound);
  }

  /**
   * Shows a reading. Call it once per animation frame.
   *
   * @param {number} now - performance.now()
   * @param {Reading} reading
   */
  paint(now, reading) {
    const { state, since, reason, stepped, synchronised } = reading;
    const shown = this.#shown;
    if (state !== shown.state || since !== shown.since || reason !== shown.reason || stepped !== shown.stepped) {
      this.#shown = { state, since, reason, stepped, synchronised };
      this.#updateState(reading);
    } else if (synchronised !== shown.synchronised) {
      shown.synchronised = synchronised;
      this.#updateNotes();
    }
    const time = reading.time === null ? null : reading.time + this.#options.offset;
    let isNewSecond = false;
    for (const readout of this.#readouts) isNewSecond = readout.paint(time, reading.zoneOffset) || isNewSecond;
    if (!isNewSecond) this.#updateBound(now, reading); // each costs a layout, so not in one animation frame
  }

  /** Announces the time to screen readers. */
  speak() {
    const status = [this.#state, this.#bound, this.#notes]
      .map((part) => part.textContent)
      .filter(Boolean)
      .join(", ");
    const spoken = this.#readouts.map((readout) => readout.spoken()).filter((parts) => parts !== null);
    const times = spoken.map((parts) => text("spoken", { ...parts, state: "" }).replace(/[.\s]+$/, ""));
    this.#announce([...times, status].join(". "));
  }

  /** @param {Reading} reading */
  #updateState({ state, since, reason, zoneOffset }) {
    this.#root.dataset.state = state;
    this.#boundUpdated = -Infinity;
    const when = since === null ? null : this.#readouts[0].timeOfDay(since, zoneOffset);
    const name = when === null ? state : (SINCE[state] ?? state);
    setText(this.#state, text(name, { since: when, reason }));
    this.#updateNotes();
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => this.#announceState(state), ANNOUNCE_AFTER_MS);
  }

  /** @param {string} state */
  #announceState(state) {
    if (state === this.#announced) return;
    const isFirst = this.#announced === "";
    this.#announced = state;
    if (!(isFirst && state === "live")) this.#announce(this.#state.textContent ?? "");
  }

  /** @param {string} message */
  #announce(message) {
    this.#announcer.textContent = "";
    setTimeout(() => setText(this.#announcer, message), ANNOUNCE_PAUSE_MS);
  }

  /**
   * @param {number} now
   * @param {Reading} reading
   */
  #updateBound(now, { state, time, bound }) {
    const known = time === null ? null : bound;
    if (now - this.#boundUpdated < BOUND_INTERVAL_MS && (known === null) === (this.#shownBound === null)) return;
    this.#boundUpdated = now;
    this.#shownBound = known;
    this.#updateVisibility(known);
    const name = known === null ? "bound_unknown" : state === "holdover" ? "bound_growing" : "bound";
    setText(this.#bound, time === null ? "" : text(name, { bound: known === null ? "" : boundText(known) }));
  }

  /** @param {number | null} bound */
  #updateVisibility(bound) {
    this.#tenths = visibility(bound, 100, this.#tenths);
    this.#hundredths = visibility(bound, 10, this.#hundredths);
    for (const readout of this.#readouts) readout.setVisibility(this.#tenths, this.#hundredths);
  }

  #updateNotes() {
    const notes = [];
    const { offset } = this.#options;
    const { stepped, synchronised } = this.#shown;
    if (stepped) notes.push(text("stepped"));
    if (synchronised === false) notes.push(text("unsynchronised"));
    if (synchronised === null) notes.push(text("synchronisation_unknown"));
    if (offset) notes.push(text(offset > 0 ? "ahead" : "behind", { offset: Math.abs(offset) }));
    setText(this.#notes, notes.join(" · "));
  }

  /** Lays out the grid, with as many columns as make the digits largest. */
  #layOut() {
    const { hours, seconds, size } = this.#options;
    const count = this.#readouts.length;
    // The width of a readout, in em of its digits.
    const width = 3.3 + (seconds ? 1.85 : 0) + (this.#readouts[0].hundredths ? 1.05 : 0) + (hours === 12 ? 1.1 : 0);
    const sizes = this.#readouts.map((_, others) => {
      const columns = others + 1;
      const rows = Math.ceil(count / columns);
      const gap = 0.05 * Math.min(innerWidth, innerHeight); // between rows, and below them
      // In a grid, half of each readout is its label, date and zone.
      const height = count > 1 ? ((innerHeight - 230) / rows - gap) / 2 : innerHeight * 0.62;
      return Math.min((innerWidth * 0.9) / (columns * width + others * GAP_EM), Math.max(height, 16));
    });
    const largest = Math.max(...sizes);
    const { style } = this.#root;
    style.setProperty("--columns", String(sizes.indexOf(largest) + 1));
    style.setProperty("--digit-size", `${((largest * size) / 100).toFixed(2)}px`);
    this.#root.dataset.grid = String(count > 1);
  }
}

/**
 * Returns the bound as text. It is rounded up, so that the page never understates it.
 *
 * @param {number} bound
 */
function boundText(bound) {
  const places = bound < 10 ? 1 : 0;
  const rounded = Math.ceil(bound * 10 ** places) / 10 ** places;
  const { lang } = document.documentElement;
  const format = { minimumFractionDigits: places, maximumFractionDigits: places };
  return attempt(text("lang"), () => rounded.toLocaleString(lang, format), rounded.toFixed(places));
}
