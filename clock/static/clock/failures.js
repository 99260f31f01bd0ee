/*
 * Failures of optional browser features: the clock runs without them, and the page reports each one once.
 */

import { text } from "./page.js";

/** @type {Map<string, string>} */
const messages = new Map(); // by the feature that failed
let onFailure = () => {};

/** Returns a message for each feature that failed. */
export const failures = () => [...messages.values()];

/**
 * Has `listener` called for each further failure.
 *
 * @param {() => void} listener
 */
export function listen(listener) {
  onFailure = listener;
}

/**
 * Returns what `action` returns. If it throws, reports the error and returns `fallback`.
 *
 * @template T
 * @param {string} feature - Its name in the user's language.
 * @param {() => T} action
 * @param {T} fallback
 */
export function attempt(feature, action, fallback) {
  try {
    return action();
  } catch (error) {
    report(feature, error);
    return fallback;
  }
}

/**
 * Shows on the page what failed and why, the first time.
 *
 * @param {string} feature
 * @param {unknown} error
 */
export function report(feature, error) {
  if (messages.has(feature)) return;
  messages.set(feature, text("not_working", { feature, reason: reasonOf(error) }));
  onFailure();
}

/**
 * Returns why something failed. JavaScript can throw any value.
 *
 * @param {any} error
 */
export function reasonOf(error) {
  return String(error?.message ?? error);
}
