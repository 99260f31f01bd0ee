/*
 * The settings panel: a form that writes the page's address. Each change applies at once, and the address keeps it.
 */

import { attempt, reasonOf } from "./failures.js";
import { DEFAULTS, readOptions, TOGGLES, VALUES } from "./options.js";
import { byId, text } from "./page.js";
import { setText } from "./readout.js";
import { FrameRate } from "./time/frame_rate.js";
import { reachable } from "./updates.js";

/**
 * @import { Options, Parsed } from "./options.js"
 * @import { Timekeeper } from "./time/timekeeper.js"
 */

const CHECKBOXES = TOGGLES.filter((name) => name !== "raw");

// Height of the field of labels, which has one line per clock.
const MAXIMUM_LINES = 6;

const RATE_INTERVAL_MS = 100;

// The page reads these when it loads, and loads again when they change.
const NEEDS_RELOAD = /** @type {const} */ (["rate", "lang"]);

export class Panel {
  #dialog = /** @type {HTMLDialogElement} */ (byId("panel"));
  #form = /** @type {HTMLFormElement} */ (this.#dialog.querySelector("form"));
  #problem = byId("panel-problem");
  #embedLink = /** @type {HTMLAnchorElement} */ (byId("embed-link"));
  #options;
  #onChange;
  #frameRate = new FrameRate();

  /**
   * @param {Options} options
   * @param {(parsed: Parsed) => void} onChange - Called after each change.
   * @param {Timekeeper} timekeeper
   */
  constructor(options, onChange, timekeeper) {
    this.#options = options;
    this.#onChange = onChange;
    setInterval(() => {
      if (this.#dialog.open) this.#showRate(timekeeper.gap);
    }, RATE_INTERVAL_MS);
    this.#form.addEventListener("change", ({ target }) =>
      this.#apply(this.#query(/** @type {HTMLInputElement} */ (target).name)),
    );
    // These apply while the user types. The browser's history keeps the last address only.
    for (const name of ["label", "offset", "size"])
      this.#field(name).addEventListener("input", () => this.#apply(this.#query()));
    byId("reset").addEventListener("click", () => {
      this.#apply({});
      this.#fill();
    });
  }

