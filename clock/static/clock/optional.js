// What is optional: where the browser fails at it, the clock goes on without it, and the page says so once.

import { say } from "./words.js";

const texts = new Map(); // by what failed
let onFailure = () => {};

// Returns a text on each thing that has failed.
export const failures = () => [...texts.values()];

// `listener` is called whenever there is one more.
export function listen(listener) {
  onFailure = listener;
}

// Returns what `act` returns; where it throws, that is reported, and `fallback` is returned. `what` is a text.
export function attempt(what, act, fallback) {
  try {
    return act();
  } catch (error) {
    report(what, error);
    return fallback;
  }
}

// Has the page say what failed, and why: the first time.
export function report(what, error) {
  if (texts.has(what)) return;
  texts.set(what, say("not_working", { what, reason: reasonOf(error) }));
  onFailure();
}

// Returns why something failed. Anything can be thrown.
export function reasonOf(error) {
  return String(error?.message ?? error);
}
