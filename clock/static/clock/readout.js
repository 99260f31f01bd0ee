/*
 * A readout: one zone's label, date and time. It changes only what differs: between two seconds, that is one text node.
 *
 * The error bound decides how visible a digit is. A digit counts in units (10 ms for hundredths, 100 ms for tenths).
 *
 * - sharp: the bound is at most one unit. The digit is right, or off by one.
 * - dim: the bound is larger. The digit may be off by several counts.
 * - hidden: the bound is five units or more. ± then covers all ten digits, so the digit says nothing.
 * - unknown: the bound is unknown. The digit looks dim.
 */

import { dateText, dayPeriod, offsetText, timeOfDay } from "./zones.js";

/**
 * @import { Options } from "./options.js"
 * @import { Zone } from "./zones.js"
 */

/** @typedef {"hidden" | "dim" | "sharp" | "unknown"} Visibility */

/** @type {Visibility[]} */
const RISING = ["hidden", "dim", "sharp"];

// To become more visible again, a digit must beat the limit by a fifth. So a bound that varies around a limit does not make
// it flicker.
const HYSTERESIS = 0.8;

// Figure dashes, as wide as digits.
const NO_DIGITS = "\u2012\u2012";
const TENTHS = Array.from({ length: 10 }, (_, number) => `.${number}`);
const DIGITS = Array.from({ length: 10 }, (_, number) => String(number));
const HUNDREDTHS = Array.from({ length: 100 }, (_, number) => `.${String(number).padStart(2, "0")}`);

export class Readout {
  root;
  hundredths;
  #options;
  #zone;
  #language;
  #time;
  #seconds; // text nodes
  #tenths;
  #lastDigit;
  /** @type {number | null} */
  #second = Number.POSITIVE_INFINITY; // the one that is shown; null if the time is unknown
  #fraction = -1; // the hundredths that are shown
  /** @type {number | null} */
  #local = null;
  /** @type {Visibility | ""} */
  #tenthsVisibility = "";
  /** @type {Visibility | ""} */
  #hundredthsVisibility = "";

  /**
   * @param {HTMLElement} root
   * @param {Zone} zone
   * @param {string} label
   * @param {Options} options
   * @param {{ language: string, hundredths: boolean }} format - The language of the date; whether hundredths are shown.
   */
  constructor(root, zone, label, options, { language, hundredths }) {
    this.root = root;
    this.#zone = zone;
    this.#options = options;
    this.#language = language;
    this.#time = part(root, "time");
    this.#seconds = textOf(part(root, "seconds").children[0]);
    this.#tenths = textOf(part(root, "hundredths"));
    this.#lastDigit = textOf(part(root, "last-digit"));
    part(root, "seconds").dataset.widest = options.seconds ? "00:00:00" : "00:00";
    part(root, "fraction").hidden = !hundredths;
    part(root, "day-period").hidden = options.hours !== 12;
    part(root, "date").hidden = !options.date;
    part(root, "date").lang = language;
    part(root, "day-period").lang = language;
    part(root, "label").hidden = !label;
    setText(part(root, "label"), label);
    setText(part(root, "zone-name"), zone.name);
    this.hundredths = hundredths;
    this.paint(null);
  }