  open() {
    if (this.#dialog.open) return;
    const zones = byId("zones");
    const names = () => Intl.supportedValuesOf?.("timeZone").map((name) => new Option("", name)) ?? [];
    if (!zones.firstChild) zones.append(...attempt(text("tz"), names, []));
    this.#fill();
    this.#dialog.showModal();
  }

  /**
   * Shows whether the screen stays on.
   *
   * @param {string} status
   */
  showAwake(status) {
    byId("awake-status").textContent = status;
  }

  /** @param {number} gap - The time between the last two frames. */
  #showRate(gap) {
    this.#frameRate.add(gap);
    setText(byId("rate-now"), text("rate_now", { rate: this.#frameRate.value || "–" }));
  }

  /**
   * Returns a field of the form. Inputs, selects and the text area share what is used here.
   *
   * @param {string} name
   */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  #fill() {
    const options = this.#options;
    this.#field("tz").value = options.tz.join(", ");
    this.#field("label").value = options.labels.join("\n");
    this.#field("h").value = String(options.hours);
    this.#field("theme").value = options.theme;
    if (options.colours) {
      const [digits, background] = options.colours;
      this.#field("digits-colour").value = `#${digits}`;
      this.#field("background-colour").value = `#${background}`;
    }
    for (const name of VALUES) this.#field(name).value = String(options[name]);
    for (const name of CHECKBOXES) this.#field(name).checked = Boolean(options[name]);
    this.#field("background").checked = options.background !== "";
    this.#problem.textContent = "";
    this.#update();
  }

  /**
   * Returns the form as the query of an address, so that the rules for addresses apply to both.
   *
   * @param {string} [changed] - The name of the field that was changed.
   * @returns {Record<string, string | string[]>}
   */
  #query(changed) {
    const value = (/** @type {string} */ name) => this.#field(name).value;
    const colours = [value("digits-colour"), value("background-colour")].map((colour) => colour.slice(1));
    /** @type {Record<string, string | string[]>} */
    const query = {
      tz: value("tz"),
      label: value("label").trimEnd().split("\n"),
      h: value("h"),
      theme: value("theme") === "custom" ? colours.join("-") : value("theme"),
      bg: this.#field("background").checked ? "transparent" : "",
      raw: this.#options.raw ? "on" : "",
    };
    for (const name of VALUES) query[name] = value(name);
    for (const name of CHECKBOXES) query[name] = this.#field(name).checked ? "on" : "off";
    // Until the user sets it, hundredths depend on the number of clocks.
    if (changed !== "hundredths" && this.#options.hundredths === null) query.hundredths = "";
    return query;
  }

  /** @param {Record<string, string | string[]>} query */
  #apply(query) {
    const search = new URLSearchParams();
    for (const [name, values] of Object.entries(query))
      for (const value of [values].flat()) if (value !== "" || name === "label") search.append(name, value);
    const parsed = readOptions(search.toString());
    const address = location.pathname + writeOptions(parsed.options);
    if (NEEDS_RELOAD.some((name) => parsed.options[name] !== this.#options[name])) {
      this.#load(address);
      return;
    }
    this.#options = parsed.options;
    this.#problem.textContent = [...parsed.problems, this.#write(address)].join(" ").trim();
    this.#update();
    this.#onChange(parsed);
  }

  /**
   * Updates the address. Returns the browser's reason if it refuses, else "". WebKit refuses frequent updates.
   *
   * @param {string} address
   */
  #write(address) {
    try {
      history.replaceState(null, "", address);
      return "";
    } catch (error) {
      return text("address_refused", { reason: reasonOf(error) });
    }
  }

  /** @param {string} address */
  async #load(address) {
    if (await reachable(address)) location.assign(address);
    else this.#problem.textContent = text("unreachable");
  }

  #update() {
    const { hundredths, tz } = this.#options;
    byId("colours").hidden = this.#field("theme").value !== "custom";
    this.#field("hundredths").checked = hundredths ?? tz.length < 2;
    this.#field("hundredths").disabled = !this.#field("seconds").checked;
    const labels = /** @type {HTMLTextAreaElement} */ (this.#form.elements.namedItem("label"));
    labels.rows = Math.min(Math.max(tz.length, 1), MAXIMUM_LINES);
    this.#embedLink.href = this.#embedLink.pathname + writeOptions(this.#options);
  }
}

/**
 * Returns the query string for these options. It leaves defaults out.
 *
 * @param {Options} options
 */
export function writeOptions(options) {
  const query = new URLSearchParams();
  if (options.tz.length) query.set("tz", options.tz.join(","));
  for (const label of options.labels) query.append("label", label);
  /** @type {(name: string, value: unknown, fallback: unknown) => void} */
  const set = (name, value, fallback) => {
    if (value !== fallback) query.set(name, String(value));
  };
  /** @type {(value: boolean | null) => string | null} */
  const toggle = (value) => (value === null ? null : value ? "on" : "off");
  set("h", options.hours, DEFAULTS.hours);
  for (const name of TOGGLES) set(name, toggle(options[name]), toggle(DEFAULTS[name]));
  set("theme", options.colours ? options.colours.join("-") : options.theme, DEFAULTS.theme);
  set("bg", options.background, DEFAULTS.background);
  for (const name of VALUES) set(name, options[name], DEFAULTS[name]);
  const search = query.toString().replaceAll("+", "%20").replaceAll("%2F", "/");
  return search && `?${search.replace(/^tz=[^&]*/, (zones) => zones.replaceAll("%2C", ","))}`; // not in labels
}
