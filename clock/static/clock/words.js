// What the server put into the page: its words in the reader's language, its zone, what it can do. They are data in the
// page itself, so that nothing need be asked for later.

export const given = JSON.parse(document.getElementById("given").textContent);

// Returns a text with what stands in braces filled in.
export function say(name, values = {}) {
  return given.words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}