  /**
   * Shows `time`. Returns whether a new second began.
   *
   * @param {number | null} time - Milliseconds since the Unix epoch; null if unknown.
   * @param {number | null} [serverOffset] - The offset of the server's zone.
   */
  paint(time, serverOffset = null) {
    if (time === null) {
      if (this.#second !== null) this.#blank();
      return false;
    }
    const second = this.#second;
    const isNew = second === null || !(time >= second && time < second + 1000);
    if (isNew) this.#paintSecond(time, serverOffset);
    if (this.hundredths && this.#local !== null) this.#paintFraction(time);
    return isNew;
  }

  /** @param {number} time */
  #paintFraction(time) {
    const fraction = Math.floor((time - Number(this.#second)) / 10);
    if (fraction === this.#fraction) return;
    this.#fraction = fraction;
    if (this.#hundredthsVisibility === "sharp") {
      this.#tenths.data = HUNDREDTHS[fraction];
      return;
    }
    const tenths = this.#tenthsVisibility === "hidden" ? "" : TENTHS[Math.floor(fraction / 10)];
    if (this.#tenths.data !== tenths) this.#tenths.data = tenths;
    if (this.#hundredthsVisibility !== "hidden") this.#lastDigit.data = DIGITS[fraction % 10];
  }

  /**
   * Sets how visible the digits are.
   *
   * @param {Visibility} tenths
   * @param {Visibility} hundredths
   */
  setVisibility(tenths, hundredths) {
    if (tenths === this.#tenthsVisibility && hundredths === this.#hundredthsVisibility) return;
    this.#tenthsVisibility = tenths;
    this.#hundredthsVisibility = hundredths;
    this.#time.dataset.tenths = tenths;
    this.#time.dataset.hundredths = hundredths;
    this.#lastDigit.data = "";
    this.#fraction = -1;
  }

  /** Returns {time, date, zone} for screen readers, or null while the time is unknown. */
  spoken() {
    if (this.#local === null) return null;
    const { hours } = this.#options;
    const period = hours === 12 ? ` ${dayPeriod(this.#local, this.#language)}` : "";
    return {
      time: timeOfDay(this.#local, { hours }).trim() + period,
      date: dateText(this.#local, this.#language),
      zone: part(this.root, "label").textContent || this.#zone.name,
    };
  }

  /**
   * Returns the time of day in this zone, or null if the zone's offset is unknown.
   *
   * @param {number} time
   * @param {number | null} serverOffset
   */
  timeOfDay(time, serverOffset) {
    const offset = this.#zone.offset(time, serverOffset);
    return offset === null ? null : timeOfDay(time + offset, { hours: this.#options.hours }).trim();
  }

  /**
   * @param {number} time
   * @param {number | null} serverOffset
   */
  #paintSecond(time, serverOffset) {
    const second = Math.floor(time / 1000) * 1000;
    const offset = this.#zone.offset(second, serverOffset);
    if (offset === null) this.#blank();
    this.#second = second;
    this.#fraction = -1;
    if (offset === null) return;
    const local = second + offset;
    this.#local = local;
    const digits = timeOfDay(local, this.#options);
    if (this.#seconds.data !== digits) this.#seconds.data = digits;
    setText(part(this.root, "zone-offset"), offsetText(this.#zone.name, offset));
    if (this.#options.date) setText(part(this.root, "date"), dateText(local, this.#language));
    if (this.#options.hours === 12) setText(part(this.root, "day-period"), dayPeriod(local, this.#language));
  }

  #blank() {
    this.#second = this.#local = null;
    this.#fraction = -1;
    this.#seconds.data = Array(this.#options.seconds ? 3 : 2)
      .fill(NO_DIGITS)
      .join(":");
    this.#tenths.data = `.${NO_DIGITS}`;
    this.#lastDigit.data = "";
    setText(part(this.root, "date"), "\u00a0");
  }
}

/**
 * Returns how visible a digit is.
 *
 * @param {number | null} bound - Milliseconds, or null if unknown.
 * @param {number} unit - Milliseconds per count.
 * @param {Visibility} [previous]
 * @returns {Visibility}
 */
export function visibility(bound, unit, previous = "sharp") {
  if (bound === null) return "unknown";
  const now = atLimit(bound / unit);
  if (previous === "unknown" || RISING.indexOf(now) <= RISING.indexOf(previous)) return now;
  const safe = atLimit(bound / unit / HYSTERESIS);
  return RISING.indexOf(safe) > RISING.indexOf(previous) ? safe : previous;
}

/**
 * @param {number} counts - The bound in counts of the digit.
 * @returns {Visibility}
 */
function atLimit(counts) {
  if (counts <= 1) return "sharp";
  return counts < 5 ? "dim" : "hidden";
}

/**
 * Sets an element's text, if it differs: an equal text would cost a layout too.
 *
 * @param {HTMLElement} element
 * @param {string} value
 */
export function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/**
 * @param {HTMLElement} root
 * @param {string} name
 */
function part(root, name) {
  return /** @type {HTMLElement} */ (root.querySelector(`.${name}`));
}

/** @param {Element} element */
function textOf(element) {
  if (!element.firstChild) element.append("");
  return /** @type {Text} */ (element.firstChild);
}
