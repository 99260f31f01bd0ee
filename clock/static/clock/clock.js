// The page: the timekeeper knows the time, the face shows it, and the options say how.

import { Face } from "./face.js";
import { attempt, failures, listen, reasonOf, report } from "./optional.js";
import { DEFAULTS, readOptions } from "./options.js";
import { Panel } from "./panel.js";
import { Renewal } from "./renewal.js";
import { Screen } from "./screen.js";
import { Timekeeper } from "./timekeeper.js";
import { say } from "./words.js";

const face = new Face();
const renewal = new Renewal();
const screen = new Screen(() => tell());
let { options, problems } = readOptions(location.search);
let panel = null;
let refusal = "";
listen(tell);

// Shows what readOptions() made of an address, from now on. (It is exported for the tests.)
export function use(read) {
  ({ options, problems } = read);
  dress(options);
  face.use(options);
  screen.keepOn(options.awake);
  tell();
}

function dress({ theme, colours, background, labels }) {
  const root = document.documentElement;
  root.dataset.theme = theme;
  root.dataset.background = background;
  root.style.setProperty("--own-figure", colours ? `#${colours[0]}` : null);
  root.style.setProperty("--own-ground", colours ? `#${colours[1]}` : null);
  document.title = labels.find(Boolean) ?? say("title");
}

// What is wrong stays on the screen for as long as it is.
function tell() {
  const list = document.getElementById("problems");
  const texts = [...problems, screen.failed ? screen.word : "", refusal, ...failures()].filter(Boolean);
  list.hidden = !texts.length;
  list.replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
  panel?.tellAwake(screen.word);
}

async function toggleFull() {
  try {
    await screen.toggleFull();
    refusal = "";
  } catch (error) {
    refusal = say("full_screen_refused", { reason: reasonOf(error) });
  }
  tell();
}

// The page that is embedded has no buttons, and leaves the keys to the page around it.
function equip() {
  panel = new Panel(options, use);
  const actions = { say: () => face.speak(), "full-screen": toggleFull, settings: () => panel.open() };
  for (const [id, act] of Object.entries(actions)) document.getElementById(id).addEventListener("click", act);
  const keys = { t: actions.say, f: actions["full-screen"], s: actions.settings };
  addEventListener("keydown", (event) => {
    const busy = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented;
    const act = keys[event.key?.toLowerCase()]; // some browsers fill in a form with events that have no key
    if (busy || !act || document.querySelector("dialog[open]")) return;
    event.preventDefault(); // or the letter is typed into the field that gets the focus
    act();
  });
}

if (document.getElementById("tools")) equip();
use({ options, problems });

// With ?raw, what arrives stands below the clock. Few ask for it, so only they load it.
async function mountRaw() {
  const { Raw } = await import("./raw.js");
  const element = document.createElement("pre");
  element.id = "raw";
  element.tabIndex = 0; // it may be wider than the screen, and is scrolled by keys
  document.getElementById("clock").append(element);
  return new Raw(element);
}

const raw = options.raw ? await mountRaw().catch((error) => report("raw", error)) : null;

// For those who want to look at it while it runs, such as the tests.
export const timekeeper = new Timekeeper({ rate: options.rate === DEFAULTS.rate ? null : options.rate, watcher: raw });

let state = "";

// By the clock at the moment of painting: the argument of this callback can be tens of milliseconds behind it.
function paint() {
  requestAnimationFrame(paint);
  const now = performance.now();
  const reading = timekeeper.read(now);
  if (reading.state !== state) {
    if (reading.state === "live" && state !== "") renewal.suspect();
    state = reading.state;
  }
  face.paint(reading);
  if (raw) attempt("raw", () => raw.paint(now, reading));
}

timekeeper.start();
requestAnimationFrame(paint);
