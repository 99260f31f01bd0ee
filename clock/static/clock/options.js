// The options in the address: each is read on its own, and one that cannot be used gives a plain text and the fallback.

import { given, say } from "./words.js";

const MOST_ZONES = 24;
const LONGEST_LABEL = 60;
const MOST_PROBLEMS = 5;

// WCAG 2.2, success criterion 1.4.3: of small text, which the word on the state may be.
const LEAST_CONTRAST = 4.5;

export const DEFAULTS = Object.freeze({
  tz: [], // names of the IANA database; none is the server's zone
  labels: [], // one for each clock, from the first on
  hours: 24,
  date: true,
  seconds: true,
  hundredths: null, // null: on a single clock, and not on a wall of them
  theme: "auto", // or light, dark, contrast, own
  colours: null, // of the theme "own": [figures, ground], each as 003366
  background: "", // or "transparent"
  size: 100, // per cent of what the screen has room for
  mirror: false,
  offset: 0, // milliseconds that the shown time is ahead
  rate: given.rate,
  raw: false,
  awake: false,
  lang: "",
});

// Returns {options, problems} of what stands after the question mark. It never throws.
export function readOptions(search) {
  const query = new URLSearchParams(search);
  const options = { ...DEFAULTS };
  const problems = [];
  for (const name of new Set(query.keys())) {
    if (!Object.hasOwn(READERS, name)) {
      problems.push(say("unknown_option", { name: cut(name) }));
      continue;
    }
    const values = query.getAll(name);
    if (values.length > 1 && name !== "tz" && name !== "label") problems.push(say("given_twice", { name }));
    READERS[name](values, options, (takes, value = values[0]) =>
      problems.push(say("cannot_use", { name, value: cut(value), accepts: takes })),
    );
  }
  const clocks = Math.max(1, options.tz.length);
  if (options.labels.length > clocks) {
    problems.push(say("cannot_use", { name: "label", value: cut(options.labels[clocks]), accepts: takesLabel() }));
    options.labels = options.labels.slice(0, clocks);
  }
  while (options.labels.at(-1) === "") options.labels = options.labels.slice(0, -1);
  if (problems.length > MOST_PROBLEMS) {
    const more = problems.splice(MOST_PROBLEMS).length;
    problems.push(say("more_problems", { count: more }));
  }
  return { options, problems };
}

// Returns what to put after the path for these options: nothing that is so anyway.
export function writeOptions(options) {
  const query = new URLSearchParams();
  if (options.tz.length) query.set("tz", options.tz.join(","));
  for (const label of options.labels) query.append("label", label);
  const set = (name, value, fallback) => value !== fallback && query.set(name, value);
  const word = (value) => (value === null ? null : value ? "on" : "off");
  set("h", options.hours, DEFAULTS.hours);
  for (const name of ["date", "seconds", "hundredths", "mirror", "awake", "raw"])
    set(name, word(options[name]), word(DEFAULTS[name]));
  set("theme", options.theme === "own" ? options.colours.join("-") : options.theme, DEFAULTS.theme);
  set("bg", options.background, DEFAULTS.background);
  for (const name of ["size", "offset", "rate", "lang"]) set(name, options[name], DEFAULTS[name]);
  const text = query.toString().replaceAll("+", "%20").replaceAll("%2F", "/");
  return text && `?${text.replace(/^tz=[^&]*/, (zones) => zones.replaceAll("%2C", ","))}`; // in a label it stays
}

// Returns how much two colours, each as 003366, differ in lightness: from 1 to 21, as WCAG 2.2 defines it.
export function contrast(one, other) {
  const [dark, light] = [lightness(one), lightness(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

// Returns the name of a zone as the browser knows it, or null if it does not.
export function knownZone(name) {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) return null;
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    // Some browsers give an old name for a new one; what was asked for is shown, but for its case.
    return timeZone.toLowerCase() === name.toLowerCase() ? timeZone : name;
  } catch {
    return null;
  }
}

const takesLabel = () => say("takes_label", { most: LONGEST_LABEL });

// Each takes the values of an option, changes the options accordingly, and says what it accepts where it cannot.
const READERS = {
  tz(values, options, refuse) {
    const names = values.flatMap((value) => value.split(",")).map((name) => name.trim());
    const takes = say("takes_tz", { most: MOST_ZONES });
    const zones = [];
    for (const name of names.filter(Boolean)) {
      const known = knownZone(name);
      if (known === null) refuse(takes, name);
      else if (zones.length === MOST_ZONES) return refuse(takes, name);
      else options.tz = zones.push(known) && zones;
    }
  },
  label(values, options, refuse) {
    options.labels = values.map((value) => {
      const label = value.trim().replace(/[\r\n]+/g, " "); // the panel has each on a line of its own
      if ([...label].length <= LONGEST_LABEL) return label;
      refuse(takesLabel(), label);
      return "";
    });
  },
  h: choice("hours", [12, 24]),
  date: onOrOff("date"),
  seconds: onOrOff("seconds"),
  hundredths: onOrOff("hundredths"),
  mirror: onOrOff("mirror"),
  awake: onOrOff("awake"),
  raw: onOrOff("raw"),
  theme([value], options, refuse) {
    const colours = /^#?([\da-f]{3}|[\da-f]{6})-#?([\da-f]{3}|[\da-f]{6})$/i.exec(value)?.slice(1).map(sixDigits);
    if (["auto", "light", "dark", "contrast"].includes(value)) options.theme = value;
    else if (colours && contrast(...colours) >= LEAST_CONTRAST) Object.assign(options, { theme: "own", colours });
    else refuse(say("takes_theme"));
  },
  bg: choice("background", ["transparent"]),
  size: wholeNumber("size", 10, 100),
  offset: wholeNumber("offset", -10_000, 10_000),
  rate: choice("rate", given.rates),
  lang([value], options, refuse) {
    const code = value.toLowerCase();
    if (Object.hasOwn(given.languages, code.split("-")[0])) options.lang = code.split("-")[0];
    else refuse(say("takes_one", { choices: Object.keys(given.languages).join(", ") }));
  },
};

function choice(option, choices) {
  return ([value], options, refuse) => {
    const chosen = choices.find((one) => String(one) === value);
    if (chosen === undefined) refuse(say("takes_one", { choices: choices.join(", ") }));
    else options[option] = chosen;
  };
}

// A bare `?raw` is on.
function onOrOff(option) {
  return ([value], options, refuse) => {
    if (/^(on|1|true|yes|)$/i.test(value)) options[option] = true;
    else if (/^(off|0|false|no)$/i.test(value)) options[option] = false;
    else refuse(say("takes_switch"));
  };
}

function wholeNumber(option, least, most) {
  return ([value], options, refuse) => {
    const number = /^[+-]?\d{1,6}$/.test(value) ? Number(value) : NaN;
    if (number >= least && number <= most) options[option] = number + 0;
    else refuse(say("takes_number", { least, most }));
  };
}

function lightness(colour) {
  const [red, green, blue] = [0, 2, 4].map((start) => {
    const part = parseInt(colour.slice(start, start + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function sixDigits(colour) {
  return (colour.length === 3 ? colour.replace(/./g, "$&$&") : colour).toLowerCase();
}

function cut(text) {
  const characters = [...text];
  return characters.length > 40 ? `${characters.slice(0, 40).join("")}…` : text;
}
