/*
 * Reloads a page whose modules fail to start. This is a classic script, so it runs whatever happens to the modules.
 *
 * A file may fail to load because its worker stopped, or it may belong to another version, as during a rolling upgrade:
 * modules that do not fit together do not run at all. The browser's cache keeps the files that fit for the next attempt.
 */

{
  const ATTEMPTS_KEY = "clock-attempts";
  const QUICK_ATTEMPTS = 20;

  // Each pause is jittered by half, so that many pages do not come back at once.
  const QUICK_PAUSE_MS = 1_000;
  const SLOW_PAUSE_MS = 60_000;

  let isWaiting = false;

  const hasStarted = () => document.getElementById("clock")?.dataset.state !== "connecting";

  function restartLater() {
    if (isWaiting || hasStarted()) return;
    isWaiting = true;
    const pause = attempts() < QUICK_ATTEMPTS ? QUICK_PAUSE_MS : SLOW_PAUSE_MS;
    setTimeout(restart, pause * (0.5 + Math.random() / 2));
  }

  async function restart() {
    isWaiting = false;
    if (hasStarted()) return;
    countAttempt();
    try {
      if ((await fetch(location.href, { method: "HEAD", cache: "no-store" })).ok) {
        location.reload();
        return;
      }
    } catch {
      // The server is unreachable, and a reload would end on the browser's error page.
    }
    restartLater();
  }

  function attempts() {
    try {
      return Number(sessionStorage.getItem(ATTEMPTS_KEY));
    } catch {
      return QUICK_ATTEMPTS; // the browser allows no storage, so attempts cannot be counted: use the slow pause
    }
  }

  function countAttempt() {
    try {
      sessionStorage.setItem(ATTEMPTS_KEY, String(attempts() + 1));
    } catch {
      // The browser allows no storage.
    }
  }

  // Errors of scripts, and of elements whose file fails to load; the latter do not bubble.
  addEventListener("error", restartLater, true);
  setTimeout(() => hasStarted() && sessionStorage.removeItem(ATTEMPTS_KEY), SLOW_PAUSE_MS);
}
