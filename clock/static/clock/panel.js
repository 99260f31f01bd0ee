// The panel of settings: a form that writes the address, and so makes it work at once and whenever it is opened again.

import { attempt, reasonOf } from "./optional.js";
import { readOptions, writeOptions } from "./options.js";
import { reachable } from "./renewal.js";
import { say } from "./words.js";

const SWITCHES = ["date", "seconds", "hundredths", "mirror", "awake"];

// Of the field of labels, which has one for each clock.
const MOST_LINES = 6;

// What is settled when the page loads.
const ANEW = ["rate", "lang"];

export class Panel {
  #dialog = document.getElementById("panel");
  #form = this.#dialog.querySelector("form");
  #problem = document.getElementById("panel-problem");
  #bare = document.getElementById("bare");
  #options;
  #onChange;

  // `onChange` is called with {options, problems} when they have changed.
  constructor(options, onChange) {
    this.#options = options;
    this.#onChange = onChange;
    this.#form.addEventListener("change", (event) => this.#apply(this.#read(event.target.name)));
    // A label or a zone shows while it is typed: an address of each letter is not kept, for it takes the place of the last.
    for (const name of ["label", "offset", "size"])
      this.#form.elements[name].addEventListener("input", () => this.#apply(this.#read()));
    document.getElementById("reset").addEventListener("click", () => {
      this.#apply({});
      this.#fill();
    });
  }

  open() {
    const zones = document.getElementById("zones");
    const names = () => Intl.supportedValuesOf?.("timeZone").map((name) => new Option("", name)) ?? [];
    if (!zones.firstChild) zones.append(...attempt(say("tz"), names, []));
    this.#fill();
    this.#dialog.showModal();
  }

  // Shows whether the screen stays on.
  tellAwake(text) {
    document.getElementById("awake-word").textContent = text;
  }

  #fill() {
    const { elements } = this.#form;
    const options = this.#options;
    elements.tz.value = options.tz.join(", ");
    elements.label.value = options.labels.join("\n");
    elements.h.value = options.hours;
    elements.theme.value = options.theme;
    if (options.colours) [elements.figure.value, elements.ground.value] = options.colours.map((colour) => `#${colour}`);
    for (const name of ["size", "offset", "rate", "lang"]) elements[name].value = options[name];
    for (const name of SWITCHES) elements[name].checked = options[name];
    elements.background.checked = options.background !== "";
    this.#problem.textContent = "";
    this.#dress();
  }

  // Returns the options as they would stand in an address: so one set of rules judges both. `changed`: the field that was.
  #read(changed) {
    const { elements } = this.#form;
    const colours = [elements.figure.value, elements.ground.value].map((colour) => colour.slice(1));
    const query = {
      tz: elements.tz.value,
      label: elements.label.value.trimEnd().split("\n"),
      h: elements.h.value,
      theme: elements.theme.value === "own" ? colours.join("-") : elements.theme.value,
      size: elements.size.value,
      offset: elements.offset.value,
      rate: elements.rate.value,
      lang: elements.lang.value,
      bg: elements.background.checked ? "transparent" : "",
      raw: this.#options.raw ? "on" : "",
    };
    for (const name of SWITCHES) query[name] = elements[name].checked ? "on" : "off";
    // Without a word on them, it is the number of clocks that says whether hundredths are shown.
    if (changed !== "hundredths" && this.#options.hundredths === null) query.hundredths = "";
    return query;
  }

  #apply(query) {
    const search = new URLSearchParams();
    for (const [name, values] of Object.entries(query))
      for (const value of [values].flat()) if (value !== "" || name === "label") search.append(name, value);
    const read = readOptions(search.toString());
    const anew = ANEW.filter((name) => read.options[name] !== this.#options[name]);
    const address = location.pathname + writeOptions(read.options);
    if (anew.length) return this.#loadAnew(address);
    this.#options = read.options;
    this.#problem.textContent = [...read.problems, this.#write(address)].join(" ").trim();
    this.#dress();
    this.#onChange(read);
  }

  // Returns why the address could not be written, or nothing. WebKit refuses it where it is written too often.
  #write(address) {
    try {
      history.replaceState(null, "", address);
      return "";
    } catch (error) {
      return say("address_refused", { reason: reasonOf(error) });
    }
  }

  async #loadAnew(address) {
    if (await reachable(address)) location.assign(address);
    else this.#problem.textContent = say("unreachable");
  }

  #dress() {
    const { elements } = this.#form;
    document.getElementById("colours").hidden = elements.theme.value !== "own";
    elements.hundredths.checked = this.#options.hundredths ?? this.#options.tz.length < 2;
    elements.hundredths.disabled = !elements.seconds.checked;
    elements.label.rows = Math.min(Math.max(this.#options.tz.length, 1), MOST_LINES);
    this.#bare.href = this.#bare.pathname + writeOptions(this.#options);
  }
}
