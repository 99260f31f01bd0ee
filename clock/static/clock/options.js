/*
 * The options in the page's address. Each is read on its own; an invalid one gives a message and its default.
 */

import { pageData, text } from "./page.js";
import { knownZone } from "./zones.js";

const MAXIMUM_ZONES = 24;
const MAXIMUM_LABEL_LENGTH = 60;
const MAXIMUM_PROBLEMS = 5;

// WCAG 2.2, success criterion 1.4.3, for small text; the text of the state may be small.
const MINIMUM_CONTRAST = 4.5;

/** @import { Rate } from "./time/stream.js" */

/**
 * @typedef {object} Options
 * @property {string[]} tz - IANA time zones; empty for the server's zone.
 * @property {string[]} labels - One per clock, from the first; "" for none.
 * @property {number} hours - 24 or 12.
 * @property {boolean} date
 * @property {boolean} seconds
 * @property {boolean | null} hundredths - null: shown if there is one clock.
 * @property {string} theme - "auto", "light", "dark", "contrast", or "custom".
 * @property {string[] | null} colours - Of the theme "custom": [digits, background], each as 003366.
 * @property {string} background - "" or "transparent".
 * @property {number} size - Per cent of the largest size that fits.
 * @property {boolean} mirror
 * @property {number} offset - Milliseconds by which the shown time is ahead.
 * @property {Rate} rate
 * @property {boolean} raw
 * @property {boolean} awake
 * @property {string} lang - The code of a language; "" for the browser's.
 */

/**
 * @typedef {object} Parsed
 * @property {Options} options
 * @property {string[]} problems - A message for each invalid option.
 */

/**
 * Reads an option. It sets what is valid in `options`, and calls `reject(valid, value)` for what is not: `valid` describes
 * the valid values, `value` is the first one by default.
 *
 * @callback Parser
 * @param {string[]} values
 * @param {Options} options
 * @param {(valid: string, value?: string) => void} reject
 */

/** @type {Readonly<Options>} */
export const DEFAULTS = Object.freeze({
  tz: [],
  labels: [],
  hours: 24,
  date: true,
  seconds: true,
  hundredths: null,
  theme: "auto",
  colours: null,
  background: "",
  size: 100,
  mirror: false,
  offset: 0,
  rate: pageData.rate,
  raw: false,
  awake: false,
  lang: "",
});

/**
 * Returns the options in a query string. It never throws.
 *
 * @param {string} search
 * @returns {Parsed}
 */
export function readOptions(search) {
  const query = new URLSearchParams(search);
  const options = { ...DEFAULTS };
  /** @type {string[]} */
  const problems = [];
  for (const name of new Set(query.keys())) {
    if (!Object.hasOwn(PARSERS, name)) {
      problems.push(text("unknown_option", { name: shorten(name) }));
      continue;
    }
    const values = query.getAll(name);
    if (values.length > 1 && name !== "tz" && name !== "label") problems.push(text("repeated", { name }));
    PARSERS[name](values, options, (valid, value = values[0]) => problems.push(invalid(name, value, valid)));
  }
  const clocks = Math.max(1, options.tz.length);
  if (options.labels.length > clocks) {
    problems.push(invalid("label", options.labels[clocks], validLabel()));
    options.labels = options.labels.slice(0, clocks);
  }
  while (options.labels.at(-1) === "") options.labels = options.labels.slice(0, -1);
  if (problems.length > MAXIMUM_PROBLEMS) {
    problems.push(text("more_problems", { count: problems.splice(MAXIMUM_PROBLEMS).length }));
  }
  return { options, problems };
}

/**
 * Returns the contrast of two colours, each as 003366: from 1 to 21, as WCAG 2.2 defines it.
 *
 * @param {string} one
 * @param {string} other
 */
export function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** The names of options that are on or off. */
export const TOGGLES = /** @type {const} */ (["date", "seconds", "hundredths", "mirror", "awake", "raw"]);
/** The names of options that are written as they are. */
export const VALUES = /** @type {const} */ (["size", "offset", "rate", "lang"]);

