/*
 * The page: the timekeeper knows the time, the display shows it, and the options in the address configure it.
 */

import { Display } from "./display.js";
import { attempt, failures, listen, reasonOf, report } from "./failures.js";
import { readOptions } from "./options.js";
import { byId, text } from "./page.js";
import { Screen } from "./screen.js";
import { AUTO, LOWEST_AUTO_RATE } from "./time/stream.js";
import { Timekeeper } from "./time/timekeeper.js";
import { Updates } from "./updates.js";

/**
 * @import { Options, Parsed } from "./options.js"
 * @import { Panel } from "./panel.js"
 */

let { options, problems } = readOptions(location.search);
const display = new Display(options);
const updates = new Updates();
const screen = new Screen(() => showProblems());
/** @type {Panel | null} */
let panel = null;
let refusal = "";
listen(showProblems);

/**
 * Applies options. (Exported for the tests.)
 *
 * @param {Parsed} parsed
 */
export function use(parsed) {
  ({ options, problems } = parsed);
  applyTheme(options);
  display.use(options);
  screen.keepOn(options.awake);
  showProblems();
}

/** @param {Options} options */
function applyTheme({ theme, colours, background, labels }) {
  const root = document.documentElement;
  root.dataset.theme = theme;
  root.dataset.background = background;
  root.style.setProperty("--custom-digits", colours && `#${colours[0]}`);
  root.style.setProperty("--custom-background", colours && `#${colours[1]}`);
  document.title = labels.find(Boolean) ?? text("title");
}

/** Lists all problems. Each stays on the screen for as long as it lasts. */
function showProblems() {
  const list = byId("problems");
  const messages = [...problems, screen.failed ? screen.awakeText : "", refusal, ...failures()].filter(Boolean);
  list.hidden = !messages.length;
  list.replaceChildren(
    ...messages.map((message) => {
      const item = document.createElement("li");
      item.textContent = message;
      return item;
    }),
  );
  panel?.showAwake(screen.awakeText);
}

async function toggleFullScreen() {
  try {
    await screen.toggleFullScreen();
    refusal = "";
  } catch (error) {
    refusal = text("full_screen_refused", { reason: reasonOf(error) });
  }
  showProblems();
}

/** Opens the settings. Few use them, so only they load them. */
async function openSettings() {
  const loaded = await import("./panel.js").catch(() => null);
  refusal = loaded ? "" : text("unreachable");
  if (loaded) {
    panel ??= new loaded.Panel(options, use, timekeeper);
    panel.open();
  }
  showProblems();
}

/** Connects buttons and keys. The embedded page has no buttons, and leaves the keys to the page around it. */
function addControls() {
  const speak = () => display.speak();
  byId("speak").addEventListener("click", speak);
  byId("full-screen").addEventListener("click", toggleFullScreen);
  byId("settings").addEventListener("click", openSettings);
  const keys = new Map([
    ["t", speak],
    ["f", toggleFullScreen],
    ["s", openSettings],
  ]);
  addEventListener("keydown", (event) => {
    const isTaken = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented;
    const action = keys.get(event.key?.toLowerCase()); // Chromium fills in forms with events that have no key
    if (isTaken || !action || document.querySelector("dialog[open]")) return;
    event.preventDefault(); // or the letter is typed into the field that gets the focus
    action();
  });
}

if (document.getElementById("toolbar")) addControls();
use({ options, problems });

/** With `?raw`, shows what arrives below the clock. Few use it, so only they load it. */
const showRaw = () => import("./raw.js").then(({ RawView }) => new RawView(byId("clock")));
const rawView = options.raw ? await showRaw().catch((error) => void report("raw", error)) : null;

/** The rate to request. Not all browsers know whether the user saves data. */
function requestedRate() {
  const { connection } = /** @type {{ connection?: { saveData?: boolean } }} */ (navigator);
  return options.rate === AUTO && connection?.saveData ? LOWEST_AUTO_RATE : options.rate;
}

/** Exported for diagnosis and for the tests. */
export const timekeeper = new Timekeeper({
  rate: requestedRate(),
  watcher: rawView ?? null,
  onVersion: (version) => updates.compare(version, timekeeper.gap),
});

/** Shows the time at the moment of painting. The callback's own argument can be tens of milliseconds behind. */
function paint() {
  requestAnimationFrame(paint);
  const now = performance.now();
  const reading = timekeeper.read(now);
  display.paint(now, reading);
  if (rawView) attempt("raw", () => rawView.paint(now, reading), undefined);
}

timekeeper.start();
requestAnimationFrame(paint);
