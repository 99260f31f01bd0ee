// The precision of performance.now(): browsers make it coarse, each in its own measure, against spying by timing.

const SAMPLES = 3;

// Readings that are the same before it is taken to be as coarse as any, which is COARSEST (milliseconds).
const PATIENCE = 50_000;
const COARSEST = 100;

// Takes a few milliseconds where the clock is coarse.
function precision() {
  let least = COARSEST;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const before = performance.now();
    let after = before;
    for (let reading = 0; after === before && reading < PATIENCE; reading++) after = performance.now();
    if (after === before) return COARSEST;
    least = Math.min(least, after - before);
  }
  return least;
}

// By how many milliseconds a reading may be off.
export const PRECISION = precision();
