// A page whose modules do not start loads itself anew. This is no module, so it runs whatever becomes of them.
//
// A file may not arrive because its worker is gone, or be one of another version, as during a rolling upgrade: then
// modules do not fit together, and not one of them runs. What did fit is in the browser's cache by the next attempt.

{
  const ATTEMPTS = "clock-attempts";
  const QUICK_ATTEMPTS = 20;

  // Milliseconds, of which half is drawn by lot, so that a thousand pages do not come back at once.
  const QUICK = 1_000;
  const SLOW = 60_000;

  let waiting = false;

  const started = () => document.getElementById("clock").dataset.state !== "connecting";

  function restartLater() {
    if (waiting || started()) return;
    waiting = true;
    setTimeout(restart, (attempts() < QUICK_ATTEMPTS ? QUICK : SLOW) * (0.5 + Math.random() / 2));
  }

  async function restart() {
    waiting = false;
    if (started()) return;
    countAttempt();
    try {
      if ((await fetch(location.href, { method: "HEAD", cache: "no-store" })).ok) return location.reload();
    } catch {
      // The server cannot be reached, and a reload would end on an error of the browser.
    }
    restartLater();
  }

  function attempts() {
    try {
      return Number(sessionStorage.getItem(ATTEMPTS));
    } catch {
      return QUICK_ATTEMPTS; // a browser that allows no storage: better too seldom than too often
    }
  }

  function countAttempt() {
    try {
      sessionStorage.setItem(ATTEMPTS, attempts() + 1);
    } catch {
      // As above.
    }
  }

  // Errors of scripts, and of elements whose file does not come; these do not bubble.
  addEventListener("error", restartLater, true);
  setTimeout(() => started() && sessionStorage.removeItem(ATTEMPTS), SLOW);
}