const validLabel = () => text("valid_label", { maximum: MAXIMUM_LABEL_LENGTH });

/** @type {(name: string, value: string, valid: string) => string} */
const invalid = (name, value, valid) => text("invalid", { name, value: shorten(value), valid });

/** @type {Record<string, Parser>} */
const PARSERS = {
  tz(values, options, reject) {
    const names = values.flatMap((value) => value.split(",")).map((name) => name.trim());
    const valid = text("valid_tz", { maximum: MAXIMUM_ZONES });
    for (const name of names.filter(Boolean)) {
      const known = knownZone(name);
      if (known === null) reject(valid, name);
      else if (options.tz.length === MAXIMUM_ZONES) return reject(valid, name);
      else options.tz = [...options.tz, known];
    }
  },
  label(values, options, reject) {
    options.labels = values.map((value) => {
      const label = value.trim().replace(/[\r\n]+/g, " "); // in the settings, each label has a line
      if ([...label].length <= MAXIMUM_LABEL_LENGTH) return label;
      reject(validLabel(), label);
      return "";
    });
  },
  h: choice("hours", [12, 24]),
  date: toggle("date"),
  seconds: toggle("seconds"),
  hundredths: toggle("hundredths"),
  mirror: toggle("mirror"),
  awake: toggle("awake"),
  raw: toggle("raw"),
  theme([value], options, reject) {
    const colours = /^#?([\da-f]{3}|[\da-f]{6})-#?([\da-f]{3}|[\da-f]{6})$/i.exec(value)?.slice(1).map(sixDigits);
    if (["auto", "light", "dark", "contrast"].includes(value)) options.theme = value;
    else if (colours && contrast(colours[0], colours[1]) >= MINIMUM_CONTRAST)
      Object.assign(options, { theme: "custom", colours });
    else reject(text("valid_theme"));
  },
  bg: choice("background", ["transparent"]),
  size: wholeNumber("size", 10, 100),
  offset: wholeNumber("offset", -10_000, 10_000),
  rate: choice("rate", ["auto", ...pageData.rates]),
  lang([value], options, reject) {
    const code = value.toLowerCase().split("-")[0];
    if (Object.hasOwn(pageData.languages, code)) options.lang = code;
    else reject(text("valid_choice", { choices: Object.keys(pageData.languages).join(", ") }));
  },
};

/**
 * @param {keyof Options} option
 * @param {(string | number)[]} choices
 * @returns {Parser}
 */
function choice(option, choices) {
  return ([value], options, reject) => {
    const chosen = choices.find((one) => String(one) === value);
    if (chosen === undefined) reject(text("valid_choice", { choices: choices.join(", ") }));
    else Object.assign(options, { [option]: chosen });
  };
}

/**
 * A bare `?raw` is on.
 *
 * @param {keyof Options} option
 * @returns {Parser}
 */
function toggle(option) {
  return ([value], options, reject) => {
    const on = /^(on|1|true|yes|)$/i.test(value);
    if (on || /^(off|0|false|no)$/i.test(value)) Object.assign(options, { [option]: on });
    else reject(text("valid_toggle"));
  };
}

/**
 * @param {keyof Options} option
 * @param {number} minimum
 * @param {number} maximum
 * @returns {Parser}
 */
function wholeNumber(option, minimum, maximum) {
  return ([value], options, reject) => {
    const number = /^[+-]?\d{1,6}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= minimum && number <= maximum) Object.assign(options, { [option]: number + 0 });
    else reject(text("valid_number", { minimum, maximum }));
  };
}

/** @param {string} colour */
function luminance(colour) {
  const [red, green, blue] = [0, 2, 4].map((start) => {
    const part = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** @param {string} colour */
function sixDigits(colour) {
  return (colour.length === 3 ? colour.replace(/./g, "$&$&") : colour).toLowerCase();
}

/** @param {string} value */
function shorten(value) {
  const characters = [...value];
  return characters.length > 40 ? `${characters.slice(0, 40).join("")}…` : value;
}
