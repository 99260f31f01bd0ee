/*
 * What the server put into the page: its elements, and its data (texts in the user's language, the time zone, the rates).
 * The data is part of the HTML, so the page makes no further request for it.
 */

/** @import { Rate } from "./time/stream.js" */

/**
 * The data in the element `page-data`; clock/views.py writes it.
 *
 * @typedef {object} PageData
 * @property {Record<string, string>} texts - The texts of clock/texts.py that scripts use, by name.
 * @property {string} zone - The IANA name of the server's time zone.
 * @property {number[]} rates - The rates that the server accepts, in frames per second.
 * @property {Rate} rate - The default rate of pages.
 * @property {Record<string, string>} languages - The names of the page's languages, by code.
 * @property {string} version - The version of the page, as in the header `Clock-Version`.
 */

/** @type {PageData} */
export const pageData = JSON.parse(byId("page-data").textContent ?? "");

/**
 * Returns the element with this id.
 *
 * @param {string} id
 * @throws {Error} The page has no such element.
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no element ${id}.`);
  return element;
}

/**
 * Returns a text in the user's language, with its placeholders (`{name}`) replaced.
 *
 * @param {string} name
 * @param {Record<string, unknown>} [values]
 */
export function text(name, values = {}) {
  return pageData.texts[name].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}
